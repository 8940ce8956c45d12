//! The JSON API.

mod account;
mod data;
mod devices;
mod error;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::routing::{any, delete, get, post, put};
use serde::de::DeserializeOwned;

pub(crate) use error::ApiError;

use crate::sessions::Mode;

/// In hybrid mode, `/me` and `/devices` take access tokens too, and ask the store whether the session is alive; `/whoami`
/// does not ask.
pub(crate) fn router(mode: Mode) -> Router {
    let by_mode = match mode {
        Mode::Cookie => devices(),
        Mode::TokenService => devices().route("/whoami", get(account::whoami)),
        Mode::Client => Router::new()
            .route("/devices", any(devices::unsupported))
            .route("/devices/{*rest}", any(devices::unsupported)),
    };
    by_mode
        .route("/ping", get(ping))
        .route("/login", post(account::login))
        .route("/logout", post(account::logout))
        .route("/me", get(account::me))
        .route("/reauthenticate", post(account::reauthenticate))
        .route("/sensitive", get(account::sensitive))
        .route("/data", get(data::keys))
        .route("/data/{key}", put(data::store).get(data::load).delete(data::remove))
        .route("/counter/{key}", post(data::count))
        .fallback(|| async { ApiError::NotFound })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
}

fn devices() -> Router {
    Router::new()
        .route("/devices", get(devices::list))
        .route("/devices/{id}", delete(devices::revoke))
        .route("/devices/revoke-others", post(devices::revoke_others))
        .route("/devices/revoke-all", post(devices::revoke_all))
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
