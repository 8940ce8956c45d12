//! [`Accounts`]: what the application knows about its users.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use session_core::{SessionSummary, UserId};

/// Tells whether a user may stay logged in. Called for every refresh, so that an account that was locked or deleted, or
/// whose credentials were changed, gets no further access token.
#[async_trait]
pub trait Accounts: fmt::Debug + Send + Sync + 'static {
    /// The status of the account of `user`, whose session is `session`.
    ///
    /// # Errors
    /// If the status cannot be determined now. The refresh then fails without effect, and the client may retry it.
    async fn status(&self, user: &UserId, session: &SessionSummary) -> Result<AccountStatus, AccountsError>;
}

/// The answer of [`Accounts::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// The session may continue.
    Active,
    /// The account is locked or deleted, or its credentials are newer than the session: the session ends.
    Disabled,
}

/// The status of an account could not be determined.
#[derive(Debug, thiserror::Error)]
#[error("the status of the account could not be determined")]
pub struct AccountsError(#[source] Box<dyn StdError + Send + Sync>);

impl AccountsError {
    /// Wraps the error of the application's store or service.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
