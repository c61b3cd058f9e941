//! Answers: their headers, and values as JSON.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode, header};
use serde::Serialize;

use crate::Problem;

/// Body of an answer.
pub(crate) type Reply = Full<Bytes>;

/// An answer of this type. Browsers are told to keep, guess and frame nothing.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Reply> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    response
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Reply> {
    answer(status, "application/json", line(value))
}

/// A problem as JSON (RFC 9457's media type).
pub(crate) fn problem(problem: &Problem) -> Response<Reply> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, "application/problem+json", line(problem))
}

/// A value as a line of JSON.
fn line(value: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(value).expect("plain values have no keys that JSON cannot write");
    bytes.push(b'\n');
    bytes.into()
}
