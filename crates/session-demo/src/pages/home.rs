//! The home page: sign in, or the dashboard.

use axum::Extension;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use session_core::{SessionSummary, Timestamp};
use session_tower::{Authenticated, Fresh, Rejection, Session, safe_next};

use super::errors::{Form, PageError};
use super::kinds;
use super::layout::{moment, page, password_form, utc};
use crate::accounts::{Credentials, Reauthentication, device};
use crate::actions::{self, CART, COUNTER};
use crate::args::Mode;

/// The query of the page after a login: an anonymous session there means that the cookie was lost.
const WELCOME: &str = "welcome";

/// The page to come back to after the login.
#[derive(Default, Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

pub(super) async fn show(
    Extension(mode): Extension<Mode>,
    session: Session,
    uri: Uri,
    query: Result<Query<Next>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Markup, PageError> {
    let user = session.user();
    let user = user.as_ref().map(|user| user.as_str());
    let welcome = uri.query() == Some(WELCOME);
    let Query(Next { next }) = query.unwrap_or_default();
    let title = if user.is_some() { "Dashboard" } else { "Sign in" };
    let content = html! {
        @if welcome && user.is_none() { (lost_cookie()) }
        @if user.is_none() { (sign_in_form(None, next.as_deref())) }
        (values(&session)?)
        @if user.is_some() {
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
    Ok(page(title, user, &content))
}

pub(super) async fn login(mut parts: Parts, Form(credentials): Form<Credentials>) -> Result<Response, PageError> {
    let next = credentials.next.as_deref();
    let Some(login) = credentials.login(device(&parts)) else {
        let content = sign_in_form(Some("The name or the password is wrong."), next);
        return Ok((StatusCode::UNAUTHORIZED, page("Sign in", None, &content)).into_response());
    };
    actions::log_in(&mut parts, login).await?;
    let next = next.and_then(safe_next).map_or_else(|| format!("/?{WELCOME}"), str::to_owned);
    Ok(Redirect::to(&next).into_response())
}

pub(super) async fn logout(session: Session) -> Result<Redirect, PageError> {
    session.logout()?;
    Ok(Redirect::to("/"))
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

/// Within 5 minutes of a login or reauthentication.
pub(super) async fn sensitive(session: Fresh<300>) -> Markup {
    let content = html! { section { p { "Your recovery code is " strong { "1234-5678" } "." } } };
    page("Sensitive page", Some(session.user().as_str()), &content)
}

pub(super) async fn reauthenticate(
    session: Authenticated,
    Form(reauthentication): Form<Reauthentication>,
) -> Result<Response, PageError> {
    let Some(step_up) = reauthentication.step_up(session.user()) else {
        let content = password_form(Some("The password is wrong."));
        let page = page("Is it really you?", Some(session.user().as_str()), &content);
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    session.step_up(step_up)?;
    Ok(Redirect::to("/sensitive").into_response())
}

fn sign_in_form(problem: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if let Some(problem) = problem { p.notice role="alert" { (problem) } }
        section {
            form method="post" action="/login" {
                label { "Name" input name="username" autocomplete="username" autocapitalize="none" required; }
                label { "Password" input name="password" type="password" autocomplete="current-password" required; }
                label.check { input name="remember" type="checkbox" value="true"; "Stay signed in on this device" }
                @if let Some(next) = next { input type="hidden" name="next" value=(next); }
                button { "Sign in" }
            }
            p.quiet {
                "There are " code { "alice" } ", " code { "bob" } " and " code { "carol" }
                ", and their password is " code { "correct-horse" } "."
            }
        }
    }
}

fn lost_cookie() -> Markup {
    html! {
        p.notice role="alert" {
            "You signed in, but your browser did not keep the cookie: it is Secure, and some browsers keep such \
             cookies over https only. Restart the demo with "
            code { "--insecure-cookies" } ", or use Chromium or Firefox."
        }
    }
}

/// The values in the session.
fn values(session: &Session) -> Result<Markup, Rejection> {
    let counter = session.get(COUNTER)?.unwrap_or_default();
    let cart = session.get(CART)?.unwrap_or_default();
    Ok(html! {
        section {
            h2 { "Counter" }
            p.count { (counter) }
            p.quiet { "Open this page in several tabs: no click gets lost." }
            form method="post" action="/count" { button { "Count" } }
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
                button { "Add" }
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
                    dt { "Public id" } dd { code { (session.id) } }
                    dt { "Began" } dd { (time(session.created_at, now)) }
                    dt { "Last activity" } dd { (time(session.last_seen, now)) }
                    dt { "Ends when idle" } dd { (time(session.deadline(), now)) }
                    dt { "Ends in any case" } dd { (time(session.absolute_deadline(), now)) }
                },
            }
            p.quiet {
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

fn time(at: Timestamp, now: Timestamp) -> Markup {
    let text = utc(at).replace('T', " ").replace('Z', " UTC");
    html! { (moment(at, now)) " " span.utc { "(" (text) ")" } }
}
