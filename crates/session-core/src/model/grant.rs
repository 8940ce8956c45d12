//! [`Grant`]: what a refresh token was granted for.

use std::collections::BTreeSet;
use std::fmt;

/// What a refresh token was granted for: to which client, for whom, and for what. Kept with the session of the token as
/// [`Login::grant`](crate::Login::grant) gave it, as long as the session lives; a refresh may ask for less
/// ([`VerifiedRefreshToken::narrow`](crate::VerifiedRefreshToken::narrow)), never for more.
///
/// ```
/// use session_core::{Grant, Scope};
///
/// let grant = Grant::new()
///     .with_client("mobile-app")?
///     .with_audience("https://api.example")?
///     .with_scope(Scope::parse("orders:read orders:write")?)?;
/// assert_eq!(grant.client(), Some("mobile-app"));
/// assert!(grant.scope().contains("orders:read"));
/// # Ok::<_, session_core::GrantError>(())
/// ```
///
/// `Debug` shows how much it says, not what.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grant {
    client: Option<String>,
    audiences: Vec<String>,
    scope: Scope,
}

impl Grant {
    /// The longest client, audience or scope token, in bytes.
    pub const MAX_VALUE_LEN: usize = 512;
    /// The most that all texts of a grant may have together, in bytes: it is stored with every session, and loaded with each
    /// refresh.
    pub const MAX_LEN: usize = 4096;

    /// A grant to no named client, for no named audience, of no scope: what a login without a grant has.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The client (`client_id`, RFC 6749).
    ///
    /// # Errors
    /// [`GrantError::Text`] if it is empty or has other characters than visible ASCII and blanks, [`GrantError::TooLong`].
    pub fn with_client(mut self, client: impl Into<String>) -> Result<Self, GrantError> {
        let client = client.into();
        if client.is_empty() || !client.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(GrantError::Text);
        }
        self.client = Some(short(client)?);
        self.bounded()
    }

    /// One more audience (`aud`, RFC 7519; `resource`, RFC 8707): a service that access tokens are for. Once is enough.
    ///
    /// # Errors
    /// [`GrantError::Text`] if it is empty or has a control character, [`GrantError::TooLong`].
    pub fn with_audience(mut self, audience: impl Into<String>) -> Result<Self, GrantError> {
        let audience = audience.into();
        if audience.is_empty() || audience.chars().any(char::is_control) {
            return Err(GrantError::Text);
        }
        if !self.audiences.contains(&audience) {
            self.audiences.push(short(audience)?);
        }
        self.bounded()
    }

    /// What access tokens may be used for.
    ///
    /// # Errors
    /// [`GrantError::TooLong`] if the grant would be longer than [`Self::MAX_LEN`].
    pub fn with_scope(mut self, scope: Scope) -> Result<Self, GrantError> {
        self.scope = scope;
        self.bounded()
    }

    /// The client, if it was named.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// Whom access tokens are for; empty if nobody was named.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// What access tokens may be used for.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    fn bounded(self) -> Result<Self, GrantError> {
        let client = self.client.as_ref().map_or(0, String::len);
        let audiences: usize = self.audiences.iter().map(String::len).sum();
        if client + audiences + self.scope.text.len() > Self::MAX_LEN { Err(GrantError::TooLong) } else { Ok(self) }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("has_client", &self.client.is_some())
            .field("audiences", &self.audiences.len())
            .field("scope", &self.scope)
            .finish()
    }
}

/// A set of scope tokens (RFC 6749, section 3.3). Which tokens there are decides the application.
///
/// `Display` writes them separated by a space, in the order in which they were read; two of the same tokens are equal in any
/// order. `Debug` shows how many there are.
///
/// ```
/// use session_core::Scope;
///
/// let granted = Scope::parse("orders:read orders:write")?;
/// assert!(Scope::parse("orders:read")?.is_subset_of(&granted));
/// assert!(!Scope::parse("admin")?.is_subset_of(&granted));
/// assert_eq!(granted.to_string(), "orders:read orders:write");
/// # Ok::<_, session_core::GrantError>(())
/// ```
#[derive(Clone, Default)]
pub struct Scope {
    /// The tokens, each once, separated by a space.
    text: String,
}

impl Scope {
    /// Reads the `scope` parameter of a request. A token that is repeated counts once.
    ///
    /// A parameter without a value counts as omitted (RFC 6749, section 3.1), and so is not a scope: ask before. The scope
    /// without tokens is [`Scope::default`].
    ///
    /// # Errors
    /// [`GrantError::Scope`] if it is no list of tokens, separated by one space each; [`GrantError::TooLong`] if a token is
    /// longer than [`Grant::MAX_VALUE_LEN`], or all are longer than [`Grant::MAX_LEN`].
    pub fn parse(text: &str) -> Result<Self, GrantError> {
        if text.len() > Grant::MAX_LEN {
            return Err(GrantError::TooLong);
        }
        let mut seen = BTreeSet::new();
        let mut tokens = Vec::new();
        for token in text.split(' ') {
            let is_token = token.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'));
            if token.is_empty() || !is_token {
                return Err(GrantError::Scope);
            }
            if token.len() > Grant::MAX_VALUE_LEN {
                return Err(GrantError::TooLong);
            }
            if seen.insert(token) {
                tokens.push(token);
            }
        }
        Ok(Self { text: tokens.join(" ") })
    }

    /// The tokens, in the order in which they were read.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ').filter(|token| !token.is_empty())
    }

    /// The tokens, separated by a space.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether `token` is one of them. Case counts.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.tokens().any(|other| other == token)
    }

    /// The tokens that both have, in this order.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let other: BTreeSet<&str> = other.tokens().collect();
        let both: Vec<&str> = self.tokens().filter(|token| other.contains(token)).collect();
        Self { text: both.join(" ") }
    }

    /// Whether `other` has all of these tokens. That without tokens is a part of every scope.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        let other: BTreeSet<&str> = other.tokens().collect();
        self.tokens().all(|token| other.contains(token))
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        // Each token is there once.
        self.text.len() == other.text.len() && self.is_subset_of(other)
    }
}

impl Eq for Scope {}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} tokens)", self.tokens().count())
    }
}

/// What cannot be granted, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// A client or an audience is empty, or has characters that it cannot have.
    #[error("a client must be visible ASCII, an audience text without control characters, and neither empty")]
    Text,
    /// What should be a scope is none.
    #[error("a scope must be tokens of visible ASCII without quotation mark and backslash, one space between two")]
    Scope,
    /// A text is too long, or all together are.
    #[error(
        "a client, an audience or a scope token must have at most {} bytes, and all together at most {}",
        Grant::MAX_VALUE_LEN,
        Grant::MAX_LEN
    )]
    TooLong,
    /// More was asked for than was granted (`invalid_scope`, RFC 6749, section 5.2).
    #[error("the scope has a token that was not granted")]
    NotGranted,
}

fn short(text: String) -> Result<String, GrantError> {
    if text.len() > Grant::MAX_VALUE_LEN { Err(GrantError::TooLong) } else { Ok(text) }
}
