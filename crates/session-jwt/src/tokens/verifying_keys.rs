//! [`VerifyingKeys`]: the keys of a verifier.

use std::collections::HashMap;
use std::fmt;

use session_core::Timestamp;

use super::header::{self, TokenType};
use crate::keys::error::KeyError;
use crate::keys::jwks::{self, MAX_KEYS};
use crate::keys::ring::KeyRing;
use crate::keys::verifying_key::{PublicKey, VerifyingKey};

/// The keys of a [`Verifier`](crate::Verifier): public keys, or those of a ring.
///
/// ```
/// use session_core::{OsEntropy, Timestamp};
/// use session_jwt::{Algorithm, KeyError, KeyRing, Rotation, VerifyingKeys};
///
/// let now = Timestamp::from_millis(1_767_225_600_000);
/// let ring = KeyRing::generate(Algorithm::Es256, Rotation::default(), now, &OsEntropy)?;
/// let keys = VerifyingKeys::from_jwks(&ring.jwks(now).to_json())?;
/// assert_eq!(keys.kids().count(), 1);
///
/// // A secret in a public document is refused, not used:
/// assert_eq!(VerifyingKeys::from_jwks(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#).unwrap_err(), KeyError::Private);
/// # Ok::<_, KeyError>(())
/// ```
pub struct VerifyingKeys {
    /// Each with the time from which it verifies nothing.
    keys: Vec<(VerifyingKey, Timestamp)>,
    /// From the header segment that we write to the index of its key.
    by_header: HashMap<Box<[u8]>, usize>,
    by_kid: HashMap<Box<str>, usize>,
}

impl VerifyingKeys {
    /// The keys of a JWKS document. Keys of unsupported types or for other purposes are skipped (RFC 7517, section 5).
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is not such a document, [`KeyError::Private`] if it contains any secret, [`KeyError::Kid`] if
    /// a key has no name, [`KeyError::DuplicateKid`], [`KeyError::Count`], and [`KeyError::Invalid`] for a point that is not
    /// on its curve or has small order.
    pub fn from_jwks(json: &str) -> Result<Self, KeyError> {
        Self::from_public(jwks::parse(json)?)
    }

    /// These keys, by `kid`.
    ///
    /// # Errors
    /// [`KeyError::Count`], [`KeyError::DuplicateKid`].
    pub fn from_public(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeyError> {
        let mut set = Self::empty();
        for key in keys {
            let verifying = VerifyingKey::Public(key.point().clone());
            set.add(TokenType::Access, key.kid(), verifying, Timestamp::MAX);
        }
        if set.keys.is_empty() || set.keys.len() > MAX_KEYS {
            return Err(KeyError::Count);
        }
        if set.by_kid.len() < set.keys.len() { Err(KeyError::DuplicateKid) } else { Ok(set) }
    }

    /// The keys of `ring`, each of which verifies until its last token has expired. The only way to verify HS256 tokens.
    #[must_use]
    pub fn from_ring(ring: &KeyRing) -> Self {
        Self::of_ring(ring, TokenType::Access)
    }

    /// The keys of `ring`, for tokens of type `typ`.
    pub(super) fn of_ring(ring: &KeyRing, typ: TokenType) -> Self {
        let mut set = Self::empty();
        for entry in &ring.entries {
            set.add(typ, entry.key.kid(), entry.key.verifying().clone(), ring.verifies_until(entry));
        }
        set
    }

    /// The names of the keys, in arbitrary order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.by_kid.keys().map(|kid| &**kid)
    }

    pub(super) fn by_header(&self, segment: &[u8], now: Timestamp) -> Option<&VerifyingKey> {
        self.live(self.by_header.get(segment), now)
    }

    pub(super) fn by_kid(&self, kid: &str, now: Timestamp) -> Option<&VerifyingKey> {
        self.live(self.by_kid.get(kid), now)
    }

    fn live(&self, index: Option<&usize>, now: Timestamp) -> Option<&VerifyingKey> {
        self.keys.get(*index?).filter(|(_, until)| now < *until).map(|(key, _)| key)
    }

    fn empty() -> Self {
        Self { keys: Vec::new(), by_header: HashMap::new(), by_kid: HashMap::new() }
    }

    fn add(&mut self, typ: TokenType, kid: &str, key: VerifyingKey, until: Timestamp) {
        let index = self.keys.len();
        self.by_header.insert(header::segment(typ, key.algorithm(), kid).into_bytes().into(), index);
        self.by_kid.insert(kid.into(), index);
        self.keys.push((key, until));
    }
}

impl fmt::Debug for VerifyingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKeys").field("kids", &self.kids().collect::<Vec<_>>()).finish()
    }
}
