//! From the body of a request to what is behind the routes, and from its [`Answer`] to a response.

use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse, Resource};
use session_jwt::Answer;

use crate::head::apply;
use crate::rejection::status;

/// Longer than any credentials and tokens.
const MAX_BODY: usize = 64 * 1024;

/// `POST path`, answered by `answer`; other methods are not those of this route.
pub(super) fn post<F>(path: &str, answer: F) -> Resource
where
    F: AsyncFn(&HttpRequest, Bytes) -> Answer + Clone + 'static,
{
    let route = web::post().to(move |request: HttpRequest, body: Payload| {
        let answer = answer.clone();
        async move {
            respond(match body.to_bytes_limited(MAX_BODY).await {
                Ok(Ok(body)) => answer(&request, body).await,
                // It did not arrive.
                Ok(Err(_)) => Answer::unreadable(),
                Err(_) => Answer::too_large(),
            })
        }
    });
    let others = web::to(async || {
        let mut response = respond(Answer::method_not_allowed());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        response
    });
    web::resource(path.to_owned()).route(route).default_service(others)
}

/// `GET path`, and `HEAD`; other methods are not those of this route.
pub(super) fn get(path: &str, document: impl Fn() -> Answer + Clone + 'static) -> Resource {
    let answer = move || {
        let answer = respond(document());
        async move { answer }
    };
    let others = web::to(async || HttpResponse::MethodNotAllowed().insert_header((ALLOW, "GET, HEAD")).finish());
    let resource = web::resource(path.to_owned()).default_service(others);
    resource.route(web::get().to(answer.clone())).route(web::head().to(answer))
}

pub(super) fn respond(answer: Answer) -> HttpResponse {
    try_respond(answer)
        .or_else(|| try_respond(Answer::server_error()))
        .unwrap_or_else(|| HttpResponse::InternalServerError().finish())
}

/// `None` if a header cannot be written, which no checked configuration causes.
fn try_respond(answer: Answer) -> Option<HttpResponse> {
    let mut response = HttpResponse::new(status(answer.status()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type()));
    for (name, value) in answer.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?);
    }
    if let Some(edits) = answer.edits() {
        apply(edits, headers).ok()?;
    }
    Some(response.set_body(actix_web::body::BoxBody::new(answer.into_body())))
}
