//! Signing in and out.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use session_tower::{Session, safe_next};

use super::errors::{Form, PageError};
use super::forms::sign_in_form;
use crate::accounts::{Credentials, device};
use crate::actions;

/// The name that was typed with a wrong password, for the form behind the redirect. In the session it would begin one for everybody
/// who guesses, and in the address it would be logged: some people type their password there.
const TYPED_NAME: &str = "typed-name";
/// In bytes. A longer one is typed again.
const MAX_NAME: usize = 64;

/// What the address of the home page says.
#[derive(Default, Deserialize)]
pub(super) struct Arrival {
    /// The page to come back to after the login.
    next: Option<String>,
    /// After a login: an anonymous session then means that the cookie was lost.
    welcome: Option<String>,
    /// After a wrong password.
    failed: Option<String>,
    /// After a logout of all devices.
    everywhere: Option<String>,
}

impl Arrival {
    /// What a visitor is to be told, and the form.
    pub(super) fn form(&self, headers: &HeaderMap) -> Markup {
        let problem = self.failed.is_some().then_some("The name or the password is wrong.");
        html! {
            @if self.welcome.is_some() { (lost_cookie()) }
            @if self.everywhere.is_some() {
                p.notice role="status" { "You are logged out on all devices, this one among them." }
            }
            @if let Some(problem) = problem {
                p.notice #problem role="alert" { (problem) }
            } @else if self.next.is_some() {
                p.notice role="status" { "Signing in leads you back to the page that you came from." }
            }
            (sign_in_form(problem, typed_name(headers).as_deref(), self.next.as_deref()))
        }
    }

    /// The headers of the page: the name that was typed is shown once.
    pub(super) fn headers(&self, headers: &HeaderMap) -> HeaderMap {
        let mut answer = HeaderMap::new();
        if typed_name(headers).is_some()
            && let Ok(removal) = HeaderValue::try_from(name_cookie("", Duration::ZERO))
        {
            answer.insert(SET_COOKIE, removal);
        }
        answer
    }
}

pub(super) async fn login(mut parts: Parts, Form(credentials): Form<Credentials>) -> Result<Response, PageError> {
    let next = credentials.next.as_deref().and_then(safe_next);
    let Some(login) = credentials.login(device(&parts)) else { return Ok(refused(&credentials.username, next)) };
    let (_, offer) = actions::log_in(&mut parts, login).await?;
    Ok((offer, Redirect::to(next.unwrap_or("/?welcome"))).into_response())
}

pub(super) async fn logout(session: Session) -> Result<Redirect, PageError> {
    session.logout()?;
    Ok(Redirect::to("/"))
}

/// Back to the form: by a redirect, so that a reload does not send the password again.
fn refused(username: &str, next: Option<&str>) -> Response {
    let next = next.map(|next| format!("&next={}", utf8_percent_encode(next, NON_ALPHANUMERIC))).unwrap_or_default();
    let mut response = Redirect::to(&format!("/?failed{next}")).into_response();
    if username.len() <= MAX_NAME
        && let Ok(name) = HeaderValue::try_from(name_cookie(username, Duration::MINUTE))
    {
        response.headers_mut().insert(SET_COOKIE, name);
    }
    response
}

/// Not `Secure`: it grants nothing, and this site works over plain http too.
fn name_cookie(username: &str, max_age: Duration) -> String {
    let cookie = Cookie::build((TYPED_NAME, username)).path("/").http_only(true).same_site(SameSite::Lax);
    cookie.max_age(max_age).build().encoded().to_string()
}

fn typed_name(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut cookies = cookies.flat_map(Cookie::split_parse_encoded).filter_map(Result::ok);
    let name = cookies.find(|cookie| cookie.name() == TYPED_NAME)?;
    Some(name.value().to_owned()).filter(|name| !name.is_empty() && name.len() <= MAX_NAME)
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{COOKIE, SET_COOKIE};

    use super::{refused, typed_name};

    fn sent_back(username: &str) -> Option<String> {
        let response = refused(username, None);
        let cookie = response.headers().get(SET_COOKIE)?.to_str().unwrap_or_default().to_owned();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"), "{cookie}");
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("a=b; {}", cookie.split(';').next()?).parse().ok()?);
        typed_name(&headers)
    }

    #[test]
    fn the_name_comes_back_as_it_was_typed() {
        for name in ["alice", "a; b=c", "\"><b>", "Zoë\r\nSet-Cookie: a=b", "%41", &"x".repeat(64)] {
            assert_eq!(sent_back(name).as_deref(), Some(name));
        }
        for name in ["", &"x".repeat(65)] {
            assert_eq!(sent_back(name), None, "{name}");
        }
        assert_eq!(typed_name(&HeaderMap::new()), None);
    }
}
