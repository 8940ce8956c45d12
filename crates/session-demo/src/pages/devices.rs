//! "Your devices".

use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;
use session_core::{Kind, SessionId, SessionSummary, Timestamp};
use session_tower::{Authenticated, RejectionKind};

use super::agent::in_words;
use super::errors::{Form, PageError};
use super::layout::{moment, page};
use crate::actions;
use crate::caller::Caller;

pub(super) async fn show(session: Authenticated) -> Result<Markup, PageError> {
    let manager = session.manager();
    let mut sessions = manager.list(session.user()).await?;
    // This one first, the others as they were.
    sessions.sort_by_key(|listed| session.id() != Some(listed.id));
    let now = manager.now();
    let content = html! {
        p.quiet { "Where you are signed in. “Last activity” lags behind by up to a minute or so." }
        ul.devices { @for listed in &sessions { (device(listed, session.id() == Some(listed.id), now)) } }
        div.row {
            form method="post" action="/devices/revoke-others" { button.quiet { "Log out all other devices" } }
            form method="post" action="/devices/revoke-all" { button.danger { "Log out everywhere" } }
        }
        p { a href="/" { "Back to the start" } }
    };
    Ok(page("Your devices", Some(session.user().as_str()), &content))
}

fn device(listed: &SessionSummary, current: bool, now: Timestamp) -> Markup {
    let agent = in_words(listed.device.user_agent());
    html! {
        li {
            div {
                strong { (agent) }
                @if current { " " span.current { "This device" } }
                p.quiet {
                    @if let Some(ip) = listed.device.ip() { "From " (ip) ". " }
                    "Signed in " (moment(listed.created_at, now))
                    @if listed.kind == Kind::Refresh { " with a refresh token" }
                    ", last activity " (moment(listed.last_seen, now)) "."
                }
            }
            form method="post" action="/devices/revoke" {
                input type="hidden" name="id" value=(listed.id);
                button.danger aria-label={ "Log out " (agent) } { "Log out" }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Chosen {
    id: SessionId,
}

/// Idempotent: leads back to the list whether or not the session still existed.
pub(super) async fn revoke(session: Authenticated, Form(Chosen { id }): Form<Chosen>) -> Result<Redirect, PageError> {
    let _ = actions::revoke(&Caller::Browser(session), &id).await?;
    Ok(Redirect::to("/devices"))
}

pub(super) async fn revoke_others(session: Authenticated) -> Result<Redirect, PageError> {
    actions::revoke_others(&Caller::Browser(session)).await?;
    Ok(Redirect::to("/devices"))
}

pub(super) async fn revoke_all(session: Authenticated) -> Result<Redirect, PageError> {
    actions::revoke_all(&Caller::Browser(session)).await?;
    Ok(Redirect::to("/"))
}

/// Client-side sessions cannot be listed.
pub(super) async fn unsupported() -> PageError {
    RejectionKind::Unsupported.into()
}
