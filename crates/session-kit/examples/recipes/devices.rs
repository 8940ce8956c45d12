//! "Your devices": a list, the end of one of them, of all others, and of all.

use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Form, Router};
use session_kit::axum::{Authenticated, Rejection, SessionLayer};
use session_kit::{DeleteOutcome, SessionId, SessionManager};

async fn list(session: Authenticated) -> Result<String, Rejection> {
    let mut text = String::new();
    // The one that was used last comes first.
    for entry in session.manager().list(session.user()).await? {
        let name = entry.device.user_agent().unwrap_or("unknown"); // what a stranger sent: escape it in a page
        let here = if session.id() == entry.id { ", this device" } else { "" };
        text += &format!("{} {name}, seen {}{here}\n", entry.id, entry.last_seen);
    }
    Ok(text)
}

#[derive(serde::Deserialize)]
struct Entry {
    /// No secret: it gives access to nothing.
    id: SessionId,
}

async fn end(session: Authenticated, Form(Entry { id }): Form<Entry>) -> Result<Redirect, Rejection> {
    if session.id() == id {
        session.logout()?; // which also removes the cookie
    } else {
        match session.manager().revoke(session.user(), &id).await? {
            DeleteOutcome::Deleted => {}
            DeleteOutcome::Absent => {} // ended already, or not a session of this user, which was left alone
        }
    }
    Ok(Redirect::to("/devices"))
}

async fn end_others(session: Authenticated) -> Result<String, Rejection> {
    let ended = session.manager().revoke_others(session.user(), &session.id()).await?;
    Ok(format!("{ended} other devices are logged out")) // at their next request; their sockets at once
}

async fn end_all(session: Authenticated) -> Result<Redirect, Rejection> {
    session.logout()?;
    session.commit().await?; // this one first, with its cookie
    session.manager().revoke_all(session.user()).await?;
    Ok(Redirect::to("/login"))
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    let routes = Router::new().route("/devices", get(list).post(end));
    let routes = routes.route("/devices/end-others", post(end_others)).route("/devices/end-all", post(end_all));
    routes.layer(SessionLayer::new(sessions))
}
