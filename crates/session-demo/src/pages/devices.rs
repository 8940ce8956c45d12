//! "Your devices".

use axum::extract::Extension;
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;
use session_core::{DeleteOutcome, Kind, SessionId, SessionSummary, Timestamp};
use session_tower::{Authenticated, BindingState};

use super::agent::in_words;
use super::errors::{Form, PageError};
use super::layout::{Viewer, page};
use super::moment::moment;
use super::notice;
use crate::actions;
use crate::caller::Caller;

pub(super) async fn show(session: Authenticated, bound: Option<Extension<BindingState>>) -> Result<Markup, PageError> {
    let manager = session.manager();
    let mut sessions = manager.list(session.user()).await?;
    // This one first, the others as they were.
    sessions.sort_by_key(|listed| session.id() != listed.id);
    let now = manager.now();
    let content = html! {
        (notice::take(&session)?)
        p.quiet { "Where you are signed in. “Last activity” lags behind by up to a minute or so." }
        @if let Some(Extension(state)) = bound { (binding(state)) }
        ul.devices { @for listed in &sessions { (device(listed, session.id() == listed.id, now)) } }
        @if sessions.len() > 1 {
            form method="post" action="/devices/revoke-others" { button.quiet { "Log out all other devices" } }
        }
        details {
            summary { "Log out everywhere…" }
            p { "This ends every session of yours: " (count(sessions.len())) "." }
            form method="post" action="/devices/revoke-all" { button.danger { "Log out everywhere" } }
        }
        p { a href="/" { "Back to the start" } }
    };
    Ok(page("Your devices", &Viewer::User(session.user().clone()), &content))
}

/// What a copy of the cookies is worth.
fn binding(state: BindingState) -> Markup {
    html! {
        @match state {
            BindingState::Bound => p.binding {
                strong { "Bound to this device. " }
                "A copy of your cookies, made by malware, say, is refused after ten minutes at the latest: only this device can renew them."
            }
            BindingState::Registered => p.binding {
                "This device has registered a key. From its next request on, your session is good here alone."
            }
            BindingState::Unbound | BindingState::Missing => p.binding {
                strong { "Not bound. " }
                "Your browser does not bind sessions to devices (yet): whoever copies your cookies has your session until it ends."
            }
        }
    }
}

fn device(listed: &SessionSummary, current: bool, now: Timestamp) -> Markup {
    let agent = in_words(listed.device.user_agent());
    html! {
        li {
            div {
                strong { (agent) }
                @if current { " " span.current { "This device" } }
                @if listed.is_bound { " " span.bound { "Bound to its device" } }
                p.quiet {
                    @if let Some(ip) = listed.device.ip() { span.part { "From " (ip) ". " } " " }
                    span.part {
                        "Signed in " (moment(listed.created_at, now))
                        @if listed.kind == Kind::Refresh { " with a refresh token" }
                        ","
                    }
                    " "
                    span.part { "last activity " (moment(listed.last_seen, now)) "." }
                    " "
                    a href={ "/timeline?id=" (listed.id) } aria-label={ "Timeline of " (agent) } { "Timeline" }
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
    let is_current = session.id() == id;
    let caller = Caller::Browser(session.clone());
    let outcome = actions::revoke(&caller, &id).await?;
    if !is_current {
        let text = match outcome {
            DeleteOutcome::Deleted => "That device is logged out.",
            DeleteOutcome::Absent => "That device was logged out already.",
        };
        notice::leave(&session, text.to_owned());
    }
    Ok(Redirect::to("/devices"))
}

pub(super) async fn revoke_others(session: Authenticated) -> Result<Redirect, PageError> {
    let text = match actions::revoke_others(&Caller::Browser(session.clone())).await? {
        0 => "There was no other device to log out.".to_owned(),
        1 => "1 other device is logged out.".to_owned(),
        others => format!("{others} other devices are logged out."),
    };
    notice::leave(&session, text);
    Ok(Redirect::to("/devices"))
}

pub(super) async fn revoke_all(session: Authenticated) -> Result<Redirect, PageError> {
    actions::revoke_all(&Caller::Browser(session)).await?;
    Ok(Redirect::to("/?everywhere"))
}

fn count(devices: usize) -> String {
    if devices == 1 { "that of this device".to_owned() } else { format!("{devices} devices, this one among them") }
}
