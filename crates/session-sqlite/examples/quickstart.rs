//! Sessions in a file of SQLite: open, log in, list, and sweep in the background.
//!
//! `cargo run -p session-sqlite --example quickstart -- sessions.db`

use std::error::Error;

use session_core::adapter::PresentedCookie;
use session_core::{Login, Namespace, Policy, SessionManager, UserId};
use session_sqlite::SqliteStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: quickstart FILE")?;
    let store = SqliteStore::open(path, Namespace::new("quickstart")?).await?;
    let sessions = SessionManager::new(store.clone(), Policy::standard());
    // Deletes expired rows every few seconds.
    let sweep = tokio::spawn(sessions.clone().sweep());

    // An adapter such as session-tower does this for each request.
    let session = sessions.open(&PresentedCookie::Nothing).await?;
    let alice = UserId::new("alice")?;
    session.login(Login::new(alice.clone()).method("pwd"))?;
    sessions.commit(&session).await?;

    println!("alice has {} sessions", sessions.list(&alice).await?.len());
    sweep.abort();
    store.close().await;
    Ok(())
}
