//! "Remember me": a login that outlives the browser, and lives longer, if its user asked for it.

use std::time::Duration;

use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Form, Router};
use session_kit::axum::{Authenticated, Rejection, Session, SessionLayer};
use session_kit::{Login, Persistence, Policy, PolicyError, RememberMe, SessionManager, Timeouts, UserId};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The policy decides, a login only asks. `Policy::standard()` has 7 and 30 days; these users may stay away for longer.
pub(crate) fn policy() -> Result<Policy, PolicyError> {
    let remembered = Timeouts { idle: 14 * DAY, absolute: 60 * DAY };
    Policy::standard().to_builder().remember_me(RememberMe::OptIn(remembered)).build()
}

#[derive(serde::Deserialize)]
struct Credentials {
    name: String,
    /// `<input type=checkbox name=remember>`, which a browser sends only if it is ticked.
    remember: Option<String>,
}

async fn log_in(session: Session, Form(form): Form<Credentials>) -> Result<Redirect, Rejection> {
    let Ok(user) = UserId::new(form.name) else { return Ok(Redirect::to("/login")) };
    let login = Login::new(user).method("pwd"); // after you checked the password
    session.login(if form.remember.is_some() { login.remember() } else { login })?;
    Ok(Redirect::to("/"))
}

/// How long the user may stay away.
async fn page(session: Authenticated) -> String {
    let Some(info) = session.info() else { return String::new() };
    let kept = match info.persistence {
        Persistence::Persistent => "kept when the browser closes",
        Persistence::Transient => "ends with the browser",
    };
    format!("until {}, {kept}", info.deadline())
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new().route("/", get(page)).route("/login", post(log_in)).layer(SessionLayer::new(sessions))
}
