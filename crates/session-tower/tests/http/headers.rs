//! What a response carries: cookie, cache and vary headers, on every kind of response.

use std::time::Duration;

use crate::common::{Answer, COUNT, NOTE, Site, call, masked, request, routes, send, single};
use axum::response::AppendHeaders;
use futures::stream;
use http::StatusCode;
use session_core::{CookiePolicy, Login, Policy, SameSite, UserId};
use session_tower::{Rejection, RejectionKind, Session};

const STANDARD: &str = "__Host-id=<token>; HttpOnly; SameSite=Lax; Secure; Path=/";

/// A session is issued, and caches keep no copy of it.
#[track_caller]
fn assert_issued(answer: &Answer) {
    let cookies = answer.all("set-cookie");
    let ours: Vec<_> = cookies.iter().filter(|cookie| cookie.starts_with("__Host-id=")).collect();
    assert_eq!(ours.len(), 1, "{cookies:?}");
    assert_eq!(masked(ours[0]), STANDARD);
    assert_eq!(answer.all("cache-control"), ["no-store"]);
    assert_eq!(answer.all("vary"), ["Cookie"]);
}

#[tokio::test]
async fn untouched_and_read_only_responses_set_nothing() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/count", "").await.cookie();
    for cookie in ["", &cookie] {
        let plain = call(&app, "GET", "/plain", cookie).await;
        assert_eq!(
            plain.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["content-type", "content-length"]
        );
        let read = call(&app, "GET", "/read", cookie).await;
        assert_eq!(read.all("vary"), ["Cookie"]);
        assert_eq!(read.all("set-cookie"), [""; 0]);
        assert_eq!(read.all("cache-control"), [""; 0]);
    }
}

#[tokio::test]
async fn each_kind_of_request_costs_what_it_should() {
    let site = Site::standard();
    let app = site.app();
    let mut before = site.store.calls();
    let mut cost = || {
        let now = site.store.calls();
        let cost = (now.0 - before.0, now.1 - before.1);
        before = now;
        cost
    };
    let cookie = call(&app, "POST", "/count", "").await.cookie();
    assert_eq!(cost(), (0, 1), "first write");
    call(&app, "GET", "/plain", &cookie).await;
    assert_eq!(cost(), (0, 0), "untouched");
    call(&app, "GET", "/read", "").await;
    assert_eq!(cost(), (0, 0), "read without a cookie");
    call(&app, "GET", "/read", &cookie).await;
    assert_eq!(cost(), (1, 0), "read");
    call(&app, "POST", "/count", &cookie).await;
    assert_eq!(cost(), (1, 1), "write");
    let cookie = call(&app, "POST", "/login/alice", &cookie).await.cookie();
    assert_eq!(cost(), (1, 1), "login");
    call(&app, "GET", "/fresh", &cookie).await;
    assert_eq!(cost(), (2, 0), "sensitive action");
    call(&app, "POST", "/logout", &cookie).await;
    assert_eq!(cost(), (1, 1), "logout");
    call(&app, "POST", "/logout", &cookie).await;
    assert_eq!(cost(), (1, 0), "logout without a session");
}

#[tokio::test]
async fn every_kind_of_response_that_issues_a_session_is_kept_out_of_caches() {
    let write = |session: Session| session.update(COUNT, |count| *count += 1).unwrap();
    let public = AppendHeaders([("cache-control", "public, max-age=60"), ("cdn-cache-control", "max-age=60")]);
    let handlers = [
        ("plain", single(async move |session: Session| write(session))),
        (
            "public",
            single(async move |session: Session| {
                write(session);
                (public, "public")
            }),
        ),
        (
            "early return",
            single(async move |session: Session| -> Result<(), Rejection> {
                write(session);
                Err(RejectionKind::WrongUser.into())
            }),
        ),
        (
            "error",
            single(async move |session: Session| {
                write(session);
                (StatusCode::INTERNAL_SERVER_ERROR, public)
            }),
        ),
        (
            "not modified",
            single(async move |session: Session| {
                write(session);
                (StatusCode::NOT_MODIFIED, public)
            }),
        ),
        (
            "streaming",
            single(async move |session: Session| {
                write(session);
                let chunks = stream::iter(["a", "b"].map(Ok::<_, std::io::Error>));
                (public, axum::body::Body::from_stream(chunks))
            }),
        ),
    ];
    for (name, handler) in handlers {
        for method in ["GET", "HEAD", "POST"] {
            let site = Site::standard();
            let answer = call(&handler.clone().layer(site.layer()), method, "/", "").await;
            println!("{name} {method}");
            assert_issued(&answer);
            assert_eq!(answer.all("cdn-cache-control"), [""; 0]);
            assert_eq!(site.store.calls(), (0, 1));
        }
    }
}

#[tokio::test]
async fn cookies_are_written_as_the_policy_says() {
    let remembered = async |session: Session| {
        session.login(Login::new(UserId::new("alice").unwrap()).remember()).unwrap();
    };
    let custom = CookiePolicy::builder("shop").domain("shop.example").path("/cart").same_site(SameSite::Strict);
    let with = |cookie| Policy::standard().to_builder().cookie(cookie).build().unwrap();
    for (policy, expected) in [
        (Policy::standard(), format!("{STANDARD}; Max-Age=2592000")),
        (Policy::high_assurance(), "__Host-id=<token>; HttpOnly; SameSite=Strict; Secure; Path=/".to_owned()),
        (Policy::consumer(), format!("{STANDARD}; Max-Age=2592000")),
        (
            with(CookiePolicy::local_development()),
            "id=<token>; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000".to_owned(),
        ),
        (
            with(custom.build().unwrap()),
            "shop=<token>; HttpOnly; SameSite=Strict; Secure; Path=/cart; Domain=shop.example; Max-Age=2592000"
                .to_owned(),
        ),
    ] {
        let site = Site::new(policy);
        let answer = call(&single(remembered).layer(site.layer()), "POST", "/", "").await;
        assert_eq!(masked(answer.all("set-cookie")[0]), expected);
    }
}

#[tokio::test]
async fn logout_removes_the_cookie_with_all_its_attributes() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let answer = call(&app, "POST", "/logout", &cookie).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(
        answer.all("set-cookie"),
        ["__Host-id=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    );
    assert_eq!(answer.all("cache-control"), ["no-store"]);
}

/// The late answer to a stale request must not take away the cookie of a login in another tab.
#[tokio::test]
async fn a_stale_cookie_is_left_alone() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    call(&app, "POST", "/logout", &cookie).await;
    for (method, path) in [("GET", "/read"), ("GET", "/me"), ("GET", "/fresh"), ("POST", "/logout")] {
        assert_eq!(call(&app, method, path, &cookie).await.all("set-cookie"), [""; 0], "{path}");
    }
    assert_ne!(call(&app, "POST", "/count", &cookie).await.cookie(), cookie, "a token is never adopted");
}

#[tokio::test]
async fn one_cookie_of_ours_beside_all_of_the_application() {
    let site = Site::standard();
    let handler = async |session: Session| {
        let alice = UserId::new("alice").unwrap();
        session.insert(NOTE, &"before".to_owned()).unwrap();
        session.login(Login::new(alice)).unwrap();
        session.commit().await.unwrap();
        session.regenerate().unwrap();
        session.commit().await.unwrap();
        session.insert(NOTE, &"after".to_owned()).unwrap();
        AppendHeaders([("set-cookie", "theme=dark; Path=/"), ("set-cookie", "lang=en; Path=/")])
    };
    let app = single(handler).merge(routes()).layer(site.layer());
    let answer = call(&app, "GET", "/", "").await;
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies[..2], ["theme=dark; Path=/", "lang=en; Path=/"]);
    assert_eq!(cookies[2..].iter().map(|cookie| masked(cookie)).collect::<Vec<_>>(), [STANDARD]);
    let ours = cookies[2].split(';').next().unwrap();
    assert_eq!(call(&app, "GET", "/me", ours).await.text(), "alice", "the cookie is that of the last commit");
}

#[tokio::test]
async fn vary_is_added_once_and_to_what_is_there() {
    for (theirs, expected) in [
        (vec![], vec!["Cookie"]),
        (vec!["Accept-Encoding"], vec!["Accept-Encoding", "Cookie"]),
        (vec!["Accept, cookie"], vec!["Accept, cookie"]),
        (vec!["Accept", "COOKIE"], vec!["Accept", "COOKIE"]),
        (vec!["*"], vec!["*"]),
        (vec!["Set-Cookie2"], vec!["Set-Cookie2", "Cookie"]),
    ] {
        let site = Site::standard();
        let handler = {
            let theirs = theirs.clone();
            async move |_session: Session| AppendHeaders(theirs.into_iter().map(|value| ("vary", value)))
        };
        let answer = call(&single(handler).layer(site.layer()), "GET", "/", "").await;
        assert_eq!(answer.all("vary"), expected);
    }
}

/// Whatever the extractor decides, the response depends on the cookie.
#[tokio::test]
async fn every_way_to_consult_a_session_varies_by_cookie() {
    let site = Site::standard();
    let app = site.app();
    for path in ["/read", "/me", "/fresh"] {
        assert_eq!(call(&app, "GET", path, "").await.all("vary"), ["Cookie"], "{path}");
    }
}

#[tokio::test]
async fn a_read_records_activity_at_most_once_an_interval() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.clock.advance(Duration::from_secs(61));
    let writes = site.store.calls().1;
    for _ in 0..3 {
        let answer = call(&app, "GET", "/read", &cookie).await;
        assert_eq!(answer.all("set-cookie"), [""; 0]);
    }
    assert_eq!(site.store.calls().1 - writes, 1);
}

#[tokio::test]
async fn a_passive_request_does_not_keep_the_session_alive() {
    let site = Site::standard();
    let poll = async |session: Session| {
        session.set_passive();
        session.user().is_some().to_string()
    };
    let app = single(poll).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    for minute in 1..=30 {
        site.clock.advance(Duration::from_secs(60));
        assert_eq!(call(&app, "GET", "/", &cookie).await.text(), (minute < 30).to_string(), "after {minute} minutes");
    }
}

#[tokio::test]
async fn our_cookie_is_marked_sensitive() {
    let site = Site::standard();
    let answer = send(&site.app(), request("POST", "/count", "")).await;
    assert!(answer.headers["set-cookie"].is_sensitive());
    assert!(!format!("{:?}", answer.headers).contains("__Host-id"));
}
