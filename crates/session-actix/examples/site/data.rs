//! Values in the session, under keys that the client chooses.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::web::{Json as JsonResponse, Query};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};
use session_actix::Session;
use session_core::{Error, Key};

use crate::body::Json;
use crate::error::ApiError;

/// The key in the path: its last segment.
pub(crate) struct KeyInPath(String);

impl KeyInPath {
    fn of<T>(&self) -> Result<Key<T>, ApiError> {
        Key::dynamic(&*self.0).map_err(|_| ApiError::InvalidKey)
    }
}

impl FromRequest for KeyInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    /// As it was sent: actix-web would make other characters of what is no UTF-8.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (_, key) = request.uri().path().rsplit_once('/').unwrap_or_default();
        let key = percent_decode_str(key).decode_utf8().map_err(|_| ApiError::InvalidKey);
        ready(key.map(|key| Self(key.into_owned())))
    }
}

/// `?delay_ms=`: the pause between reading the session and changing it, for experiments with overlapping requests.
pub(crate) struct Delay(Duration);

#[derive(Deserialize)]
struct DelayQuery {
    #[serde(default)]
    delay_ms: u64,
}

impl FromRequest for Delay {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        const MAX_MS: u64 = 60_000;
        ready(match Query::<DelayQuery>::from_query(request.query_string()) {
            Ok(query) if query.delay_ms <= MAX_MS => Ok(Self(Duration::from_millis(query.delay_ms))),
            Ok(_) | Err(_) => Err(ApiError::InvalidQuery),
        })
    }
}

pub(crate) async fn keys(session: Session) -> JsonResponse<Value> {
    JsonResponse(json!({ "keys": session.keys() }))
}

pub(crate) async fn store(
    session: Session,
    key: KeyInPath,
    delay: Delay,
    Json(value): Json<Value>,
) -> Result<HttpResponse, ApiError> {
    let key = key.of()?;
    tokio::time::sleep(delay.0).await;
    session.insert(key, &value)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) async fn load(session: Session, key: KeyInPath) -> Result<JsonResponse<Value>, ApiError> {
    session.get(key.of()?)?.map(JsonResponse).ok_or(ApiError::NotFound)
}

pub(crate) async fn remove(session: Session, key: KeyInPath) -> Result<HttpResponse, ApiError> {
    session.remove(key.of::<Value>()?)?;
    Ok(HttpResponse::NoContent().finish())
}

/// Commits before it answers with the stored value, so that no two requests get the same one.
pub(crate) async fn count(session: Session, key: KeyInPath, delay: Delay) -> Result<JsonResponse<Value>, ApiError> {
    let key = key.of::<u64>()?;
    tokio::time::sleep(delay.0).await;
    let counted = async {
        session.update(key.clone(), |count| *count = count.saturating_add(1))?;
        session.commit().await?;
        session.get(key)
    };
    match counted.await {
        Ok(value) => Ok(JsonResponse(json!({ "value": value.unwrap_or_default() }))),
        Err(Error::Value(_)) => Err(ApiError::NotACounter),
        Err(error) => Err(error.into()),
    }
}
