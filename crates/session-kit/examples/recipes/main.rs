//! The recipes of the documentation: `cargo run --example recipes --all-features -- login`, or another name of a file here.

pub(crate) mod admin;
pub(crate) mod current_user;
pub(crate) mod devices;
pub(crate) mod errors;
pub(crate) mod flash;
pub(crate) mod health;
pub(crate) mod job;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod mobile;
pub(crate) mod next;
pub(crate) mod password;
pub(crate) mod pool;
pub(crate) mod remember;
pub(crate) mod shutdown;
pub(crate) mod spa;
#[cfg(test)]
pub(crate) mod testing;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use session_kit::store::moka::MokaStore;
use session_kit::{CookiePolicy, SessionManager, UserId};
use tokio::sync::{RwLock, Semaphore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recipe = std::env::args().nth(1).unwrap_or_default();
    let policy = remember::policy()?.to_builder().cookie(CookiePolicy::local_development("recipes")?).build()?;
    let sessions = SessionManager::new(MokaStore::new(), policy);
    let app = app(&recipe, &sessions).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("{recipe}: http://localhost:3000; users are alice and root, the password is correct-horse");
    Ok(shutdown::serve(listener, app, sessions, shutdown::signal()).await?)
}

async fn app(recipe: &str, sessions: &SessionManager) -> Result<Router, Box<dyn Error>> {
    let hash = login::hash("correct-horse").ok_or("no hash")?;
    let users = [(UserId::new("alice")?, hash.clone()), (UserId::new("root")?, hash)];
    let accounts = Arc::new(RwLock::new(users.into()));
    let login = || login::app(sessions.clone(), Arc::clone(&accounts));
    let sessions = sessions.clone();
    Ok(match recipe {
        "login" => login(),
        "admin" => admin::app(sessions).merge(login()),
        "current_user" => current_user::app(sessions, Arc::clone(&accounts)).merge(login()),
        "devices" => devices::app(sessions).merge(login()),
        "errors" => errors::app(sessions),
        "flash" => flash::app(sessions),
        "health" => health::app(sessions),
        "job" => job::app(sessions, Arc::new(Semaphore::new(3))).merge(login()),
        "live" => live::app(sessions).merge(login()),
        "mobile" => mobile::app(sessions)?,
        "next" => next::app(sessions)?,
        "password" => password::app(sessions, Arc::clone(&accounts)).merge(login()),
        "pool" => {
            pool::open(session_kit::store::postgres::sqlx::PgPool::connect(&std::env::var("DATABASE_URL")?).await?)
                .await?
                .1
        }
        "remember" => remember::app(sessions),
        "spa" => spa::app(sessions)?,
        _ => return Err("name a recipe: one of the files in examples/recipes that has routes".into()),
    })
}
