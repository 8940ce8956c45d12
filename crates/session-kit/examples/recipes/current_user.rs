//! The account of the user as an extractor. It ends a session whose account is gone, or has other credentials by now.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::get;
use session_kit::axum::{Authenticated, Rejection, RejectionKind, SessionLayer};
use session_kit::{Assurance, SessionManager, UserId};
use tokio::sync::RwLock;

/// Stands for your table of users: the hash of each password.
pub(crate) type Accounts = Arc<RwLock<HashMap<UserId, String>>>;

/// Who is logged in, as a handler wants to know them: your row of the table.
pub(crate) struct CurrentUser {
    name: UserId,
    session: Authenticated,
}

impl FromRequestParts<Accounts> for CurrentUser {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, accounts: &Accounts) -> Result<Self, Rejection> {
        let session = Authenticated::from_request_parts(parts, accounts).await?;
        let name = session.user().clone();
        let hash = accounts.read().await.get(&name).cloned(); // your query
        match hash {
            // The login said `.credentials(hash)`.
            Some(hash) if session.has_credentials(&hash) => Ok(Self { name, session }),
            Some(_) | None => {
                session.logout()?; // committed with the answer, which also removes the cookie
                Err(RejectionKind::Unauthenticated.into())
            }
        }
    }
}

async fn account(user: CurrentUser) -> String {
    let login = user.session.authentication();
    let since = login.as_ref().and_then(|login| login.proof(Assurance::Aal1)).map(|proof| proof.at.to_string());
    format!("{}, logged in at {}", user.name.as_str(), since.unwrap_or_default())
}

pub(crate) fn app(sessions: SessionManager, accounts: Accounts) -> Router {
    Router::new().route("/account", get(account)).with_state(accounts).layer(SessionLayer::new(sessions))
}
