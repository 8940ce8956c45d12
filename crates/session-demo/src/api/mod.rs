//! The JSON API.

mod account;
mod data;
mod devices;
mod error;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::routing::{delete, get, post, put};
use serde::de::DeserializeOwned;

use error::ApiError;

pub(crate) fn router() -> Router {
    Router::new()
        .route("/ping", get(ping))
        .route("/login", post(account::login))
        .route("/logout", post(account::logout))
        .route("/me", get(account::me))
        .route("/reauthenticate", post(account::reauthenticate))
        .route("/sensitive", get(account::sensitive))
        .route("/data", get(data::keys))
        .route("/data/{key}", put(data::store).get(data::load).delete(data::remove))
        .route("/counter/{key}", post(data::count))
        .route("/devices", get(devices::list))
        .route("/devices/{id}", delete(devices::revoke))
        .route("/devices/revoke-others", post(devices::revoke_others))
        .route("/devices/revoke-all", post(devices::revoke_all))
        .fallback(|| async { ApiError::NotFound })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
}

/// Never asks for its session, and so costs no store call whatever the cookie.
async fn ping() -> &'static str {
    "pong"
}

/// A body in JSON, whatever its `Content-Type` says.
struct Json<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await.map_err(|_| ApiError::BodyTooLarge)?;
        serde_json::from_slice(&body).map(Self).map_err(|_| ApiError::InvalidBody)
    }
}
