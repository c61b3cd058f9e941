//! What can be asked, and how each question becomes an answer. A new one is a line in [`ROUTES`] and an arm below.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};

use crate::body::{Reply, answer, json, problem};
use crate::door::House;
use crate::guard::{self, Door};
use crate::policies::Change;
use crate::words::{Ask, Health, Sort, Status};
use crate::{Problem, metrics, policies};

/// Everything that is served; `*` stands for a name.
const ROUTES: [(&str, &str); 23] = [
    ("GET", "/health"),
    ("GET", "/health/alive"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/destinations"),
    ("GET", "/api/v1/policies"),
    ("GET", "/api/v1/plugins"),
    ("GET", "/api/v1/plugins/*/history"),
    ("GET", "/api/v1/plugins/*/shadow"),
    ("GET", "/api/v1/plugins/*/logs"),
    ("POST", "/api/v1/plugins/*/deploy"),
    ("POST", "/api/v1/plugins/*/configure"),
    ("POST", "/api/v1/plugins/*/promote"),
    ("POST", "/api/v1/plugins/*/rollback"),
    ("POST", "/api/v1/plugins/*/end-shadow"),
    ("POST", "/api/v1/plugins/*/bind"),
    ("POST", "/api/v1/bindings/unbind"),
    ("DELETE", "/api/v1/plugins/*"),
    ("GET", "/api/v1/bindings"),
    ("GET", "/api/v1/explain/*"),
    ("POST", "/api/v1/recordings/*"),
    ("GET", "/api/v1/recordings/*"),
    ("DELETE", "/api/v1/recordings/*"),
];

/// Answers a request.
pub(crate) async fn serve(house: &Arc<House>, door: &Door, request: Request<Incoming>) -> Response<Reply> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match guard::check(door, &path, request.headers()).and_then(|()| check_head(house, &request)) {
        Ok(()) => route(house, request).await,
        Err(refused) => Err(refused),
    };
    let response = response.unwrap_or_else(|wrong| {
        let mut response = problem(&wrong);
        if wrong.status == 401 {
            let ask = header::HeaderValue::from_static("Bearer realm=\"jackfield\", Basic realm=\"jackfield\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        }
        response
    });
    tracing::debug!(door = door.name(), %method, path, status = response.status().as_u16(), "admin request");
    response
}

/// The HTTP machine reads a head that is somewhat longer than it is told; here its bound is exact.
fn check_head(house: &House, request: &Request<Incoming>) -> Result<(), Problem> {
    let limit = house.limits.header_bytes_max;
    let uri = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if uri + headers <= limit {
        return Ok(());
    }
    let remedy = "send less, or raise admin.header_limit";
    Err(Problem::new(431, format!("the head has more than {limit} bytes"), remedy))
}

async fn route(house: &Arc<House>, request: Request<Incoming>) -> Result<Response<Reply>, Problem> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
    let control = &house.control;
    match (method.as_str(), &parts[..]) {
        ("GET", ["health"]) => {
            let status = house.wait(control.status()).await?;
            let is_ready = status.ready;
            Ok(health(status, is_ready))
        }
        // A standby that waits does its part.
        ("GET", ["health", "alive"]) => {
            let status = house.wait(control.status()).await?;
            let is_alive = status.ready || !status.waits_for.is_empty();
            Ok(health(status, is_alive))
        }
        ("GET", ["metrics"]) => {
            let status = house.wait(control.status()).await?;
            let limit = house.limits.destination_series_max;
            let survey = house.wait(control.survey(Ask { limit, ..Ask::default() })).await?;
            let (plug_ins, compiled) = match &house.policies {
                Some(_) => {
                    let figures =
                        policies::work(house, |policies| Ok((policies::figures(policies), policies.compiled())));
                    house.wait(figures).await?
                }
                None => Default::default(),
            };
            let text = metrics::render(status, survey, plug_ins, compiled);
            Ok(answer(StatusCode::OK, metrics::CONTENT_TYPE, text))
        }
        ("GET", ["api", "v1", "status"]) => Ok(json(StatusCode::OK, &house.wait(control.status()).await?)),
        ("GET", ["api", "v1", "destinations"]) => {
            let ask = ask(request.uri().query().unwrap_or_default(), house.limits.destinations_max)?;
            Ok(json(StatusCode::OK, &house.wait(control.survey(ask)).await?))
        }
        ("GET", ["api", "v1", "policies"]) => {
            let survey = house.wait(control.survey(Ask::default())).await?;
            Ok(json(StatusCode::OK, &survey.policies))
        }
        ("GET", ["api", "v1", "plugins"]) => policies::ask(house, |policies| Ok(policies.list())).await,
        ("GET", ["api", "v1", "plugins", name, "history"]) => {
            let name = named(name);
            policies::ask(house, move |policies| policies.history(&name)).await
        }
        ("GET", ["api", "v1", "plugins", name, "shadow"]) => {
            let name = named(name);
            policies::ask(house, move |policies| policies.shadow(&name)).await
        }
        ("GET", ["api", "v1", "plugins", name, "logs"]) => {
            let name = named(name);
            policies::ask(house, move |policies| policies.logs(&name)).await
        }
        ("GET", ["api", "v1", "bindings"]) => policies::ask(house, |policies| Ok(policies.bindings())).await,
        ("GET", ["api", "v1", "explain", queue]) => {
            let queue = named(queue);
            policies::ask(house, move |policies| policies.explain(&queue)).await
        }
        ("POST", ["api", "v1", "recordings", what]) => {
            let wish = policies::record_wish(request.uri().query().unwrap_or_default())?;
            let what = named(what);
            policies::ask(house, move |policies| policies.record(&what, wish)).await
        }
        ("GET", ["api", "v1", "recordings", queue]) => {
            let queue = named(queue);
            policies::ask(house, move |policies| policies.recorded(&queue)).await
        }
        ("DELETE", ["api", "v1", "recordings", queue]) => {
            let queue = named(queue);
            let text = policies::work(house, move |policies| policies.end_recording(&queue)).await?;
            Ok(answer(StatusCode::OK, "application/x-ndjson", text))
        }
        ("POST", ["api", "v1", "bindings", "unbind"]) => {
            policies::change(house, String::new(), Change::Unbind, request).await
        }
        ("DELETE", ["api", "v1", "plugins", name]) => {
            policies::change(house, named(name), Change::Remove, request).await
        }
        ("POST", ["api", "v1", "plugins", name, word]) if Change::of(word).is_some() => {
            let what = Change::of(word).expect("asked just now");
            policies::change(house, named(name), what, request).await
        }
        _ => Err(not_served(method.as_str(), &path)),
    }
}

fn health(status: Status, is_good: bool) -> Response<Reply> {
    let code = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(code, &Health { role: status.role, ready: status.ready, waits_for: status.waits_for })
}

/// There is nothing at that path, or nothing of that method.
fn not_served(method: &str, path: &str) -> Problem {
    let parts: Vec<&str> = path.split('/').collect();
    let is_there = |pattern: &str| {
        let fits = |(pattern, part): (&str, &&str)| pattern == "*" || pattern == *part;
        pattern.split('/').count() == parts.len() && pattern.split('/').zip(&parts).all(fits)
    };
    let methods: Vec<&str> =
        ROUTES.iter().filter(|(_, pattern)| is_there(pattern)).map(|(method, _)| *method).collect();
    if methods.is_empty() {
        let all: Vec<String> = ROUTES.iter().map(|(method, path)| format!("{method} {path}")).collect();
        return Problem::new(404, "there is nothing here", format!("served are {}", all.join(", "))).with("path", path);
    }
    let remedy = format!("use {}", methods.join(" or "));
    Problem::new(405, "this cannot be done here", remedy).with("method", method)
}

/// Reads `limit=10&offset=20&contains=ORDERS&sort=pending`.
fn ask(query: &str, limit_max: usize) -> Result<Ask, Problem> {
    const KNOWN: &str = "known are limit, offset, contains and sort";
    let mut ask = Ask { limit: limit_max.min(100), ..Ask::default() };
    for (key, value) in
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    {
        let value = decoded(value);
        let number = |most: usize| {
            value.parse::<usize>().ok().filter(|number| *number <= most).ok_or_else(|| {
                Problem::new(400, "is no number that fits", format!("write a number from 0 to {most}"))
                    .with(key, value.clone())
            })
        };
        match key {
            "limit" => ask.limit = number(limit_max)?,
            "offset" => ask.offset = number(OFFSET_MAX)?,
            "contains" => ask.contains = value,
            "sort" => {
                ask.sort = match value.as_str() {
                    "pending" => Sort::Pending,
                    "enqueued" => Sort::Enqueued,
                    "name" => Sort::Name,
                    _ => {
                        return Err(
                            Problem::new(400, "is no order", "write pending, enqueued or name").with(key, value)
                        );
                    }
                }
            }
            _ => return Err(Problem::new(400, "is unknown", KNOWN).with(key, value)),
        }
    }
    Ok(ask)
}

/// Furthest that one can turn the pages of destinations; `contains` finds what is beyond.
const OFFSET_MAX: usize = 100_000;

/// A name in a path, where a plus is a plus.
fn named(part: &str) -> String {
    decoded(&part.replace('+', "%2B"))
}

/// A value of a query without its escapes; what is no escape stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped =
            text.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        at += if escaped.is_some() { 3 } else { 1 };
        out.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_about_destinations() {
        let table = [
            ("", Ok((100, 0, "", Sort::Pending))),
            ("limit=5&offset=10&contains=A%2EB+c&sort=name", Ok((5, 10, "A.B c", Sort::Name))),
            ("sort=enqueued&&limit=0", Ok((0, 0, "", Sort::Enqueued))),
            ("contains=%zz%4", Ok((100, 0, "%zz%4", Sort::Pending))),
            ("limit=1001", Err("limit")),
            ("limit=-1", Err("limit")),
            ("offset=x", Err("offset")),
            ("sort=colour", Err("sort")),
            ("colour=red", Err("colour")),
        ];
        for (query, expected) in table {
            let found = ask(query, 1000);
            let found = found.as_ref().map(|ask| (ask.limit, ask.offset, ask.contains.as_str(), ask.sort));
            assert_eq!(found.map_err(|problem| problem.key.as_str()), expected, "{query}");
        }
    }

    #[test]
    fn what_is_not_served_is_told_with_what_is() {
        let table = [
            ("GET", "/api/v1/plugins/x", 405, "use DELETE"),
            ("GET", "/api/v1/plugins/x/deploy", 405, "use POST"),
            ("POST", "/api/v1/plugins", 405, "use GET"),
            ("POST", "/api/v1/plugins/x/explode", 404, "POST /api/v1/plugins/*/deploy"),
            ("GET", "/api/v1/plugins/x/history/", 404, "served are"),
            ("GET", "/api/v1", 404, "served are"),
            ("GET", "", 404, "served are"),
        ];
        for (method, path, status, remedy) in table {
            let problem = not_served(method, path);
            assert!(problem.status == status && problem.remedy.contains(remedy), "{method} {path}: {problem:?}");
        }
        assert_eq!((named("a+b%2Bc%2Fd"), decoded("a+b")), ("a+b+c/d".to_owned(), "a b".to_owned()));
    }
}
