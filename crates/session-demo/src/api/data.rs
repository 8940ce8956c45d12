//! Values in the session, under keys that the client chooses.

use std::time::Duration;

use axum::Json as JsonResponse;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session_core::{Error, Key};
use session_tower::Session;

use super::error::{ApiError, Json};

/// The key in the path.
pub(super) struct KeyInPath(String);

impl KeyInPath {
    fn of<T>(&self) -> Result<Key<T>, ApiError> {
        Key::dynamic(&*self.0).map_err(|_| ApiError::InvalidKey)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(key) = Path::from_request_parts(parts, state).await.map_err(|_| ApiError::InvalidKey)?;
        Ok(Self(key))
    }
}

/// `?delay_ms=`: the pause between reading the session and changing it, for experiments with overlapping requests.
pub(super) struct Delay(Duration);

#[derive(Deserialize)]
struct DelayQuery {
    #[serde(default)]
    delay_ms: u64,
}

impl<S: Send + Sync> FromRequestParts<S> for Delay {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        const MAX_MS: u64 = 60_000;
        match Query::<DelayQuery>::from_request_parts(parts, state).await {
            Ok(Query(query)) if query.delay_ms <= MAX_MS => Ok(Self(Duration::from_millis(query.delay_ms))),
            Ok(_) | Err(_) => Err(ApiError::InvalidQuery),
        }
    }
}

pub(super) async fn keys(session: Session) -> JsonResponse<Value> {
    JsonResponse(json!({ "keys": session.keys() }))
}

pub(super) async fn store(
    session: Session,
    key: KeyInPath,
    delay: Delay,
    Json(value): Json<Value>,
) -> Result<StatusCode, ApiError> {
    let key = key.of()?;
    tokio::time::sleep(delay.0).await;
    session.insert(key, &value)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn load(session: Session, key: KeyInPath) -> Result<JsonResponse<Value>, ApiError> {
    session.get(key.of()?)?.map(JsonResponse).ok_or(ApiError::NotFound)
}

pub(super) async fn remove(session: Session, key: KeyInPath) -> Result<StatusCode, ApiError> {
    session.remove(key.of::<Value>()?)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub(super) struct Counted {
    value: u64,
}

/// Commits before it answers with the stored value, so that no two requests get the same one.
pub(super) async fn count(session: Session, key: KeyInPath, delay: Delay) -> Result<JsonResponse<Counted>, ApiError> {
    let key = key.of::<u64>()?;
    tokio::time::sleep(delay.0).await;
    let counted = async {
        session.update(key.clone(), |count| *count = count.saturating_add(1))?;
        session.commit().await?;
        session.get(key)
    };
    match counted.await {
        Ok(value) => Ok(JsonResponse(Counted { value: value.unwrap_or_default() })),
        Err(Error::Value(_)) => Err(ApiError::NotACounter),
        Err(error) => Err(error.into()),
    }
}
