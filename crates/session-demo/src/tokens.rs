//! What the token routes ask this site: who may log in, and who may go on.

use async_trait::async_trait;
use axum::http::request::Parts;
use session_core::{Login, SessionSummary, UserId};
use session_jwt::{AccountStatus, AccountsError};
use session_tower::Authenticator;

use crate::accounts;
use crate::actions::Credentials;
use crate::client::Client;

/// The accounts of this site. A real one asks its database, here and there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounts;

#[async_trait]
impl Authenticator for Accounts {
    type Credentials = Credentials;

    async fn authenticate(&self, said: Credentials, parts: &Parts) -> Result<Option<Login>, AccountsError> {
        let user = accounts::verify(&said.username, &said.password);
        Ok(user.map(|user| {
            let login = Login::new(user).method("pwd").device(Client::of(parts).device());
            if said.remember { login.remember() } else { login }
        }))
    }
}

#[async_trait]
impl session_jwt::Accounts for Accounts {
    async fn status(&self, user: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(if accounts::exists(user.as_str()) { AccountStatus::Active } else { AccountStatus::Disabled })
    }
}
