//! The site while its store is down.

use std::num::NonZeroU32;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{
    DeleteOutcome, Policy, SessionId, SessionManager, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId,
};
use session_demo::sessions::Sessions;
use tower::ServiceExt as _;

#[derive(Debug)]
struct Down;

fn down<T>() -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Unavailable, "down"))
}

#[async_trait]
impl SessionStore for Down {
    fn name(&self) -> &'static str {
        "down"
    }

    async fn load(&self, _: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        down()
    }

    async fn create(&self, _: CreateRequest<'_>, _: Timestamp) -> Result<CreateOutcome, StoreError> {
        down()
    }

    async fn update(&self, _: &Record, _: Version, _: Timestamp) -> Result<UpdateOutcome, StoreError> {
        down()
    }

    async fn touch(&self, _: &SessionId, _: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        down()
    }

    async fn delete(&self, _: &SessionId, _: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        down()
    }

    async fn list_by_user(&self, _: &UserId, _: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        down()
    }

    async fn delete_by_user(&self, _: &UserId, _: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        down()
    }

    async fn delete_expired(&self, _: Timestamp, _: NonZeroU32) -> Result<u64, StoreError> {
        down()
    }
}

#[tokio::test]
async fn unavailable_is_said_and_nobody_is_logged_out() {
    let site = session_demo::build_router(&Sessions::Cookie(SessionManager::new(Down, Policy::standard())));
    let login = r#"{"username":"alice","password":"correct-horse"}"#;
    let wrong = r#"{"username":"alice","password":"wrong"}"#;
    let unavailable = "{\"error\":\"session_store_unavailable\"}";
    for (method, path, body, status, said) in [
        ("GET", "/api/me", "", 503, unavailable),
        ("GET", "/api/sensitive", "", 503, unavailable),
        ("GET", "/api/devices", "", 503, unavailable),
        ("PUT", "/api/data/a", "1", 503, unavailable),
        ("POST", "/api/counter/a", "", 503, unavailable),
        ("POST", "/api/logout", "", 503, unavailable),
        ("POST", "/api/login", login, 503, unavailable),
        ("POST", "/api/login", wrong, 401, "{\"error\":\"invalid_credentials\"}"),
        ("GET", "/api/ping", "", 200, "pong"),
        ("GET", "/", "", 503, "You are still signed in"),
        ("GET", "/devices", "", 503, "You are still signed in"),
        ("POST", "/logout", "", 503, "You are still signed in"),
    ] {
        let cookie = format!("__Host-id={}", "A".repeat(64));
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let response = site.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert!(!response.headers().contains_key("set-cookie"), "{path}");
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert!(std::str::from_utf8(&answer).unwrap().contains(said), "{path}: {answer:?}");
    }
}
