//! What gets past `Authenticated` and `Fresh`.

use std::time::Duration;

use crate::common::{Behaviour, Site, call, routes, single};
use session_core::store::Freshness;
use session_core::{Assurance, Login, Policy, StepUp, UserId};
use session_tower::{Authenticated, Rejection, Session};

#[tokio::test]
async fn authenticated_means_logged_in_and_nothing_less() {
    let site = Site::standard();
    let app = site.app();
    call(&app, "GET", "/me", "").await.assert_rejected(401, "unauthenticated");
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
        assert_eq!(session.session_user(), None);
        session.user().as_str().to_owned()
    };
    let app = single(leave).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(call(&app, "POST", "/", &cookie).await.text(), "alice");
    call(&app, "GET", "/me", &cookie).await.assert_rejected(401, "unauthenticated");
}

trait SessionUser {
    fn session_user(&self) -> Option<UserId>;
}

impl SessionUser for Session {
    fn session_user(&self) -> Option<UserId> {
        self.user()
    }
}

#[tokio::test]
async fn fresh_ends_exactly_at_its_age_and_a_step_up_renews_it() {
    let site = Site::standard();
    let app = site.app();
    call(&app, "GET", "/fresh", "").await.assert_rejected(401, "unauthenticated");
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.clock.advance(Duration::from_millis(299_999));
    assert_eq!(call(&app, "GET", "/fresh", &cookie).await.text(), "alice");
    site.clock.advance(Duration::from_millis(1));
    call(&app, "GET", "/fresh", &cookie).await.assert_rejected(403, "reauthentication_required");
    assert_eq!(call(&app, "GET", "/me", &cookie).await.text(), "alice");
    let cookie = call(&app, "POST", "/step-up/alice", &cookie).await.cookie();
    assert_eq!(call(&app, "GET", "/fresh", &cookie).await.text(), "alice");
}

/// Activity is not a proof of identity.
#[tokio::test]
async fn activity_does_not_keep_a_session_fresh() {
    let site = Site::standard();
    let app = site.app();
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    for _ in 0..5 {
        site.clock.advance(Duration::from_secs(60));
        call(&app, "POST", "/count", &cookie).await;
    }
    call(&app, "GET", "/fresh", &cookie).await.assert_rejected(403, "reauthentication_required");
}

/// The guard of a sensitive action reads the store, whatever was read earlier in the request.
#[tokio::test]
async fn fresh_sees_a_revocation_that_came_after_the_session_was_loaded() {
    let site = Site::standard();
    let alice = UserId::new("alice").unwrap();
    let manager = site.manager.clone();
    let guarded = async move |session: Authenticated| {
        manager.revoke_all(session.user()).await?;
        assert!(session.session_user().is_some(), "what was read earlier still has the user");
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
        let store = std::sync::Arc::clone(&site.store);
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
