//! Sessions in PostgreSQL: connect, migrate, log in, list, and sweep in the background.
//!
//! `cargo run -p session-postgres --example quickstart -- postgres://app@localhost/app`

use std::error::Error;

use session_core::adapter::PresentedCookie;
use session_core::{Login, Namespace, Policy, SessionManager, UserId};
use session_postgres::{PostgresStore, recommended_pool_options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: quickstart postgres://user@host/database")?;
    let pool = recommended_pool_options().connect(&url).await?;
    let store = PostgresStore::new(pool, Namespace::new("quickstart")?);
    store.migrate().await?;
    let sessions = SessionManager::new(store, Policy::standard());
    // Deletes expired rows every few seconds; every node may run it.
    tokio::spawn(sessions.clone().sweep());

    // An adapter such as session-tower does this for each request.
    let session = sessions.open(&PresentedCookie::Nothing).await?;
    let alice = UserId::new("alice")?;
    session.login(Login::new(alice.clone()).method("pwd"))?;
    sessions.commit(&session).await?;

    println!("alice has {} sessions", sessions.list(&alice).await?.len());
    Ok(())
}
