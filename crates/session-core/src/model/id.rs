//! Who and which: [`UserId`] and [`SessionId`]. Neither is a credential.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::entropy::{Entropy, EntropyError};

/// The public handle of a session: primary key of stores, entry of "your devices", `sid` claim.
///
/// Knowing it gives no access. 16 bytes, `shard (2) ‖ random (14)`; as text, 22 characters of base64url. `Debug` hides
/// it, so that it reaches a log only on purpose, through `Display`.
///
/// The shard is random for an anonymous session and derived from the user for an authenticated one, so that a
/// distributed store can keep all sessions of one user together.
///
/// ```
/// use session_core::{OsEntropy, SessionId};
///
/// let id = SessionId::generate(None, &OsEntropy)?;
/// assert_eq!(id.to_string().parse::<SessionId>()?, id);
/// assert_eq!(format!("{id:?}"), "SessionId(..)");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 22;

    /// A new id: in the shard of `user`, or in a random one.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed.
    pub fn generate(user: Option<&UserId>, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = crate::entropy::random::<16>(entropy)?;
        if let Some(user) = user {
            bytes[..2].copy_from_slice(&user.shard().to_be_bytes());
        }
        Ok(Self(bytes))
    }

    /// The id with these bytes; for backends that read ids back from storage.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The shard: equal for all authenticated sessions of one user.
    #[must_use]
    pub const fn shard(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // On the stack: this is in the key of every request to a store.
        let mut text = [0; Self::TEXT_LEN];
        let encoded = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).ok();
        f.write_str(encoded.and_then(|len| std::str::from_utf8(&text[..len]).ok()).ok_or(fmt::Error)?)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// The text is not the text form of a [`SessionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: expected 22 characters of base64url, as printed by `SessionId`")]
pub struct ParseSessionIdError;

impl FromStr for SessionId {
    type Err = ParseSessionIdError;

    fn from_str(text: &str) -> Result<Self, ParseSessionIdError> {
        let mut bytes = [0; 16];
        if text.len() != Self::TEXT_LEN || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(16) {
            return Err(ParseSessionIdError);
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text { expected: "a session id", parse: str::parse })
    }
}

/// Parses a text where it lies: an access token is read with every request.
struct Text<T, E> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, E>,
}

impl<T, E: fmt::Display> serde::de::Visitor<'_> for Text<T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<D: serde::de::Error>(self, text: &str) -> Result<T, D> {
        (self.parse)(text).map_err(D::custom)
    }
}

/// The application's name for a user: any text of 1 to 256 bytes.
///
/// `Debug` hides it: user data does not belong in logs.
///
/// ```
/// use session_core::UserId;
///
/// let user = UserId::new("alice")?;
/// assert_eq!(user.as_str(), "alice");
/// assert_eq!(format!("{user:?}"), "UserId(..)");
/// assert!(UserId::new("").is_err());
/// # Ok::<_, session_core::UserIdError>(())
/// ```
///
/// With serde it is its text, and checked when it is read: it may be a field of a form, a part of a path, or a value of a
/// session.
///
/// ```
/// use session_core::UserId;
///
/// #[derive(serde::Deserialize)]
/// struct Ban {
///     user: UserId,
/// }
///
/// let ban: Ban = serde_json::from_str(r#"{"user": "mallory"}"#)?;
/// assert_eq!(ban.user.as_str(), "mallory");
/// assert!(serde_json::from_str::<Ban>(r#"{"user": ""}"#).is_err());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The longest user id, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Checks and wraps a user id.
    ///
    /// # Errors
    /// [`UserIdError`] if the text is empty or longer than [`Self::MAX_LEN`].
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, UserIdError> {
        let text = text.into();
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(UserIdError);
        }
        Ok(Self(text))
    }

    /// The user id as the application gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shard of this user's sessions: the first two bytes of SHA-256(`"shard"` ‖ user id).
    #[must_use]
    pub fn shard(&self) -> u16 {
        let hash = Sha256::new().chain_update(b"shard").chain_update(self.0.as_bytes()).finalize();
        u16::from_be_bytes([hash[0], hash[1]])
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(..)")
    }
}

impl serde::Serialize for UserId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for UserId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text { expected: "a user id", parse: |text| Self::new(text) })
    }
}

/// The text cannot name a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user id must have between 1 and {} bytes", UserId::MAX_LEN)]
pub struct UserIdError;
