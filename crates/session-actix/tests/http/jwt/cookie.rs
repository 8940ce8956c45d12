//! The routes, with refresh tokens in a cookie of their own.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use session_actix::OriginGuard;
use session_core::{CookiePolicy, EventKind, Policy, SameSite, UserId};

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
    let service = Service::with_cookie().await;
    let first = login(&service, "").await;
    let second = refresh(&service, &first.cookie()).await;
    for answer in [&first, &second] {
        assert_uncached(answer);
        let [cookie] = answer.all("set-cookie")[..] else { panic!("{answer:?}") };
        assert_eq!(
            masked(cookie),
            "__Host-refresh=<token>; HttpOnly; SameSite=Strict; Secure; Path=/",
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
async fn only_the_revocation_that_ended_the_session_removes_the_cookie() {
    let service = Service::with_cookie().await;
    let cookie = login(&service, "").await.cookie();
    let answer = revoke(&service, &cookie).await;
    assert_eq!(answer.status, 200);
    assert_uncached(&answer);
    assert_eq!(
        answer.all("set-cookie"),
        [
            "__Host-refresh=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        ]
    );
    for answer in [revoke(&service, &cookie).await, service.revoke(cookie.split_once('=').unwrap().1).await] {
        assert_eq!((answer.status.as_u16(), answer.all("set-cookie")), (200, vec![]));
    }
    assert_refused(&revoke(&service, "").await, 400, "invalid_request");
}

#[tokio::test]
async fn other_sites_are_refused() {
    let service = Service::with_cookie().await;
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
    let guard = || OriginGuard::new().trusted_origin("https://app.example:8443").unwrap().exempt("/api/token/revoke");
    for swapped in [false, true] {
        let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build().unwrap();
        let service = Service::with(Policy::standard(), |routes| match swapped {
            false => routes.refresh_in_cookie(cookie).unwrap().origin_guard(guard()),
            true => routes.origin_guard(guard()).refresh_in_cookie(cookie).unwrap(),
        })
        .await;
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
    let service = Service::standard().await;
    let cross = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let answer = service.post_with("/api/token", &cross, credentials("alice").to_string()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_store_that_is_down_changes_no_cookie() {
    let service = Service::with_cookie().await;
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

/// Whatever stands beside the cookie, in either order: it is refreshed, replaced and ended.
#[tokio::test]
async fn a_planted_cookie_locks_nobody_out() {
    let dead = {
        let service = Service::with_cookie().await;
        login(&service, "").await.cookie()
    };
    for beside in ["__Host-refresh=x", "__Host-refresh=", &*dead] {
        let both = |mine: &str| [format!("{mine}; {beside}"), format!("{beside}; {mine}")];
        let service = Service::with_cookie().await;
        for which in [0, 1] {
            let mine = login(&service, "").await.cookie();
            service.site.events.take();
            let next = refresh(&service, &both(&mine)[which]).await;
            assert_eq!(next.status, 200, "{beside}");
            let next = next.cookie();
            let again = login(&service, &both(&next)[which]).await.cookie();
            assert_eq!(devices(&service).await, 1, "the login takes the place of the session: {beside}");
            let ended = revoke(&service, &both(&again)[which]).await;
            assert_eq!((ended.status.as_u16(), ended.all("set-cookie").len()), (200, 1));
            assert_eq!(devices(&service).await, 0);
        }
    }
}

/// The cookie of an earlier release goes when a new one comes, and at a logout.
#[tokio::test]
async fn a_former_cookie_is_removed() {
    let former = CookiePolicy::builder("__Secure-refresh").path("/api/token").build().unwrap();
    let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).formerly(former).build().unwrap();
    let service = Service::with(Policy::standard(), |routes| routes.refresh_in_cookie(cookie).unwrap()).await;
    let answer = login(&service, "").await;
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].starts_with("__Host-refresh=") && cookies[1].starts_with("__Secure-refresh=; "), "{cookies:?}");
    let cookie = cookies[0].split(';').next().unwrap().to_owned();
    assert_eq!(revoke(&service, &cookie).await.all("set-cookie").len(), 2);
}
