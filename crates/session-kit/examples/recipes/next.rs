//! Visitors are led to the login, and back to the page that they wanted.

use axum::extract::Query;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::{Html, Redirect};
use axum::routing::get;
use axum::{Form, Router};
use session_kit::axum::{Authenticated, Rejection, RejectionKind, Session, SessionLayer, safe_next};
use session_kit::{Login, SessionManager, UserId};

#[derive(serde::Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(serde::Deserialize)]
struct Credentials {
    name: String,
}

/// Without an `action`, the form is sent to the address that it was shown at, `next` included.
const FORM: &str = "<form method=post><input name=name><button>Log in</button></form>";

async fn log_in(
    session: Session,
    Query(Next { next }): Query<Next>,
    Form(form): Form<Credentials>,
) -> Result<Redirect, Rejection> {
    let Ok(user) = UserId::new(form.name) else { return Ok(Redirect::to("/login")) };
    session.login(Login::new(user))?; // after you checked a password
    // Whoever made the link to this page wrote `next`: only a page of this site may follow.
    Ok(Redirect::to(safe_next(&next).unwrap_or("/")))
}

async fn orders(session: Authenticated) -> String {
    format!("orders of {}", session.user().as_str())
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    let sessions = SessionLayer::new(sessions).on_rejection(|rejection, request| {
        let mut response = Response::new(rejection.to_string().into());
        *response.status_mut() = rejection.status();
        // Nothing to return to: a form that was sent, which would be lost. That stays a 401.
        if let (RejectionKind::Unauthenticated, Some(page)) = (rejection.kind(), request.return_to())
            && let Ok(login) = HeaderValue::try_from(format!("/login?next={page}"))
        {
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(LOCATION, login);
        }
        response
    });
    let routes = Router::new().route("/login", get(Html(FORM)).post(log_in)).route("/orders", get(orders).post(orders));
    routes.layer(sessions)
}
