//! The home page: what to try, the values in the session, and the session itself.

use axum::Extension;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use session_core::{SessionSummary, Timestamp};
use session_tower::{Authenticated, Fresh, Rejection, RejectionKind, Session};

use super::errors::{Form, PageError};
use super::forms::password_form;
use super::kinds;
use super::layout::{Viewer, page};
use super::moment::dated_moment;
use super::sign_in::Arrival;
use crate::accounts::Reauthentication;
use crate::actions::{CART, COUNTER};
use crate::args::Mode;

pub(super) async fn show(
    Extension(mode): Extension<Mode>,
    session: Session,
    query: Result<Query<Arrival>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let viewer = session.user().map_or(Viewer::Unnamed, Viewer::User);
    let is_user = viewer.is_user();
    let Query(arrival) = query.unwrap_or_default();
    let content = html! {
        @if !is_user { (arrival.form(&headers)) }
        (what_to_try(is_user, mode))
        (values(&session)?)
        @if is_user {
            section {
                h2 { "Sensitive page" }
                p {
                    a href="/sensitive" { "Show the recovery code" }
                    " – asks for your password again 5 minutes after the last time."
                }
            }
        }
        @if mode == Mode::Hybrid { (kinds::tokens(&headers)) }
        (about(session.info().as_ref(), session.manager().now(), mode, &headers))
    };
    let title = if is_user { "Dashboard" } else { "Sign in" };
    Ok((arrival.headers(&headers), page(title, &viewer, &content)).into_response())
}

/// What this site is there to show.
fn what_to_try(is_user: bool, mode: Mode) -> Markup {
    let has_store = mode != Mode::Client;
    html! {
        section.try {
            h2 { "What to try" }
            p { "This site does nothing but show what its sessions do." }
            ol {
                @if !is_user {
                    li { "Count, and put something into the cart, before you sign in: both are still there afterwards." }
                }
                @if has_store {
                    li { "Open this page in two tabs, and count in both: no click gets lost." }
                    li {
                        "Sign in as the same user with a second browser, or in a private window. "
                        @if is_user { a href="/devices" { "Your devices" } } @else { "Your devices" }
                        " has both. Log one of them out there, and its next click shows that it is."
                    }
                }
                li {
                    "Look at the " a href="/timeline" { "timeline of your session" }
                    ": when it began, and when it will end, whatever you do."
                }
                @if has_store {
                    li {
                        "As " code { "alice" } ", who is the administrator, look at "
                        @if is_user { a href="/admin" { "all sessions" } } @else { "all sessions" }
                        ": how many there are, over time. " code { "bob" } " may not."
                    }
                }
                li { a href="/kinds" { "Compare the three kinds of sessions" } ", and start this site with another." }
            }
        }
    }
}

pub(super) async fn count(session: Session) -> Result<Redirect, PageError> {
    session.update(COUNTER, |count| *count = count.saturating_add(1))?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
pub(super) struct Item {
    item: String,
}

pub(super) async fn add_to_cart(session: Session, Form(Item { item }): Form<Item>) -> Result<Redirect, PageError> {
    let item = Value::from(item.trim());
    if item != "" {
        session.update(CART, move |cart| match cart.as_array_mut() {
            Some(items) => items.push(item),
            None => *cart = Value::from(vec![item]),
        })?;
    }
    Ok(Redirect::to("/"))
}

pub(super) async fn empty_cart(session: Session) -> Result<Redirect, PageError> {
    session.remove(CART)?;
    Ok(Redirect::to("/"))
}

/// Within 5 minutes of a login or reauthentication; else it asks for the password.
pub(super) async fn sensitive(
    session: Authenticated,
    fresh: Result<Fresh<300>, Rejection>,
) -> Result<Response, PageError> {
    let viewer = Viewer::User(session.user().clone());
    Ok(match fresh {
        Ok(_) => {
            let content = html! {
                section { p { "Your recovery code is " strong { "1234-5678" } "." } }
                p { a href="/" { "Back to the start" } }
            };
            page("Sensitive page", &viewer, &content).into_response()
        }
        Err(rejection) if rejection.kind() == RejectionKind::ReauthenticationRequired => {
            (rejection.status(), page("Is it really you?", &viewer, &password_form(None))).into_response()
        }
        Err(rejection) => return Err(rejection.into()),
    })
}

pub(super) async fn reauthenticate(
    session: Authenticated,
    Form(reauthentication): Form<Reauthentication>,
) -> Result<Response, PageError> {
    let Some(step_up) = reauthentication.step_up(session.user()) else {
        let content = password_form(Some("The password is wrong."));
        let page = page("Is it really you?", &Viewer::User(session.user().clone()), &content);
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    session.step_up(step_up)?;
    Ok(Redirect::to("/sensitive").into_response())
}

/// The values in the session.
fn values(session: &Session) -> Result<Markup, Rejection> {
    let counter = session.get(COUNTER)?.unwrap_or_default();
    let cart = session.get(CART)?.unwrap_or_default();
    Ok(html! {
        section {
            h2 { "Counter" }
            p.count { (counter) }
            form method="post" action="/count" { button.quiet { "Count" } }
        }
        section {
            h2 { "Cart" }
            @match &cart {
                Value::Null => p.quiet { "Nothing in it yet. What a visitor collects is kept when they sign in." },
                Value::Array(items) => ul { @for item in items { li { (text(item)) } } },
                other => p { (text(other)) },
            }
            form.row method="post" action="/cart/add" {
                input name="item" aria-label="Item" placeholder="Item" maxlength="80" required;
                button.quiet { "Add" }
            }
            @if !cart.is_null() {
                br;
                form method="post" action="/cart/empty" { button.quiet { "Empty the cart" } }
            }
        }
    })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The session itself.
fn about(session: Option<&SessionSummary>, now: Timestamp, mode: Mode, headers: &HeaderMap) -> Markup {
    html! {
        section {
            h2 { "This session" }
            @match session {
                None if is_link_from_another_site(headers) => p.quiet {
                    "You came here from another site, and your browser has shown no cookie: it may have kept one back. If \
                     you are signed in, "
                    a href="/" { "the next click" }
                    " on this site shows it."
                },
                None => p.quiet { "Nothing is stored for you yet: your browser has shown no cookie of a live session." },
                Some(session) => dl {
                    dt { "Public id" } dd { code.id { (session.id) } }
                    dt { "Began" } dd { (dated_moment(session.created_at, now)) }
                    dt { "Last activity" } dd { (dated_moment(session.last_seen, now)) }
                    dt { "Ends when idle" } dd { (dated_moment(session.deadline(), now)) }
                    dt { "Ends in any case" } dd { (dated_moment(session.absolute_deadline(), now)) }
                },
            }
            p.quiet {
                @if session.is_some() { a href="/timeline" { "The same as a picture" } ". " }
                "This is " code { "--mode " (mode.name()) } ", one of "
                a href="/kinds" { "three kinds of sessions" } "."
            }
        }
    }
}

/// With a `SameSite=Strict` cookie, such a request comes without it, which says nothing about who is signed in.
fn is_link_from_another_site(headers: &HeaderMap) -> bool {
    let is = |name, value| headers.get(name).is_some_and(|header| header == value);
    is("sec-fetch-site", "cross-site") && is("sec-fetch-dest", "document")
}
