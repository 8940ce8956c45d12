//! Extractors in an `Option`: `None` is what it says, and never a store that failed.

use std::time::Duration;

use crate::common::{Answer, Behaviour, COUNT, Site, call, routes, single};
use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::get;
use http::request::Parts;
use session_core::UserId;
use session_tower::{Authenticated, Fresh, Rejection, Session};

/// Who each of the extractors found, in a letter: none, visitor, user.
fn letter(user: Option<Option<UserId>>) -> &'static str {
    match user {
        None => "-",
        Some(None) => "v",
        Some(Some(_)) => "u",
    }
}

fn optional() -> Router {
    Router::new()
        .route("/s", get(async |session: Option<Session>| letter(session.map(|session| session.user()))))
        .route(
            "/a",
            get(async |session: Option<Authenticated>| letter(session.map(|session| Some(session.user().clone())))),
        )
        .route(
            "/f",
            get(async |session: Option<Fresh<300>>| letter(session.map(|session| Some(session.user().clone())))),
        )
}

async fn found(app: &Router, cookie: &str) -> String {
    let mut letters = String::new();
    for path in ["/s", "/a", "/f"] {
        let answer = call(app, "GET", path, cookie).await;
        assert_eq!(answer.status, 200, "{path}");
        letters.push_str(answer.text());
    }
    letters
}

#[tokio::test]
async fn none_is_not_logged_in_or_too_long_ago() {
    let site = Site::standard();
    let app = optional().merge(routes()).layer(site.layer());
    assert_eq!(found(&app, "").await, "v--");
    assert_eq!(found(&app, "__Host-id=x").await, "v--");
    let anonymous = call(&app, "POST", "/count", "").await.cookie();
    assert_eq!(found(&app, &anonymous).await, "v--");
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    assert_eq!(found(&app, &cookie).await, "uuu");
    site.clock.advance(Duration::from_secs(299));
    assert_eq!(found(&app, &cookie).await, "uuu");
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(found(&app, &cookie).await, "uu-");
    site.manager.revoke_all(&UserId::new("alice").unwrap()).await.unwrap();
    assert_eq!(found(&app, &cookie).await, "v--");
}

#[tokio::test]
async fn a_store_that_fails_makes_nobody_a_visitor() {
    let site = Site::standard();
    let app = optional().merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
    site.on_read(Behaviour::Fails);
    for path in ["/s", "/a", "/f"] {
        call(&app, "GET", path, &cookie).await.assert_rejected(503, "session_store_unavailable");
    }
    assert_eq!(found(&app, "").await, "v--", "without a cookie the store is not asked");
}

/// `Fresh` loads a second time.
#[tokio::test]
async fn a_session_that_ends_or_a_store_that_fails_between_two_loads() {
    async fn second(site: &Site, meanwhile: impl Fn() + Clone + Send + Sync + 'static) -> Answer {
        let between = async move |_: Session, mut parts: Parts| {
            meanwhile();
            let fresh = <Option<Fresh<300>> as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await;
            fresh.map(|fresh| letter(fresh.map(|session| Some(session.user().clone()))))
        };
        let app = single(between).merge(routes()).layer(site.layer());
        let cookie = call(&app, "POST", "/login/alice", "").await.cookie();
        call(&app, "GET", "/", &cookie).await
    }
    let site = Site::standard();
    assert_eq!(second(&site, || ()).await.text(), "u");

    let site = Site::standard();
    let store = site.store.clone();
    let answer = second(&site, move || store.reads.set(Behaviour::Fails)).await;
    answer.assert_rejected(503, "session_store_unavailable");

    let site = Site::standard();
    let clock = site.clock.clone();
    let answer = second(&site, move || clock.advance(Duration::from_secs(30 * 60))).await;
    assert_eq!(answer.text(), "-", "it expired after the first load");
}

/// Only `Option<Session>`: whoever asks for a user is not told that there is none.
#[tokio::test]
async fn without_a_layer() {
    let app = optional();
    assert_eq!(call(&app, "GET", "/s", "").await.text(), "-");
    for path in ["/a", "/f"] {
        call(&app, "GET", path, "").await.assert_rejected(500, "session_layer_missing");
    }
}

#[tokio::test]
async fn the_session_of_a_visitor_can_be_written_through_an_option() {
    let site = Site::standard();
    let writes = async |session: Option<Session>| {
        if let Some(session) = session {
            session.update(COUNT, |count| *count += 1)?;
        }
        Ok::<_, Rejection>(())
    };
    let app = single(writes).merge(routes()).layer(site.layer());
    let cookie = call(&app, "POST", "/", "").await.cookie();
    assert_eq!(call(&app, "GET", "/read", &cookie).await.text(), "1");
}
