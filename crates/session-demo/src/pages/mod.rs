//! The pages: plain forms, no JavaScript; a redirect after every `POST` that worked.

mod admin;
mod agent;
mod chart;
mod devices;
mod errors;
mod forms;
mod home;
mod kinds;
mod layout;
mod moment;
mod notice;
mod sign_in;
mod timeline;

use axum::routing::{any, get, post};
use axum::{Extension, Router};

pub(crate) use errors::rejection;
pub(crate) use layout::{content_policy, favicon, protect};

use crate::args::Mode;
use crate::counts::Counts;
use crate::history::History;
use crate::sessions::Sessions;

/// The pages; for all other addresses, that there is none.
pub(crate) fn router(sessions: &Sessions, history: History) -> Router {
    let mode = sessions.mode();
    let devices = match mode {
        Mode::Cookie | Mode::Hybrid => Router::new()
            .route("/devices", get(devices::show))
            .route("/devices/revoke", post(devices::revoke))
            .route("/devices/revoke-others", post(devices::revoke_others))
            .route("/devices/revoke-all", post(devices::revoke_all))
            .route("/admin", get(admin::show))
            .layer(Extension(Counts::new(sessions.manager().clone()))),
        Mode::Client => Router::new()
            .route("/admin", any(errors::unsupported))
            .route("/devices", any(errors::unsupported))
            .route("/devices/{*rest}", any(errors::unsupported)),
    };
    devices
        .route("/", get(home::show))
        .route("/login", post(sign_in::login))
        .route("/logout", post(sign_in::logout))
        .route("/count", post(home::count))
        .route("/cart/add", post(home::add_to_cart))
        .route("/cart/empty", post(home::empty_cart))
        .route("/sensitive", get(home::sensitive))
        .route("/reauthenticate", post(home::reauthenticate))
        .route("/timeline", get(timeline::show))
        .route("/kinds", get(kinds::show))
        .method_not_allowed_fallback(errors::method_not_allowed)
        .fallback(errors::not_found)
        .layer(Extension(mode))
        .layer(Extension(history))
}
