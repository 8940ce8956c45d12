//! A request that uses a refresh token and is late makes no thief of its client.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use session_core::{Error, IssuedRefreshToken, Login, Policy, PresentedToken, SessionManager, UserId};
use session_moka::MokaStore;

fn presented(issued: &IssuedRefreshToken) -> PresentedToken {
    PresentedToken::parse(issued.token.encode().expose().as_bytes()).unwrap()
}

async fn refresh(manager: &SessionManager, issued: &IssuedRefreshToken) -> IssuedRefreshToken {
    let verified = manager.verify_refresh_token(&presented(issued)).await.unwrap().unwrap();
    manager.rotate(verified).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_rotation_that_is_late_raises_no_alarm() {
    let manager = SessionManager::new(MokaStore::new(), Policy::standard());
    let first = manager.issue_refresh_token(Login::new(UserId::new("alice").unwrap()), None).await.unwrap();
    // Its request hangs; the client gives up and asks another node.
    let late = manager.verify_refresh_token(&presented(&first)).await.unwrap().unwrap();
    let second = refresh(&manager, &first).await;
    let third = refresh(&manager, &second).await;

    assert!(matches!(manager.rotate(late).await, Err(Error::Superseded)));
    // The session goes on; a request that begins with an old token is reuse.
    let fourth = refresh(&manager, &third).await;
    assert!(manager.verify_refresh_token(&presented(&first)).await.unwrap().is_none());
    assert!(manager.verify_refresh_token(&presented(&fourth)).await.unwrap().is_none());
}
