//! [`TokenPolicy`]: what an issuer and its verifiers agree on.

use std::sync::Arc;
use std::time::Duration;

/// Why a [`TokenPolicy`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenPolicyError {
    /// The issuer, audience or client is empty or longer than 512 bytes.
    #[error("issuer, audience and client must have between 1 and {} bytes", TokenPolicy::MAX_NAME_LEN)]
    Name,
    /// The lifetime is not a whole number of seconds between 1 second and 1 day.
    #[error("the lifetime of a token must be a whole number of seconds, between 1 second and 1 day")]
    Lifetime,
    /// The leeway is longer than a minute.
    #[error("the leeway must be at most a minute")]
    Leeway,
    /// A client would not refresh before its session has expired.
    #[error("the lifetime of an access token must be shorter than the idle timeout of a session")]
    OutlivesIdleTimeout,
    /// An honest client would use a successor while the grace window of its predecessor is still open, and a late request
    /// with the predecessor would look like theft.
    #[error("the lifetime of an access token must not be shorter than the policy's refresh grace")]
    ShorterThanRefreshGrace,
}

/// Who issues tokens, for whom, and how long they are valid. The same for an issuer and its verifiers.
///
/// ```
/// use std::time::Duration;
/// use session_jwt::TokenPolicy;
///
/// let policy = TokenPolicy::builder("https://login.example", "https://api.example")
///     .lifetime(Duration::from_secs(120))
///     .build()?;
/// assert_eq!(policy.lifetime(), Duration::from_secs(120));
/// assert_eq!(policy.leeway(), Duration::from_secs(5));
/// # Ok::<_, session_jwt::TokenPolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    issuer: Arc<str>,
    audience: Arc<str>,
    others: Arc<[String]>,
    client: Arc<str>,
    lifetime: Duration,
    leeway: Duration,
}

impl TokenPolicy {
    /// The longest issuer, audience or client, in bytes.
    pub const MAX_NAME_LEN: usize = 512;
    /// The longest leeway.
    pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(60);

    /// Tokens of `issuer` for `audience`, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// [`TokenPolicyError::Name`] if one of them is empty or too long.
    pub fn new(issuer: impl Into<Arc<str>>, audience: impl Into<Arc<str>>) -> Result<Self, TokenPolicyError> {
        Self::builder(issuer, audience).build()
    }

    /// A builder for tokens of `issuer` for `audience`. Both are compared byte for byte.
    pub fn builder(issuer: impl Into<Arc<str>>, audience: impl Into<Arc<str>>) -> TokenPolicyBuilder {
        let (issuer, audience) = (issuer.into(), audience.into());
        let (lifetime, leeway) = (Duration::from_secs(300), Duration::from_secs(5));
        TokenPolicyBuilder(Self { client: issuer.clone(), issuer, audience, others: Arc::default(), lifetime, leeway })
    }

    /// The `iss` claim.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` claim: what verifiers want to see in it, and what it is if a login was granted for no other.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Whether the issuer issues tokens for `audience`.
    #[must_use]
    pub fn issues_for(&self, audience: &str) -> bool {
        *audience == *self.audience || self.others.iter().any(|other| other == audience)
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

    /// How long after `exp` a token is still accepted.
    #[must_use]
    pub fn leeway(&self) -> Duration {
        self.leeway
    }

    /// By how much `iat`, `nbf` and `auth_time` may lie in the future: 30 seconds, as sessions tolerate
    /// ([`max_clock_skew`](session_core::PolicyBuilder::max_clock_skew)), or the leeway if that is longer. A token that another
    /// server has just issued must not be refused because its clock is ahead, and nobody gains by a token that begins later.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        self.leeway.max(Duration::from_secs(30))
    }
}

/// Builds a [`TokenPolicy`]; made by [`TokenPolicy::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenPolicyBuilder(TokenPolicy);

impl TokenPolicyBuilder {
    /// How long a token is valid: a whole number of seconds, at most a day. Verifiers refuse tokens with a longer lifetime.
    /// Default: 5 minutes.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.0.lifetime = lifetime;
        self
    }

    /// How long after `exp` a token is still accepted, at most a minute: by how much clocks may differ. It extends the life of
    /// every token. Default: 5 seconds. (What lies in the future is tolerated for [longer](TokenPolicy::ahead).)
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.0.leeway = leeway;
        self
    }

    /// One more audience that logins may be granted for ([`Grant`](session_core::Grant)): another service, which verifies the
    /// tokens with a policy of its own. Without it there is one, and a refresh token of another issuer with the same store is
    /// not redeemed.
    pub fn also_for(mut self, audience: impl Into<String>) -> Self {
        self.0.others = self.0.others.iter().cloned().chain([audience.into()]).collect();
        self
    }

    /// The `client_id` claim, which RFC 9068 requires: the application with which the session was opened. Default: the
    /// issuer.
    pub fn client(mut self, client: impl Into<Arc<str>>) -> Self {
        self.0.client = client.into();
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// [`TokenPolicyError::Name`], [`TokenPolicyError::Lifetime`] or [`TokenPolicyError::Leeway`].
    pub fn build(self) -> Result<TokenPolicy, TokenPolicyError> {
        let TokenPolicy { issuer, audience, others, client, lifetime, leeway } = &self.0;
        let names = [&**issuer, audience, client].into_iter().chain(others.iter().map(String::as_str));
        if names.into_iter().any(|name| !(1..=TokenPolicy::MAX_NAME_LEN).contains(&name.len())) {
            return Err(TokenPolicyError::Name);
        }
        let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        if !allowed.contains(lifetime) || lifetime.subsec_nanos() != 0 {
            return Err(TokenPolicyError::Lifetime);
        }
        if *leeway > TokenPolicy::MAX_LEEWAY {
            return Err(TokenPolicyError::Leeway);
        }
        Ok(self.0)
    }
}
