//! Health checks: whether the process lives, and whether it should be sent requests.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use session_kit::SessionManager;

/// What stands before it all: the process answers. Not a word about the store, because a restart repairs none.
async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether sessions can be read here: one round trip.
async fn ready(State(sessions): State<SessionManager>) -> StatusCode {
    match sessions.ping().await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE, // the cause is in the log already; strangers are not told
    }
}

/// Merged behind the site's own layers: `app(sessions).merge(health::app(sessions))`. It needs no session.
pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(sessions)
}
