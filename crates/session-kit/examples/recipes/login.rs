//! Login with a password, hashed with argon2. Whether a name exists is shown neither by the answer nor by its time.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use session_kit::axum::{Rejection, RejectionKind, Session, SessionLayer};
use session_kit::{Login, SessionManager, UserId};
use tokio::sync::RwLock;

/// Stands for your table of users: the hash of each password.
pub(crate) type Accounts = Arc<RwLock<HashMap<UserId, String>>>;

#[derive(serde::Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn log_in(
    State(accounts): State<Accounts>,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, Rejection> {
    let user = UserId::new(form.name).ok();
    let stored = match &user {
        Some(user) => accounts.read().await.get(user).cloned(), // your query
        None => None,
    };
    // Tens of milliseconds of a processor: not on a thread that serves other requests.
    let hash = tokio::task::spawn_blocking(move || verified(&form.password, stored)).await;
    let (Some(user), Some(hash)) = (user, hash.map_err(|_| RejectionKind::Internal)?) else {
        return Ok((StatusCode::UNAUTHORIZED, "wrong name or password").into_response());
    };
    session.login(Login::new(user).method("pwd").credentials(hash))?; // a new session, tied to this password
    Ok(Redirect::to("/").into_response())
}

/// The `stored` hash, if it is that of the password. Takes as long if there is none.
fn verified(password: &str, stored: Option<String>) -> Option<String> {
    static OF_NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash("of nobody"));
    let compared = PasswordHash::new(stored.as_ref().or(OF_NOBODY.as_ref())?).ok()?;
    let matches = Argon2::default().verify_password(password.as_bytes(), &compared).is_ok();
    stored.filter(|_| matches)
}

/// For the table of users, when somebody signs up.
pub(crate) fn hash(password: &str) -> Option<String> {
    Some(Argon2::default().hash_password(password.as_bytes()).ok()?.to_string())
}

async fn log_out(session: Session) -> Result<Redirect, Rejection> {
    session.logout()?;
    Ok(Redirect::to("/"))
}

const FORM: &str =
    "<form method=post><input name=name><input name=password type=password><button>Log in</button></form>";

pub(crate) fn app(sessions: SessionManager, accounts: Accounts) -> Router {
    let routes = Router::new().route("/login", get(Html(FORM)).post(log_in)).route("/logout", post(log_out));
    routes.with_state(accounts).layer(SessionLayer::new(sessions))
}
