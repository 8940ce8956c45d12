//! The application and the token routes at different origins: CORS decides who may read answers, the guard who may act, and
//! `SameSite=Strict` whether there is a cookie.

use std::time::Duration;

use serde_json::Value;
use session_core::EventKind;
use session_testbed::browser::Context;

use super::{Options, Refresh, Server, Tab, cookie};
use crate::applications::DOMAIN;
use crate::bed::{OTHER, SIBLING, THIRD, bed};

/// An application that is at another origin of the site.
fn app() -> String {
    format!("https://app.{DOMAIN}")
}

/// Calls of the token routes from elsewhere, with what the browser has.
struct Calls {
    login: String,
    refresh: String,
    revoke: String,
}

impl Calls {
    fn of(server: &Server) -> Self {
        let origin = &server.origin;
        let with = "credentials: 'include'";
        Self {
            login: format!("'{origin}/api/token', {{ {with}, ...json(alice) }}"),
            refresh: format!("'{origin}/api/token/refresh', {{ {with} }}"),
            revoke: format!("'{origin}/api/token/revoke', {{ {with} }}"),
        }
    }
}

fn me(server: &Server, body: &Value) -> String {
    format!("'{}/api/me', bearer({})", server.origin, body["access_token"])
}

/// Somebody who has signed in at the origin of the server itself, in this tab.
async fn signed_in_there(server: &Server) -> (Context, Tab) {
    let person = bed().await.person().await;
    let own = Tab::open(&person, &server.origin).await;
    assert_eq!(own.call("'/api/token', json(alice)").await.0, 200);
    server.events.take();
    server.log.take();
    (person, own)
}

/// Asserts that the cookie is the one from `before`, and still the current one.
async fn assert_nothing_used_up(server: &Server, person: &Context, own: &Tab, before: &str) {
    assert_eq!(cookie(person).await.value, before);
    server.events.take();
    // A cookie that was just replaced would stay.
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(own.call("'/api/token/refresh'").await.0, 200);
    assert_eq!(server.events.take(), [EventKind::Renewed]);
}

#[tokio::test]
async fn a_trusted_origin_of_the_site_signs_in_refreshes_and_signs_out() {
    let app = app();
    let options = Options { refresh: Refresh::Cookie, cors: Some(&app), trusted: Some(&app) };
    let server = Server::start("api", options).await;
    let calls = Calls::of(&server);
    let person = bed().await.person().await;
    let tab = Tab::open(&person, &app).await;

    let wrong = calls.login.replace("alice", "{ username: 'alice', password: 'wrong' }");
    let (status, body) = tab.call(&wrong).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()), "the page reads errors");
    assert_eq!(server.log.take(), ["OPTIONS /api/token 200", "POST /api/token 400"]);

    let (status, body) = tab.call(&calls.login).await;
    assert_eq!((status, &body["refresh_token"]), (200, &Value::Null));
    server.log.take();
    let first = cookie(&person).await;
    assert_eq!(first.domain, format!("api.{DOMAIN}"), "for no other host");
    assert_eq!(tab.call(&me(&server, &body)).await, (200, "alice".into()));
    assert_eq!(server.log.take(), ["OPTIONS /api/me 200", "GET /api/me 200"]);

    for _ in 0..2 {
        let (status, body) = tab.call(&calls.refresh).await;
        assert_eq!(status, 200);
        assert_eq!(server.log.take(), ["POST /api/token/refresh 200"], "there is nothing to ask for before");
        assert_eq!(tab.call(&me(&server, &body)).await, (200, "alice".into()));
        server.log.take();
    }
    let last = cookie(&person).await;
    assert_ne!(first.value, last.value);

    // What is easily forgotten: the browser neither sends the cookie then, nor takes one.
    let without = calls.refresh.replace("include", "same-origin");
    let (status, body) = tab.call(&without).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
    assert_eq!(tab.call(&calls.login.replace("include", "same-origin")).await.0, 200);
    assert_eq!(cookie(&person).await, last);

    assert_eq!(tab.call(&calls.revoke).await.0, 200);
    assert_eq!(person.cookies().await.unwrap(), []);
    assert_eq!(tab.call(&calls.refresh).await.1["error"], "invalid_grant");
    let events = server.events.take();
    assert!(!events.iter().any(|event| matches!(event, EventKind::CrossOrigin(_))), "{events:?}");
}

/// The browser sends the cookie, because the site is the same. What needs a preflight does not arrive; the rest is refused.
#[tokio::test]
async fn an_origin_of_the_site_that_is_not_trusted_reads_nothing_and_uses_nothing_up() {
    let app = app();
    let options = Options { refresh: Refresh::Cookie, cors: Some(&app), trusted: Some(&app) };
    let server = Server::start("api-of-app", options).await;
    let calls = Calls::of(&server);
    let (person, own) = signed_in_there(&server).await;
    let before = cookie(&person).await.value;

    let sibling = Tab::open(&person, SIBLING).await;
    assert_eq!(sibling.call(&calls.login).await.0, 0);
    assert_eq!(
        server.log.take(),
        ["OPTIONS /api/token 200"],
        "CORS answers for another origin, and the browser compares"
    );
    assert_eq!(server.events.take(), []);
    for (call, path) in [(&calls.refresh, "/api/token/refresh"), (&calls.revoke, "/api/token/revoke")] {
        for call in [call.clone(), call.replace("credentials:", "mode: 'no-cors', credentials:")] {
            assert_eq!(sibling.call(&call).await.0, 0, "{call}");
            assert_eq!(server.log.take(), [format!("POST {path} 403")]);
            let events = server.events.take();
            assert!(matches!(events[..], [EventKind::CrossOrigin(_)]), "{call}: {events:?}");
        }
    }
    // A login that needs no preflight, as a form could send it: no session of somebody else for this person.
    let form = "mode: 'no-cors', body: new URLSearchParams({ grant_type: 'password', ...alice })";
    let form = format!("'{}/api/token', {{ credentials: 'include', {form} }}", server.origin);
    assert_eq!(sibling.call(&form).await.0, 0);
    assert_eq!(server.log.take(), ["POST /api/token 403"]);

    assert_nothing_used_up(&server, &person, &own, &before).await;
    let trusted = Tab::open(&person, &app).await;
    assert_eq!(trusted.call(&calls.refresh).await.0, 200);
    assert_eq!(server.events.take(), [], "a moment after the last one: the cookie stays");
}

/// CORS does not protect, and is no substitute for trust: the page may read that it may not.
#[tokio::test]
async fn an_origin_that_only_cors_knows_is_refused() {
    let app = app();
    let options = Options { refresh: Refresh::Cookie, cors: Some(&app), trusted: None };
    let server = Server::start("api-of-nobody", options).await;
    let calls = Calls::of(&server);
    let (person, own) = signed_in_there(&server).await;
    let before = cookie(&person).await.value;
    let tab = Tab::open(&person, &app).await;
    for call in [&calls.login, &calls.refresh, &calls.revoke] {
        let (status, body) = tab.call(call).await;
        assert_eq!((status, &body["error"]), (403, &"cross_origin".into()), "{call}");
    }
    assert_nothing_used_up(&server, &person, &own, &before).await;
}

/// Whatever the server allows: the browser sends a `Strict` cookie to no other site, and takes none there.
#[tokio::test]
async fn on_another_site_there_is_no_refresh_cookie() {
    let options = Options { refresh: Refresh::Cookie, cors: Some(OTHER), trusted: Some(OTHER) };
    let server = Server::start("api-of-another-site", options).await;
    let calls = Calls::of(&server);
    let (person, own) = signed_in_there(&server).await;
    let before = cookie(&person).await.value;

    let other = Tab::open(&person, OTHER).await;
    let (status, body) = other.call(&calls.refresh).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_grant".into()));
    let (status, body) = other.call(&calls.revoke).await;
    assert_eq!((status, &body["error"]), (400, &"invalid_request".into()), "there is nothing to revoke");
    assert_eq!(other.call(&calls.login).await.0, 200, "an access token, and a cookie that is dropped");
    assert_eq!(other.call(&calls.refresh).await.0, 400);
    assert_nothing_used_up(&server, &person, &own, &before).await;

    let third = Tab::open(&person, THIRD).await;
    let before = cookie(&person).await.value;
    server.log.take();
    for call in [&calls.refresh, &calls.revoke] {
        assert_eq!(third.call(call).await.0, 0, "{call}");
    }
    assert_eq!(server.log.take(), ["POST /api/token/refresh 403", "POST /api/token/revoke 403"]);
    assert_nothing_used_up(&server, &person, &own, &before).await;
}

/// What is left for it: the page keeps the refresh token. There is nothing then that a browser adds by itself, so the guard has
/// nothing to do, and needs to know no origin.
#[tokio::test]
async fn on_another_site_the_page_keeps_the_refresh_token_itself() {
    let options = Options { refresh: Refresh::Body, cors: Some(OTHER), trusted: None };
    let server = Server::start("api-with-bodies", options).await;
    let origin = &server.origin;
    let person = bed().await.person().await;
    let tab = Tab::open(&person, OTHER).await;

    let (status, mut body) = tab.call(&format!("'{origin}/api/token', json(alice)")).await;
    assert_eq!(status, 200);
    for _ in 0..3 {
        let refresh = format!("'{origin}/api/token/refresh', json({{ refresh_token: {} }})", body["refresh_token"]);
        let (status, next) = tab.call(&refresh).await;
        assert_eq!(status, 200);
        assert_ne!(next["refresh_token"], body["refresh_token"]);
        assert_eq!(tab.call(&me(&server, &next)).await, (200, "alice".into()));
        body = next;
    }
    let revoke = format!("'{origin}/api/token/revoke', json({{ token: {} }})", body["refresh_token"]);
    assert_eq!(tab.call(&revoke).await.0, 200);
    assert_eq!(server.sessions().await, 0);
    assert_eq!(person.cookies().await.unwrap(), []);

    // Of a site that CORS does not know, a request with JSON does not arrive.
    server.log.take();
    let third = Tab::open(&person, THIRD).await;
    assert_eq!(third.call(&format!("'{origin}/api/token', json(alice)")).await.0, 0);
    assert_eq!(server.log.take(), ["OPTIONS /api/token 200"]);
}
