//! The routes, with refresh tokens in a cookie of their own.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use session_core::{CookiePolicy, EventKind, Policy, SameSite, UserId};
use session_tower::OriginGuard;

use super::{Service, assert_refused, assert_uncached, credentials};
use crate::common::{Answer, Behaviour, masked};

async fn login(service: &Service, cookie: &str) -> Answer {
    service.post_with("/api/token", &with(cookie), credentials("alice").to_string()).await
}

async fn refresh(service: &Service, cookie: &str) -> Answer {
    service.post_with("/api/token/refresh", &with(cookie), "").await
}

async fn revoke(service: &Service, cookie: &str) -> Answer {
    service.post_with("/api/token/revoke", &with(cookie), "").await
}

fn with(cookie: &str) -> Vec<(&str, &str)> {
    if cookie.is_empty() { vec![] } else { vec![("cookie", cookie)] }
}

async fn devices(service: &Service) -> usize {
    service.site.manager.list(&UserId::new("alice").unwrap()).await.unwrap().len()
}

#[tokio::test]
async fn no_script_sees_a_refresh_token() {
    let service = Service::with_cookie();
    let first = login(&service, "").await;
    let second = refresh(&service, &first.cookie()).await;
    for answer in [&first, &second] {
        assert_uncached(answer);
        let [cookie] = answer.all("set-cookie")[..] else { panic!("{answer:?}") };
        assert_eq!(
            masked(cookie),
            "__Secure-refresh=<token>; HttpOnly; SameSite=Strict; Secure; Path=/api/token",
            "lasts as long as the browser"
        );
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let names: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["access_token", "expires_in", "token_type"].into());
        let token = answer.cookie().split_once('=').unwrap().1.to_owned();
        assert!(!answer.text().contains(&token));
    }
    assert_ne!(first.cookie(), second.cookie());
    let remember = json!({ "username": "alice", "password": "right", "remember": true }).to_string();
    let answer = service.post_with("/api/token", &[], remember).await;
    assert!(answer.all("set-cookie")[0].contains("Max-Age=2592000"), "{answer:?}");
}

#[tokio::test]
async fn a_token_in_a_body_is_not_looked_at() {
    let service = Service::with_cookie();
    let cookie = login(&service, "").await.cookie();
    let token = cookie.split_once('=').unwrap().1;
    assert_refused(&service.refresh(token).await, 400, "invalid_grant");
    assert_refused(&revoke(&service, &format!("{cookie}; __Secure-refresh=x")).await, 400, "invalid_request");
    assert_eq!(refresh(&service, &cookie).await.status, 200);
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_cookie() {
    let service = Service::with_cookie();
    let first = login(&service, "").await.cookie();
    let second = refresh(&service, &first).await.cookie();
    let _third = refresh(&service, &second).await.cookie();
    for cookie in ["", "__Secure-refresh=", "__Secure-refresh=\"x\"", "other=1", &*first, &*second] {
        assert_refused(&refresh(&service, cookie).await, 400, "invalid_grant");
    }
    assert_eq!(devices(&service).await, 0, "it was reuse");
}

#[tokio::test]
async fn only_the_revocation_that_ended_the_session_removes_the_cookie() {
    let service = Service::with_cookie();
    let cookie = login(&service, "").await.cookie();
    let answer = revoke(&service, &cookie).await;
    assert_eq!(answer.status, 200);
    assert_uncached(&answer);
    assert_eq!(
        answer.all("set-cookie"),
        [
            "__Secure-refresh=; HttpOnly; SameSite=Strict; Secure; Path=/api/token; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        ]
    );
    for answer in [revoke(&service, &cookie).await, service.revoke(cookie.split_once('=').unwrap().1).await] {
        assert_eq!((answer.status.as_u16(), answer.all("set-cookie")), (200, vec![]));
    }
    assert_refused(&revoke(&service, "").await, 400, "invalid_request");
}

#[tokio::test]
async fn a_login_takes_the_place_of_the_session_in_the_cookie() {
    let service = Service::with_cookie();
    let first = login(&service, "").await.cookie();
    let second = login(&service, &first).await.cookie();
    assert_eq!(devices(&service).await, 1);
    assert_refused(&refresh(&service, &first).await, 400, "invalid_grant");
    let third = login(&service, "__Secure-refresh=nonsense").await.cookie();
    assert_eq!(devices(&service).await, 2);
    let wrong = json!({ "username": "alice", "password": "wrong" }).to_string();
    assert_refused(&service.post_with("/api/token", &with(&third), wrong).await, 400, "invalid_grant");
    for cookie in [second, third] {
        assert_eq!(refresh(&service, &cookie).await.status, 200, "a failed login ends nothing");
    }
}

#[tokio::test]
async fn other_sites_are_refused() {
    let service = Service::with_cookie();
    let cookie = login(&service, "").await.cookie();
    let before = service.site.store.calls();
    service.site.events.take();
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for path in ["/api/token", "/api/token/refresh", "/api/token/revoke"] {
            let headers = [("cookie", &*cookie), header];
            let answer = service.post_with(path, &headers, credentials("mallory").to_string()).await;
            assert_refused(&answer, 403, "cross_origin");
            assert!(matches!(&service.site.events.take()[..], [EventKind::CrossOrigin(_)]), "{header:?}");
        }
    }
    assert_eq!(service.site.store.calls(), before);
    for header in [("sec-fetch-site", "same-origin"), ("origin", "https://api.example")] {
        let answer = service.post_with("/api/token/refresh", &[("cookie", &cookie), header], "").await;
        assert_eq!(answer.status, 200, "{header:?}");
    }
}

/// A single-page application on another origin: one guard for the layer and these routes.
#[tokio::test]
async fn a_trusted_origin_may_use_the_routes() {
    let guard = || OriginGuard::new().trusted_origin("https://app.example:8443").unwrap().exempt("/token/revoke");
    for swapped in [false, true] {
        let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build().unwrap();
        let service = Service::with(Policy::standard(), |routes| match swapped {
            false => routes.refresh_in_cookie(cookie).origin_guard(guard()),
            true => routes.origin_guard(guard()).refresh_in_cookie(cookie),
        });
        let cookie = login(&service, "").await.cookie();
        for (origin, status) in [("https://app.example:8443", 200), ("https://app.example", 403)] {
            let headers = [("cookie", &*cookie), ("sec-fetch-site", "same-site"), ("origin", origin)];
            assert_eq!(
                service.post_with("/api/token", &headers, credentials("alice").to_string()).await.status,
                status
            );
        }
        let headers = [("cookie", &*cookie), ("sec-fetch-site", "cross-site")];
        assert_eq!(service.post_with("/api/token/revoke", &headers, "").await.status, 200, "exempt");
    }
}

/// There is nothing for another site to abuse then: a browser adds no token by itself.
#[tokio::test]
async fn without_a_cookie_there_is_no_origin_to_check() {
    let service = Service::standard();
    let cross = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let answer = service.post_with("/api/token", &cross, credentials("alice").to_string()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_store_that_is_down_changes_no_cookie() {
    let service = Service::with_cookie();
    let cookie = login(&service, "").await.cookie();
    for set in [crate::common::Site::on_read, crate::common::Site::on_write] {
        set(&service.site, Behaviour::Fails);
        for answer in
            [refresh(&service, &cookie).await, revoke(&service, &cookie).await, login(&service, &cookie).await]
        {
            assert_refused(&answer, 503, "temporarily_unavailable");
        }
        set(&service.site, Behaviour::Works);
    }
    assert_eq!(refresh(&service, &cookie).await.status, 200);
}
