//! Policies that are deployed while the broker runs: what can be asked about them and done with them.
//!
//! Settings and wishes stand in the query (`?set=home%3Dnorth&start_empty=true`), so that a component travels as it is.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use registry::{ControlError, Point, PolicyControl, RecordWish, Turned, Wish};
use serde::Serialize;
use tokio::time::timeout;

use crate::Problem;
use crate::body::{Reply, json};
use crate::door::House;
use crate::routes::decoded;
use crate::words::{Changed, PlugIn, Shadow};

/// Asks something.
pub(crate) async fn ask<T: Serialize + Send + 'static>(
    house: &Arc<House>,
    question: impl FnOnce(&dyn PolicyControl) -> Result<T, ControlError> + Send + 'static,
) -> Result<Response<Reply>, Problem> {
    Ok(json(StatusCode::OK, &house.wait(work(house, question)).await?))
}

/// Does what stands behind a plug-in's name in the path. It is done to its end, whether the client waits or not.
pub(crate) async fn change(
    house: &Arc<House>,
    name: String,
    what: Change,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Problem> {
    let wishes = Wishes::read(request.uri().query().unwrap_or_default(), what)?;
    let Wishes { settings, grants, shadow, start_empty, generation, point, pattern } = wishes;
    let bytes = match what {
        Change::Deploy => component(house, request).await?,
        _ => Bytes::new(),
    };
    let turned = work(house, move |policies| match what {
        Change::Deploy => policies.deploy(Wish { name, bytes, settings, shadow, start_empty, grants }).map(Some),
        Change::Configure => policies.configure(&name, settings).map(Some),
        Change::Promote => policies.promote(&name, generation, start_empty).map(Some),
        Change::Rollback => policies.rollback(&name, generation).map(Some),
        Change::EndShadow => {
            policies.end_shadow(&name).map(|generation| Some(Turned { generation, remarks: Vec::new() }))
        }
        Change::Bind => policies.bind(point, &pattern, &name).map(|()| None),
        Change::Unbind => policies.unbind(point, &pattern).map(|()| None),
        Change::Remove => policies.remove(&name).map(|()| None),
    });
    let turned = turned.await?;
    let generation = turned.as_ref().map(|turned| turned.generation);
    let remarks = turned.map(|turned| turned.remarks).unwrap_or_default();
    Ok(json(StatusCode::OK, &Changed { generation, remarks }))
}

/// The plug-ins as `/metrics` tells them.
pub(crate) fn figures(policies: &dyn PolicyControl) -> Vec<PlugIn> {
    let figures = |listed: registry::Listed| {
        let active = listed.generations.iter().find(|generation| Some(generation.number) == listed.active);
        // A plug-in that was removed a moment ago has no shadow.
        let found = listed.shadow.map(|_| policies.shadow(&listed.name).unwrap_or_default());
        let shadow = found.map(|found| Shadow {
            rows: found.iter().map(|one| one.rows).sum(),
            rows_agreed: found.iter().map(|one| one.rows_agreed).sum(),
            corrected: found.iter().map(|one| one.corrected).sum(),
        });
        PlugIn {
            digest: active.map(|generation| generation.digest.clone()).unwrap_or_default(),
            generation: listed.active.unwrap_or(0),
            states: listed.states,
            state_bytes: listed.state_bytes,
            shadow,
            name: listed.name,
        }
    };
    policies.list().into_iter().map(figures).collect()
}

/// Asks on a thread that may wait.
pub(crate) async fn work<T: Send + 'static>(
    house: &Arc<House>,
    work: impl FnOnce(&dyn PolicyControl) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, Problem> {
    let Some(policies) = house.policies.clone() else {
        let remedy = "ask the broker that is master";
        return Err(Problem::new(503, "this broker does not serve", remedy));
    };
    let place = house.wait(async { Ok(house.waiting.clone().acquire_owned().await) }).await?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work(&*policies)
    });
    match done.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ControlError::Refused(why))) => Err(Problem::new(422, why, "")),
        Ok(Err(ControlError::Unavailable(why))) => Err(Problem::new(503, why, "")),
        Err(_) => Err(Problem::new(500, "a fault of the broker itself", "see its log, and report it")),
    }
}

/// What can be done with a plug-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Deploy,
    Configure,
    Promote,
    Rollback,
    EndShadow,
    Bind,
    Unbind,
    Remove,
}

impl Change {
    /// What a word behind a plug-in's name means.
    pub(crate) fn of(word: &str) -> Option<Change> {
        match word {
            "deploy" => Some(Change::Deploy),
            "configure" => Some(Change::Configure),
            "promote" => Some(Change::Promote),
            "rollback" => Some(Change::Rollback),
            "end-shadow" => Some(Change::EndShadow),
            "bind" => Some(Change::Bind),
            _ => None,
        }
    }

    /// What its query may wish.
    fn wishes(self) -> &'static [&'static str] {
        match self {
            Change::Deploy => &["set", "grant", "shadow", "start_empty"],
            Change::Configure => &["set"],
            Change::Promote => &["generation", "start_empty"],
            Change::Rollback => &["generation"],
            Change::Bind | Change::Unbind => &["pattern", "point"],
            Change::EndShadow | Change::Remove => &[],
        }
    }
}

/// What a query wishes.
struct Wishes {
    settings: Vec<(String, String)>,
    grants: Vec<String>,
    shadow: bool,
    start_empty: bool,
    generation: Option<u64>,
    point: Point,
    pattern: String,
}

impl Wishes {
    fn read(query: &str, what: Change) -> Result<Wishes, Problem> {
        let mut wishes = Wishes {
            settings: Vec::new(),
            grants: Vec::new(),
            shadow: false,
            start_empty: false,
            generation: None,
            point: Point::QueueDispatch,
            pattern: String::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            let wrong = |title: &str, remedy: &str| Problem::new(400, title, remedy).with(key, value.clone());
            if !what.wishes().contains(&key) {
                return Err(match what.wishes() {
                    [] => wrong("is unknown", "leave the query out"),
                    known => wrong("is unknown", &format!("known here are {}", known.join(", "))),
                });
            }
            let flag = || match value.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(wrong("is neither true nor false", "write one of them")),
            };
            match key {
                "set" => match value.split_once('=') {
                    Some((key, value)) if !key.is_empty() => wishes.settings.push((key.to_owned(), value.to_owned())),
                    _ => return Err(wrong("is no setting", "write set=KEY%3DVALUE")),
                },
                "grant" => wishes.grants.push(value),
                "shadow" => wishes.shadow = flag()?,
                "start_empty" => wishes.start_empty = flag()?,
                "generation" => match value.parse() {
                    Ok(number) => wishes.generation = Some(number),
                    Err(_) => return Err(wrong("is no number of a generation", "see the plug-in's history")),
                },
                "point" => match value.parse() {
                    Ok(point) => wishes.point = point,
                    Err(why) => return Err(wrong("is no extension point", &why)),
                },
                _ => wishes.pattern = value,
            }
        }
        Ok(wishes)
    }
}

/// Reads `ms=30000&batches=100`.
pub(crate) fn record_wish(query: &str) -> Result<RecordWish, Problem> {
    let mut wish = RecordWish { ms: u64::MAX, batches: u64::MAX };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        let wrong = |title: &str, remedy: &str| Problem::new(400, title, remedy).with(key, value.clone());
        let number = || value.parse().ok().filter(|number| *number > 0);
        let place = match key {
            "ms" => &mut wish.ms,
            "batches" => &mut wish.batches,
            _ => return Err(wrong("is unknown", "known here are ms and batches")),
        };
        *place = number().ok_or_else(|| wrong("is no number that fits", "write a number from 1 on"))?;
    }
    Ok(wish)
}

/// Reads a component as it is.
async fn component(house: &House, request: Request<Incoming>) -> Result<Bytes, Problem> {
    let limits = house.limits;
    let too_large = || {
        let what = format!("the component is beyond plugins.component_limit of {} bytes", limits.component_bytes_max);
        Problem::new(413, what, "make it smaller: strip names and debug sections")
    };
    if request.body().size_hint().lower() > limits.component_bytes_max as u64 {
        return Err(too_large());
    }
    let body = Limited::new(request.into_body(), limits.component_bytes_max).collect();
    match timeout(Duration::from_millis(limits.body_ms_max), body).await {
        Err(_) => {
            let what = format!("the component took longer than {} ms", limits.body_ms_max);
            Err(Problem::new(408, what, "send it faster, or raise admin.body_ms"))
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(400, format!("the component broke off: {error}"), "send all of it")),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_stand_in_the_query() {
        let wishes = Wishes::read("set=home%3Dnorth&set=a%3Db%3Dc&shadow=true&grant=passwords", Change::Deploy);
        let wishes = wishes.expect("good");
        assert_eq!(wishes.grants, ["passwords"]);
        let settings = [("home".to_owned(), "north".to_owned()), ("a".to_owned(), "b=c".to_owned())];
        assert_eq!((wishes.settings, wishes.shadow, wishes.start_empty), (settings.to_vec(), true, false));
        let wishes = Wishes::read("generation=7&start_empty=true", Change::Promote).expect("good");
        assert_eq!((wishes.generation, wishes.start_empty), (Some(7), true));
        let wishes = Wishes::read("pattern=A.%3E&point=queue-dispatch", Change::Bind).expect("good");
        assert_eq!((&*wishes.pattern, wishes.point), ("A.>", Point::QueueDispatch));
        for (query, what, key) in [
            ("set=home", Change::Deploy, "set"),
            ("shadow=yes", Change::Deploy, "shadow"),
            ("generation=x", Change::Rollback, "generation"),
            ("colour=red", Change::Configure, "colour"),
            ("generation=1", Change::Deploy, "generation"),
            ("point=nowhere", Change::Bind, "point"),
            ("set=a%3Db", Change::Remove, "set"),
        ] {
            assert_eq!(Wishes::read(query, what).err().map(|problem| problem.key).as_deref(), Some(key), "{query}");
        }
    }

    #[test]
    fn how_much_is_recorded_stands_in_the_query() {
        let wish = |ms, batches| RecordWish { ms, batches };
        assert_eq!(record_wish("ms=5&batches=7"), Ok(wish(5, 7)));
        assert_eq!(record_wish("batches=7"), Ok(wish(u64::MAX, 7)));
        for query in ["ms=0", "ms=", "batches=-1", "colour=red"] {
            assert!(record_wish(query).is_err(), "{query}");
        }
    }

    #[test]
    fn each_word_does_something_else() {
        let words = ["deploy", "configure", "promote", "rollback", "end-shadow", "bind"];
        let changes: Vec<Change> = words.iter().filter_map(|word| Change::of(word)).collect();
        assert_eq!(changes.len(), words.len());
        assert!(changes.iter().enumerate().all(|(at, change)| !changes[..at].contains(change)));
        assert_eq!(Change::of("explode"), None);
    }
}
