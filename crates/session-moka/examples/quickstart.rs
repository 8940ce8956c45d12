//! Sessions in this process: log in, list, and revoke all of a user's sessions.
//!
//! `cargo run -p session-moka --example quickstart`

use std::error::Error;

use session_core::adapter::PresentedCookie;
use session_core::{Login, Policy, SessionManager, UserId};
use session_moka::MokaStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // At most a million sessions: one more is refused, and no live session is dropped for it.
    let store = MokaStore::builder().max_sessions(1_000_000).build();
    let sessions = SessionManager::new(store.clone(), Policy::standard());

    // An adapter such as session-tower does this for each request.
    let session = sessions.open(&PresentedCookie::Nothing).await?;
    let alice = UserId::new("alice")?;
    session.login(Login::new(alice.clone()).method("pwd"))?;
    sessions.commit(&session).await?;
    println!("alice has {} sessions", sessions.list(&alice).await?.len());

    println!("{} revoked, {} stored", sessions.revoke_all(&alice).await?, store.session_count());
    Ok(())
}
