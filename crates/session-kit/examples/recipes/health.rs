//! Health checks: whether the process lives, and whether it should be sent requests.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use session_kit::{Error, SessionManager, UserId};

/// What stands before it all: the process answers. Not a word about the store, because a restart repairs none.
async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Whether sessions can be read here: a list of nobody's sessions, one round trip.
async fn ready(State(sessions): State<SessionManager>) -> StatusCode {
    match readable(&sessions).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE, // the reason is in the log, and with the observers
    }
}

async fn readable(sessions: &SessionManager) -> Result<(), Error> {
    let Ok(nobody) = UserId::new("health-check") else { return Ok(()) };
    sessions.list(&nobody).await.map(drop)
}

/// Merged behind the site's own layers: `app(sessions).merge(health::app(sessions))`. It needs no session.
pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(sessions)
}
