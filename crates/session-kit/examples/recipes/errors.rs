//! Pages in place of `{"error":"…"}`: what a person sees if there is no session, no store, or a request of another site.

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::get;
use axum::{Router, response::Html};
use session_kit::SessionManager;
use session_kit::axum::{Authenticated, Rejection, RejectionKind, RequestLine, SessionLayer};

/// The words of this site. Cookies, `Cache-Control` and `Vary` are added by the layer, to this answer too.
fn page(rejection: Rejection, request: &RequestLine) -> Response<Bytes> {
    let is_api = request.uri().path().starts_with("/api/");
    let (kind, body) = match (is_api, rejection.kind()) {
        (true, _) => ("application/json", format!("{{\"error\":\"{}\"}}", rejection.code())), // codes are stable
        (_, RejectionKind::Unauthenticated | RejectionKind::Gone) => page_of("Please log in", "You are not logged in."),
        (_, RejectionKind::CrossOrigin) => {
            page_of("Not from here", "Another site sent this. Please use our own pages.")
        }
        // Nobody was logged out: the store did not answer, and the cookie stays as it is.
        (_, RejectionKind::StoreUnavailable) => {
            page_of("One moment", "We cannot see who you are. Please try again soon.")
        }
        (_, _) => page_of("Sorry", "That did not work."),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = rejection.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if rejection.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn page_of(title: &str, text: &str) -> (&'static str, String) {
    ("text/html; charset=utf-8", format!("<!doctype html><title>{title}</title><h1>{title}</h1><p>{text}"))
}

async fn account(session: Authenticated) -> String {
    session.user().as_str().to_owned()
}

/// No route: no session either, and so no `on_rejection`.
async fn not_found() -> (StatusCode, Html<String>) {
    (StatusCode::NOT_FOUND, Html(page_of("Nothing here", "There is no such page.").1))
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    let routes = Router::new().route("/account", get(account).post(account)).route("/api/account", get(account));
    routes.fallback(not_found).layer(SessionLayer::new(sessions).on_rejection(page))
}
