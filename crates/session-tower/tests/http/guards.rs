//! What gets past `Authenticated` and `Fresh`, and what must not.

use std::time::Duration;

use crate::common::{Behaviour, Site, call, routes, send, single};
use axum::body::Body;
use http::Request;
use session_core::store::Freshness;
use session_core::{Assurance, Login, Policy, StepUp, UserId};
use session_tower::{Authenticated, Rejection, Session};

#[tokio::test]
async fn authenticated_means_logged_in_and_nothing_less() {
    let site = Site::standard();
    let app = site.app();
    let answer = call(&app, "GET", "/me", "").await;
    answer.assert_rejected(401, "unauthenticated");
    assert_eq!(answer.all("www-authenticate"), ["Cookie"], "a 401 has a challenge (RFC 9110)");
    let anonymous = call(&app, "POST", "/count", "").await.cookie();
    call(&app, "GET", "/me", &anonymous).await.assert_rejected(401, "unauthenticated");
    let cookie = call(&app, "POST", "/login/alice", &anonymous).await.cookie();
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
    call(&app, "GET", "/me", &anonymous).await.assert_rejected(401, "unauthenticated");
}

#[tokio::test]
async fn authenticated_keeps_the_user_that_was_logged_in() {
    let site = Site::standard();
    let leave = async |session: Authenticated| {
        session.logout().unwrap();
        let inner: &Session = &session;
        assert_eq!(inner.user(), None);
        session.user().as_str().to_owned()
    };
    let app = single(leave).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "POST", "/", &cookie).await.text(), "alice");
    call(&app, "GET", "/me", &cookie).await.assert_rejected(401, "unauthenticated");
}

/// Activity is no proof of identity.
#[tokio::test]
async fn fresh_ends_exactly_at_its_age_and_a_step_up_renews_it() {
    let site = Site::standard();
    let app = site.app();
    call(&app, "GET", "/fresh", "").await.assert_rejected(401, "unauthenticated");
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.clock.advance(Duration::from_millis(299_999));
    assert_eq!(call(&app, "GET", "/fresh", &cookie).await.text(), "alice");
    call(&app, "POST", "/count", &cookie).await;
    site.clock.advance(Duration::from_millis(1));
    call(&app, "GET", "/fresh", &cookie).await.assert_rejected(403, "reauthentication_required");
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
    let cookie = call(&app, "POST", "/step-up/alice", &cookie).await.cookie();
    assert_eq!(call(&app, "GET", "/fresh", &cookie).await.text(), "alice");
}

/// The guard of a sensitive action reads the store, whatever was read earlier in the request.
#[tokio::test]
async fn fresh_sees_a_revocation_that_came_after_the_session_was_loaded() {
    let site = Site::standard();
    let alice = UserId::new("alice").unwrap();
    let manager = site.manager.clone();
    let guarded = async move |session: Authenticated| {
        manager.revoke_all(session.user()).await?;
        assert!(session.authentication().is_some(), "what was read earlier still has the user");
        session.require_fresh(Duration::from_secs(300), Assurance::Aal1).await?;
        Ok::<_, Rejection>("secret")
    };
    let app = single(guarded).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    call(&app, "GET", "/", &cookie).await.assert_rejected(401, "session_gone");
    assert_eq!(site.manager.list(&alice).await.unwrap().len(), 0);
}

/// A store with cached copies must not answer the guard with one.
#[tokio::test]
async fn only_fresh_asks_for_the_latest_state() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    for (path, loads) in [
        ("/read", &[Freshness::Cached][..]),
        ("/me", &[Freshness::Cached]),
        ("/fresh", &[Freshness::Cached, Freshness::Latest]),
    ] {
        site.store.take_loads();
        assert_eq!(call(&app, "GET", path, &cookie).await.status, 200);
        assert_eq!(site.store.take_loads(), loads, "{path}");
    }
}

#[tokio::test]
async fn fresh_fails_closed() {
    let site = Site::standard();
    let down_meanwhile = {
        let store = site.store.clone();
        async move |session: Authenticated| {
            store.reads.set(Behaviour::Fails);
            session.require_fresh(Duration::from_secs(300), Assurance::Aal1).await?;
            Ok::<_, Rejection>("secret")
        }
    };
    let app = single(down_meanwhile).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    call(&app, "GET", "/", &cookie).await.assert_rejected(503, "session_store_unavailable");
}

#[tokio::test]
async fn fresh_can_demand_a_level() {
    let site = Site::new(Policy::standard());
    let guarded = async |session: Authenticated| {
        session.require_fresh(Duration::from_secs(300), Assurance::Aal2).await?;
        Ok::<_, Rejection>("secret")
    };
    let alice = || UserId::new("alice").unwrap();
    let login = async move |session: Session| session.login(Login::new(alice())).map_err(Rejection::from);
    let second_factor = async move |session: Session| {
        session.step_up(StepUp::new(alice()).method("otp").level(Assurance::Aal2)).map_err(Rejection::from)
    };
    let app = single(guarded)
        .route("/in", axum::routing::post(login))
        .route("/otp", axum::routing::post(second_factor))
        .layer(site.layer());
    let cookie = call(&app, "POST", "/in", "").await.cookie();
    call(&app, "GET", "/", &cookie).await.assert_rejected(403, "reauthentication_required");
    let cookie = call(&app, "POST", "/otp", &cookie).await.cookie();
    assert_eq!(call(&app, "GET", "/", &cookie).await.text(), "secret");
    site.clock.advance(Duration::from_secs(300));
    call(&app, "GET", "/", &cookie).await.assert_rejected(403, "reauthentication_required");
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
    site.manager.revoke_all(&UserId::new("alice").unwrap()).await.unwrap();
    let logged_out = login().await;
    call(&app, "POST", "/logout", &logged_out).await;
    let alive = login().await;
    // The right id with a wrong rest: what is possible for an attacker who knows the id.
    let (id, rest) = alive.split_at("__Host-id=".len() + 21);
    let forged = format!("{id}{}", rest.chars().rev().collect::<String>());

    let absent = call(&app, "GET", "/me", "").await;
    absent.assert_rejected(401, "unauthenticated");
    let unknown = format!("__Host-id={}", "A".repeat(64));
    for cookie in [&expired, &revoked, &logged_out, &forged, &unknown, "__Host-id=", "__Host-id=x", "id=x"] {
        assert_eq!(call(&app, "GET", "/me", cookie).await, absent, "{cookie}");
    }
    assert_eq!(call(&app, "GET", "/me", &alive).await.text(), "alice", "the forged token did no harm");
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
