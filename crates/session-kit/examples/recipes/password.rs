//! A change of the password: this browser stays logged in, all others are out at their next request.

use std::collections::HashMap;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use axum::extract::State;
use axum::routing::post;
use axum::{Form, Router};
use session_kit::axum::{Authenticated, Rejection, RejectionKind, SessionLayer};
use session_kit::{SessionManager, StepUp, UserId};
use tokio::sync::RwLock;

/// Stands for your table of users: the hash of each password.
pub(crate) type Accounts = Arc<RwLock<HashMap<UserId, String>>>;

#[derive(serde::Deserialize)]
struct Change {
    old: String,
    new: String,
}

async fn change(
    State(accounts): State<Accounts>,
    session: Authenticated,
    Form(form): Form<Change>,
) -> Result<String, Rejection> {
    let user = session.user().clone();
    let stored = accounts.read().await.get(&user).cloned().unwrap_or_default();
    let old = stored.clone();
    let new = tokio::task::spawn_blocking(move || changed(&form, &old)).await.map_err(|_| RejectionKind::Internal)?;
    let Some(new) = new else { return Ok("that is not your password".to_owned()) };

    // 1. The account. From here on, `has_credentials` lets no session of the old password pass.
    // UPDATE users SET hash = $new WHERE id = $user AND hash = $stored
    match accounts.write().await.get_mut(&user).filter(|hash| **hash == stored) {
        Some(hash) => hash.clone_from(&new),
        None => return Err(RejectionKind::Conflict.into()), // another browser was faster
    }
    // 2. This session: it gets the new password, and a new token. Committed before the others end: if that fails, so does the
    // request, and with the password changed, the user logs in anew everywhere.
    session.step_up(StepUp::new(user.clone()).method("pwd").credentials(&new))?;
    session.commit().await?;
    // 3. All others.
    let ended = session.manager().revoke_others(&user, &session.id()).await?;
    Ok(format!("changed; {ended} other sessions ended"))
}

/// The hash of the new password, if the old one is right.
fn changed(form: &Change, stored: &str) -> Option<String> {
    Argon2::default().verify_password(form.old.as_bytes(), &PasswordHash::new(stored).ok()?).ok()?;
    Some(Argon2::default().hash_password(form.new.as_bytes()).ok()?.to_string())
}

pub(crate) fn app(sessions: SessionManager, accounts: Accounts) -> Router {
    Router::new().route("/password", post(change)).with_state(accounts).layer(SessionLayer::new(sessions))
}
