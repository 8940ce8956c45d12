//! What issuer and verifiers agree on.

use std::sync::Arc;
use std::time::Duration;

/// A [`TokenPolicy`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenPolicyError {
    /// Issuer, audience or client is empty or longer than 512 bytes.
    #[error("issuer, audience and client have between 1 and {} bytes", TokenPolicy::MAX_NAME_LEN)]
    Name,
    /// The lifetime is not in whole seconds between 1 second and 1 day.
    #[error("the lifetime of a token is in whole seconds, at least one and at most a day")]
    Timeouts,
    /// The leeway is longer than a minute.
    #[error("the leeway is at most a minute")]
    Leeway,
    /// The ring drops a key while tokens that it signed are still valid.
    #[error("the rotation's verify_for is shorter than the lifetime of a token and the leeway")]
    VerifyFor,
}

/// Who issues tokens, for whom, and how long they live. The same value for the issuer and its verifiers.
///
/// ```
/// use std::time::Duration;
/// use session_jwt::TokenPolicy;
///
/// let policy = TokenPolicy::new("https://login.example", "https://api.example")?
///     .with_lifetime(Duration::from_secs(120))?;
/// assert_eq!(policy.lifetime(), Duration::from_secs(120));
/// assert_eq!(policy.leeway(), Duration::from_secs(5));
/// # Ok::<_, session_jwt::TokenPolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    issuer: Arc<str>,
    audience: Arc<str>,
    client: Arc<str>,
    lifetime: Duration,
    leeway: Duration,
}

impl TokenPolicy {
    /// The longest issuer, audience or client, in bytes.
    pub const MAX_NAME_LEN: usize = 512;

    /// Tokens of `issuer` for `audience`, which live for 5 minutes, with 5 seconds of leeway. Both are compared byte
    /// for byte.
    ///
    /// # Errors
    /// [`TokenPolicyError::Name`] if one of them is empty or too long.
    pub fn new(issuer: impl Into<Arc<str>>, audience: impl Into<Arc<str>>) -> Result<Self, TokenPolicyError> {
        let (issuer, audience) = (name(issuer)?, name(audience)?);
        let (lifetime, leeway) = (Duration::from_secs(300), Duration::from_secs(5));
        Ok(Self { client: issuer.clone(), issuer, audience, lifetime, leeway })
    }

    /// How long a token is valid. A verifier refuses tokens that live longer.
    ///
    /// # Errors
    /// [`TokenPolicyError::Timeouts`] unless it is in whole seconds, at least one and at most a day.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Result<Self, TokenPolicyError> {
        let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        if !allowed.contains(&lifetime) || lifetime.subsec_nanos() != 0 {
            return Err(TokenPolicyError::Timeouts);
        }
        self.lifetime = lifetime;
        Ok(self)
    }

    /// How far clocks may be apart. It lengthens the life of every token.
    ///
    /// # Errors
    /// [`TokenPolicyError::Leeway`] if it is longer than a minute.
    pub fn with_leeway(mut self, leeway: Duration) -> Result<Self, TokenPolicyError> {
        if leeway > Duration::from_secs(60) {
            return Err(TokenPolicyError::Leeway);
        }
        self.leeway = leeway;
        Ok(self)
    }

    /// The `client_id` that tokens carry, because RFC 9068 asks for one: which application the session was opened
    /// with. Without it, the issuer itself.
    ///
    /// # Errors
    /// [`TokenPolicyError::Name`] if it is empty or too long.
    pub fn with_client(mut self, client: impl Into<Arc<str>>) -> Result<Self, TokenPolicyError> {
        self.client = name(client)?;
        Ok(self)
    }

    /// The `iss` claim.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` claim.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The `client_id` claim.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// How long a token is valid.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// How far clocks may be apart.
    #[must_use]
    pub fn leeway(&self) -> Duration {
        self.leeway
    }
}

fn name(text: impl Into<Arc<str>>) -> Result<Arc<str>, TokenPolicyError> {
    let text = text.into();
    if text.is_empty() || text.len() > TokenPolicy::MAX_NAME_LEN { Err(TokenPolicyError::Name) } else { Ok(text) }
}
