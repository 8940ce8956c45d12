//! An API at `api.example.org` for a single-page application at `app.example.org`: another origin of the same site.

use std::error::Error;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method};
use axum::routing::{get, post};
use axum::{Form, Router};
use session_kit::axum::{Authenticated, OriginGuard, Rejection, Session, SessionLayer};
use session_kit::{Login, SessionManager, UserId};
use tower_http::cors::CorsLayer;

const APP: &str = "https://app.example.org";

async fn me(session: Authenticated) -> String {
    session.user().as_str().to_owned()
}

#[derive(serde::Deserialize)]
struct Credentials {
    name: UserId,
}

async fn log_in(session: Session, Form(form): Form<Credentials>) -> Result<(), Rejection> {
    Ok(session.login(Login::new(form.name).method("pwd"))?) // after you checked the password
}

/// In the application: `fetch("https://api.example.org/me", { credentials: "include" })`.
pub(crate) fn app(sessions: SessionManager) -> Result<Router, Box<dyn Error>> {
    // To act for the user: the guard refuses requests of other origins, if they are not trusted.
    let guard = OriginGuard::new().trusted_origin(APP)?;
    // To read the answers: exactly this origin, because of the credentials.
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(APP))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE]);
    let routes = Router::new().route("/me", get(me)).route("/login", post(log_in));
    // CORS is outside: then the application can also read what the layer answers in place of a handler, such as 401.
    Ok(routes.layer(SessionLayer::new(sessions).origin_guard(guard)).layer(cors))
}
