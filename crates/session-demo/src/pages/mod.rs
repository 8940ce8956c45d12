//! The pages: plain forms, no JavaScript; a redirect after every `POST` that worked.

mod agent;
mod devices;
mod errors;
mod home;
mod kinds;
mod layout;

use axum::Router;
use axum::routing::{any, get, post};

pub(crate) use errors::{not_found, rejection};
pub(crate) use layout::{content_policy, favicon, protect};

use crate::args::Mode;

pub(crate) fn router(mode: Mode) -> Router {
    let devices = match mode {
        Mode::Cookie | Mode::Hybrid => Router::new()
            .route("/devices", get(devices::show))
            .route("/devices/revoke", post(devices::revoke))
            .route("/devices/revoke-others", post(devices::revoke_others))
            .route("/devices/revoke-all", post(devices::revoke_all)),
        Mode::Client => Router::new()
            .route("/devices", any(devices::unsupported))
            .route("/devices/{*rest}", any(devices::unsupported)),
    };
    devices
        .route("/", get(home::show))
        .route("/login", post(home::login))
        .route("/logout", post(home::logout))
        .route("/count", post(home::count))
        .route("/cart/add", post(home::add_to_cart))
        .route("/cart/empty", post(home::empty_cart))
        .route("/sensitive", get(home::sensitive))
        .route("/reauthenticate", post(home::reauthenticate))
        .route("/kinds", get(kinds::show))
        .method_not_allowed_fallback(errors::method_not_allowed)
}
