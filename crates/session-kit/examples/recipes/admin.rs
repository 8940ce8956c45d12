//! A page for administrators: how many sessions there are, all of them page by page, and the end of each.

use std::num::NonZeroU32;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Form, Router};
use session_kit::axum::{Authenticated, Fresh, Rejection, RejectionKind, SessionLayer};
use session_kit::store::Cursor;
use session_kit::{SessionId, SessionManager, UserId};

/// A user who may see this page. An extractor, so that no route forgets to ask.
struct Administrator(Authenticated);

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let session = Authenticated::from_request_parts(parts, state).await?;
        let is_administrator = session.user().as_str() == "root"; // ask your database: sessions know no roles
        if is_administrator { Ok(Self(session)) } else { Err(RejectionKind::Forbidden.into()) }
    }
}

#[derive(serde::Deserialize)]
struct PageQuery {
    after: Option<String>,
}

async fn list(admin: Administrator, Query(query): Query<PageQuery>) -> Result<String, Rejection> {
    let sessions = admin.0.manager();
    let count = sessions.count().await?;
    let after = query.after.map(Cursor::new);
    let page = sessions.list_all(after.as_ref(), NonZeroU32::MIN.saturating_add(99)).await?;
    let mut text = format!("{}{} sessions\n", if count.is_exact { "" } else { "about " }, count.sessions);
    for session in &page.listing.sessions {
        let user = session.user().map_or("a visitor", UserId::as_str);
        text += &format!("{} {user}, seen {}\n", session.id, session.last_seen);
    }
    // A page may be empty although others follow: only the cursor says which one is the last.
    Ok(text + &page.next.map(|next| format!("next: ?after={}\n", next.as_str())).unwrap_or_default())
}

#[derive(serde::Deserialize)]
struct Revoke {
    /// Without one: a visitor.
    user: Option<UserId>,
    /// Without one: all sessions of the user.
    session: Option<SessionId>,
}

/// Only for who has proved within five minutes who they are.
async fn revoke(admin: Administrator, _: Fresh<300>, Form(form): Form<Revoke>) -> Result<Redirect, Rejection> {
    let sessions = admin.0.manager();
    match (&form.user, &form.session) {
        (Some(user), Some(session)) => drop(sessions.revoke(user, session).await?),
        (Some(user), None) => drop(sessions.revoke_all(user).await?),
        (None, Some(visitor)) => drop(sessions.revoke_visitor(visitor).await?),
        (None, None) => {}
    }
    Ok(Redirect::to("/sessions")) // obeyed by every node, at the next request
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new().route("/sessions", get(list).post(revoke)).layer(SessionLayer::new(sessions))
}
