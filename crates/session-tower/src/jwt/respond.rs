//! From the body of a request to what is behind the routes, and from its [`Answer`] to a response.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum_core::body::Body;
use axum_core::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use session_jwt::Answer;

use crate::head::apply;
use crate::rejection::status;

/// Longer than any credentials and tokens.
pub(super) const MAX_BODY: usize = 64 * 1024;

pub(super) type Content = Result<Bytes, BytesRejection>;

pub(super) fn content(body: Content) -> Result<Bytes, StatusCode> {
    body.map_err(|rejection| rejection.status())
}

/// What was sent is too long, or did not arrive.
pub(super) fn unread(status: StatusCode) -> Answer {
    if status == StatusCode::PAYLOAD_TOO_LARGE { Answer::too_large() } else { Answer::unreadable() }
}

pub(super) fn respond(answer: Answer) -> Response {
    try_respond(answer).or_else(|| try_respond(Answer::server_error())).unwrap_or_else(|| status(500).into_response())
}

/// `None` if a header cannot be written, which no checked configuration causes.
fn try_respond(answer: Answer) -> Option<Response> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status(answer.status());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type()));
    for (name, value) in answer.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?);
    }
    if let Some(edits) = answer.edits() {
        apply(edits, headers).ok()?;
    }
    *response.body_mut() = Body::from(answer.into_body());
    Some(response)
}
