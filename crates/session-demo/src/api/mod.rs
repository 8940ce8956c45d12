//! The JSON API.

mod account;
mod data;
mod devices;
pub(crate) mod error;

use axum::Router;
use axum::routing::{any, delete, get, post, put};

use self::error::ApiError;
use crate::args::Mode;
use crate::live;

/// In hybrid mode, `/me` and `/devices` take access tokens too, and look up the session in the store; `/whoami` does
/// not.
pub(crate) fn router(mode: Mode) -> Router {
    let by_mode = match mode {
        Mode::Cookie => devices(),
        Mode::Hybrid => devices().route("/whoami", get(account::whoami)),
        Mode::Client => Router::new()
            .route("/devices", any(devices::unsupported))
            .route("/devices/{*rest}", any(devices::unsupported)),
    };
    by_mode
        .route("/ping", get(ping))
        .route("/events", get(live::events))
        .route("/login", post(account::login))
        .route("/logout", post(account::logout))
        .route("/me", get(account::me))
        .route("/binding", get(account::binding))
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

/// Does not ask for its session, and so makes no store call, whatever the cookie.
async fn ping() -> &'static str {
    "pong"
}
