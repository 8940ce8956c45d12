//! What clients may send, and what it must not do.

use std::time::Duration;

use crate::common::{Answer, Site, call, send};
use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request};
use session_core::{EventKind, Policy};

fn raw(path: &str, cookies: &[&[u8]]) -> Request<Body> {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    for cookie in cookies {
        request.headers_mut().append("cookie", HeaderValue::from_bytes(cookie).unwrap());
    }
    request
}

async fn me(app: &Router, cookies: &[&[u8]]) -> Answer {
    send(app, raw("/me", cookies)).await
}

/// The response never says why a client is not logged in.
#[tokio::test]
async fn absent_expired_and_revoked_look_the_same() {
    let site = Site::standard();
    let app = site.app();
    let login = async || call(&app, "POST", "/login/alice", "").await.cookie();
    let expired = login().await;
    site.clock.advance(Duration::from_secs(30 * 60));
    let revoked = login().await;
    site.manager.revoke_all(&session_core::UserId::new("alice").unwrap()).await.unwrap();
    let logged_out = login().await;
    call(&app, "POST", "/logout", &logged_out).await;
    let alive = login().await;
    // The right id with a wrong rest: what is possible for an attacker who knows the id.
    let (id, rest) = alive.split_at("__Host-id=".len() + 21);
    let forged = format!("{id}{}", rest.chars().rev().collect::<String>());

    let absent = me(&app, &[]).await;
    absent.assert_rejected(401, "unauthenticated");
    let unknown = format!("__Host-id={}", "A".repeat(64));
    for cookie in [&expired, &revoked, &logged_out, &forged, &unknown, "__Host-id=", "__Host-id=x", "id=x"] {
        assert_eq!(me(&app, &[cookie.as_bytes()]).await, absent, "{cookie}");
    }
    assert_eq!(me(&app, &[alive.as_bytes()]).await.text(), "alice", "the forged token did no harm");
}

#[tokio::test]
async fn bogus_cookies_leave_nothing_behind() {
    let site = Site::standard();
    let app = site.app();
    let anonymous = call(&app, "GET", "/read", "").await;
    for number in 0..10_000 {
        let cookie = format!("__Host-id={number:064}");
        let answer = call(&app, if number % 2 == 0 { "GET" } else { "HEAD" }, "/read", &cookie).await;
        assert_eq!(answer.headers, anonymous.headers);
        let answer = call(&app, "POST", "/logout", &cookie).await;
        assert_eq!(answer.all("set-cookie"), [""; 0]);
    }
    assert_eq!(site.store.calls(), (20_000, 0), "one lookup each, and no write");
}

#[tokio::test]
async fn malformed_cookies_cost_no_store_call() {
    let site = Site::standard();
    let app = site.app();
    let token = "A".repeat(64);
    let huge = vec![b'A'; 64 * 1024];
    let pairs: Vec<u8> = (0..10_000).flat_map(|number| format!("c{number}=v; ").into_bytes()).collect();
    let named = |value: &[u8]| [b"__Host-id=", value].concat();
    for cookie in [
        huge.clone(),
        named(&huge),
        [pairs, named(b"short")].concat(),
        named(&token.as_bytes()[..63]),
        named(format!("{token}A").as_bytes()),
        named(format!("\"{token}\"").as_bytes()),
        named(format!("{token}=").as_bytes()),
        named(format!("%41{}", &token[..61]).as_bytes()),
        named(format!("{}+", &token[..63]).as_bytes()),
        named(format!("{}\u{e4}", &token[..62]).as_bytes()),
        named(&[0xff; 64]),
        named(&[0x80; 3]),
        named(b""),
        b"__host-id=".iter().copied().chain(token.bytes()).collect(),
        format!("__Host-id-x={token}").into_bytes(),
        format!("x__Host-id={token}").into_bytes(),
        format!("__Host-id {token}").into_bytes(),
        b"__Host-id".to_vec(),
        b";;;=;=;;".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
    ] {
        let answer = send(&app, raw("/read", &[&cookie])).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "0"));
        assert_eq!(answer.all("set-cookie"), [""; 0]);
    }
    assert_eq!(site.store.calls(), (0, 0));
}

#[tokio::test]
async fn odd_neighbours_do_not_hide_a_valid_cookie() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let ours = cookie.as_bytes();
    let junk = vec![b'J'; 64 * 1024];
    for cookies in [
        vec![ours],
        vec![b"theme=dark", ours],
        vec![ours, b"\xff\xfe=\xfd"],
        vec![b";;=;,\"", ours],
        vec![&junk, ours],
        vec![ours, ours],
        vec![b"__host-id=other", ours],
        vec![b"id=other", ours],
    ] {
        assert_eq!(me(&app, &cookies).await.text(), "alice", "in fields of their own");
        assert_eq!(me(&app, &[&cookies.join(&b"; "[..])]).await.text(), "alice", "in one field");
        assert_eq!(me(&app, &[&cookies.join(&b";"[..])]).await.text(), "alice", "without blanks");
    }
}

/// One of them was planted: neither counts, in either order.
#[tokio::test]
async fn two_different_cookies_of_our_name_give_no_session() {
    let site = Site::standard();
    let app = site.app();
    let alice = call(&app, "POST", "/login/alice", "").await.cookie();
    let mallory = call(&app, "POST", "/login/mallory", "").await.cookie();
    let calls = site.store.calls();
    site.events.take();
    for cookies in [[&alice, &mallory], [&mallory, &alice]] {
        for cookies in [vec![cookies[0].clone(), cookies[1].clone()], vec![format!("{}; {}", cookies[0], cookies[1])]] {
            let cookies: Vec<&[u8]> = cookies.iter().map(String::as_bytes).collect();
            me(&app, &cookies).await.assert_rejected(401, "unauthenticated");
            assert_eq!(site.events.take(), [EventKind::AmbiguousCookie]);
        }
    }
    assert_eq!(site.store.calls(), calls);
    assert_eq!(call(&app, "GET", "/me", &alice).await.text(), "alice");
}

/// The token is read from the cookie and nowhere else.
#[tokio::test]
async fn other_places_are_not_looked_at() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let token = cookie.strip_prefix("__Host-id=").unwrap();
    let request = Request::builder()
        .uri(format!("/me?__Host-id={token}&id={token}"))
        .header("authorization", format!("Bearer {token}"))
        .header("__Host-id", token)
        .header("cookie2", &cookie)
        .body(Body::from(cookie.clone()))
        .unwrap();
    send(&app, request).await.assert_rejected(401, "unauthenticated");
}

/// A public id is not a credential.
#[tokio::test]
async fn a_session_id_gives_no_access() {
    let site = Site::new(Policy::standard());
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    let sessions = site.manager.list(&session_core::UserId::new("alice").unwrap()).await.unwrap();
    let id = sessions[0].id.to_string();
    for cookie in [format!("__Host-id={id}"), format!("__Host-id={id}{}", "A".repeat(42))] {
        call(&app, "GET", "/me", &cookie).await.assert_rejected(401, "unauthenticated");
        call(&app, "POST", "/logout", &cookie).await;
    }
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
}
