//! The handlers for axum, the same for every library.

use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::get;

use crate::app::USER_ID;

/// What handlers do with the session of their request, each library in its own way.
pub trait Session: FromRequestParts<()> + Send + Sync + 'static {
    /// A number.
    fn get(&self, key: &'static str) -> impl Future<Output = Option<u64>> + Send;
    /// Changes a number.
    fn set(&self, key: &'static str, value: u64) -> impl Future<Output = ()> + Send;
    /// Sets `profile`.
    fn set_profile(&self) -> impl Future<Output = ()> + Send;
    /// What an application does at login: at least, the session has a new id.
    fn login(&self) -> impl Future<Output = ()> + Send;
    /// Ends the session.
    fn logout(&self) -> impl Future<Output = ()> + Send;
}

/// The routes. `/seed` makes the session of a client; the others are measured.
pub fn routes<S: Session<Rejection: Send>>() -> Router {
    Router::new()
        .route("/untouched", get(untouched))
        .route("/seed", get(seed::<S>))
        .route("/read", get(read::<S>))
        .route("/write", get(write::<S>))
        .route("/login", get(login::<S>))
        .route("/logout", get(logout::<S>))
}

/// Asks for no session.
pub async fn untouched() -> &'static str {
    "ok"
}

async fn seed<S: Session>(session: S) -> &'static str {
    session.set("user_id", USER_ID).await;
    session.set("counter", 17).await;
    session.set_profile().await;
    "ok"
}

async fn read<S: Session>(session: S) -> String {
    session.get("user_id").await.map_or(String::new(), |user| user.to_string())
}

async fn write<S: Session>(session: S) -> &'static str {
    let counter = session.get("counter").await.unwrap_or(0);
    session.set("counter", counter + 1).await;
    "ok"
}

async fn login<S: Session>(session: S) -> &'static str {
    session.login().await;
    let logins = session.get("login").await.unwrap_or(0);
    session.set("login", logins + 1).await;
    "ok"
}

async fn logout<S: Session>(session: S) -> &'static str {
    session.logout().await;
    "ok"
}
