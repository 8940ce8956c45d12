//! Visitors are led to the login, and back to the page that they wanted.

use std::error::Error;

use axum::extract::Query;
use axum::response::{Html, Redirect};
use axum::routing::get;
use axum::{Form, Router};
use session_kit::axum::{Authenticated, Rejection, Session, SessionLayer, safe_next};
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

pub(crate) fn app(sessions: SessionManager) -> Result<Router, Box<dyn Error>> {
    // Pages only. A form that was sent stays a 401: there is nothing to return to, and a redirect would lose it.
    let sessions = SessionLayer::new(sessions).redirect_to_login("/login")?;
    let routes = Router::new().route("/login", get(Html(FORM)).post(log_in)).route("/orders", get(orders).post(orders));
    Ok(routes.layer(sessions))
}
