//! Tests of a site: with a user who is logged in, without the login form and its hash, and with time that a test moves.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header::COOKIE};
use axum::routing::get;
use session_kit::axum::{Authenticated, SessionLayer};
use session_kit::store::moka::MokaStore;
use session_kit::{Login, ManualClock, SessionManager, UserId, testing};
use tower::ServiceExt as _;

/// The site under test.
fn app(sessions: SessionManager) -> Router {
    let account = async |session: Authenticated| session.user().as_str().to_owned();
    Router::new().route("/account", get(account)).layer(SessionLayer::new(sessions))
}

async fn status(site: &Router, path: &str, cookie: &str) -> Result<StatusCode, Box<dyn Error>> {
    let request = Request::get(path).header(COOKIE, cookie).body(Body::empty())?;
    Ok(site.clone().oneshot(request).await?.status())
}

#[tokio::test]
async fn who_is_idle_is_logged_out() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::default(); // clones are the same clock
    let sessions = SessionManager::builder(Arc::new(MokaStore::new())).clock(clock.clone()).build();
    let site = app(sessions.clone());
    let cookie = testing::log_in(&sessions, Login::new(UserId::new("alice")?)).await?;

    clock.advance(Duration::from_secs(29 * 60));
    assert_eq!(status(&site, "/account", &cookie).await?, StatusCode::OK); // which is activity
    clock.advance(Duration::from_secs(29 * 60));
    assert_eq!(status(&site, "/account", &cookie).await?, StatusCode::OK);
    clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(status(&site, "/account", &cookie).await?, StatusCode::UNAUTHORIZED);
    Ok(())
}
