//! Credentials that change: [`CredentialsProvider`].

use std::error::Error;
use std::fmt;

use async_trait::async_trait;

/// A user and a password.
#[derive(Clone)]
pub struct Credentials {
    /// `None`: the default user.
    pub user: Option<String>,
    /// The password, or a token that stands for it.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Knows the credentials of the moment: for passwords that are rotated, and tokens that expire.
///
/// A closure that returns [`Credentials`] is one.
#[async_trait]
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Asked before each connection is opened, and again at the next attempt if that fails.
    ///
    /// # Errors
    /// If there are none. Its text is logged.
    async fn credentials(&self) -> Result<Credentials, Box<dyn Error + Send + Sync>>;
}

#[async_trait]
impl<F: Fn() -> Credentials + Send + Sync + 'static> CredentialsProvider for F {
    async fn credentials(&self) -> Result<Credentials, Box<dyn Error + Send + Sync>> {
        Ok(self())
    }
}
