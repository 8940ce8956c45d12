//! [`VerifyingKeys`]: the keys of a verifier.

use std::collections::HashMap;
use std::fmt;

use session_core::Timestamp;

use super::error::VerifyError;
use super::header::{self, TokenType};
use crate::algorithm::Algorithm;
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
/// // A secret in a public document is not used:
/// assert_eq!(VerifyingKeys::from_jwks(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#).unwrap_err(), KeyError::Count);
/// # Ok::<_, KeyError>(())
/// ```
pub struct VerifyingKeys {
    /// Each with the time from which it verifies nothing.
    keys: Vec<(VerifyingKey, Timestamp)>,
    /// Few: to compare them takes less time than a hash.
    by_header: Vec<WrittenHeader>,
    /// To the indices of its keys: one, or more that differ in their algorithm.
    by_kid: HashMap<Box<str>, Vec<usize>>,
}

/// A header that we write.
struct WrittenHeader {
    /// Its segment, with the dot.
    segment: Box<[u8]>,
    /// The index of its key.
    key: usize,
    /// That key when it has absorbed the segment, if it is an HMAC key: the same for each token.
    primed: Option<VerifyingKey>,
}

/// A key, and what of a token it verifies.
pub(super) enum KeyFor<'k> {
    /// What is signed.
    Whole(&'k VerifyingKey),
    /// What is signed behind the header.
    Payload(&'k VerifyingKey),
}

impl VerifyingKeys {
    /// The keys of a JWKS document, the first 100 that can be used. Entries that cannot be used are left out, whatever is
    /// wrong with them (RFC 7517, section 5): keys of other types, for other purposes or algorithms, points that are not on
    /// their curve, members that occur twice or have another JSON type. Compare [`kids`](Self::kids) with what you expect.
    ///
    /// - A key that is published with its private half, and any `oct` key, is left out: every reader could sign with it.
    /// - Two keys with one `kid` are told apart by their algorithm. If that is the same too, both are left out; unless they
    ///   are the same key, which then counts once.
    /// - A key without `kid` has its thumbprint as `kid`. [`Verifier::for_issuer`](crate::Verifier::for_issuer) also finds
    ///   it for a token without `kid`, if no other key of the set is for the token's algorithm.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is not such a document, [`KeyError::Count`] if it has no key that can be used.
    pub fn from_jwks(json: &str) -> Result<Self, KeyError> {
        Self::from_public(jwks::parse(json)?)
    }

    /// These keys, by `kid` and algorithm.
    ///
    /// # Errors
    /// [`KeyError::Count`], [`KeyError::DuplicateKid`] if both are the same for two of them.
    pub fn from_public(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeyError> {
        let mut set = Self::none();
        for key in keys {
            if set.by_kid(key.kid(), key.algorithm(), Timestamp::EPOCH).is_ok() {
                return Err(KeyError::DuplicateKid);
            }
            let verifying = VerifyingKey::Public(key.material().clone());
            set.add(TokenType::Access, key.kid(), verifying, Timestamp::MAX);
            if set.keys.len() > MAX_KEYS {
                return Err(KeyError::Count);
            }
        }
        if set.keys.is_empty() { Err(KeyError::Count) } else { Ok(set) }
    }

    /// The keys of `ring`, each of which verifies until its last token has expired. The only way to verify HS256 tokens.
    #[must_use]
    pub fn from_ring(ring: &KeyRing) -> Self {
        Self::of_ring(ring, TokenType::Access)
    }

    /// The keys of `ring`, for tokens of type `typ`.
    pub(super) fn of_ring(ring: &KeyRing, typ: TokenType) -> Self {
        let mut set = Self::none();
        for entry in &ring.entries {
            set.add(typ, entry.key.kid(), entry.key.verifying().clone(), ring.verifies_until(entry));
        }
        set
    }

    /// The names of the keys, in arbitrary order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.by_kid.keys().map(|kid| &**kid)
    }

    /// The key of tokens that begin with `segment`, its dot included.
    pub(super) fn by_header(&self, segment: &[u8], now: Timestamp) -> Option<KeyFor<'_>> {
        let header = self.by_header.iter().find(|header| *header.segment == *segment)?;
        let key = self.live(Some(&header.key), now)?;
        Some(header.primed.as_ref().map_or(KeyFor::Whole(key), KeyFor::Payload))
    }

    /// The key with this name, if it is for `algorithm`.
    pub(super) fn by_kid(&self, kid: &str, algorithm: Algorithm, now: Timestamp) -> Result<&VerifyingKey, VerifyError> {
        let mut named = self.by_kid.get(kid).into_iter().flatten().filter_map(|index| self.live(Some(index), now));
        let first = named.next().ok_or(VerifyError::Key)?;
        let is_for = |key: &&VerifyingKey| key.algorithm() == algorithm;
        Some(first).filter(is_for).or_else(|| named.find(is_for)).ok_or(VerifyError::Algorithm)
    }

    /// The key for `algorithm`, unless there are several.
    pub(super) fn only_one_for(&self, algorithm: Algorithm, now: Timestamp) -> Option<&VerifyingKey> {
        let live = (0..self.keys.len()).filter_map(|index| self.live(Some(&index), now));
        let mut fitting = live.filter(|key| key.algorithm() == algorithm);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    fn live(&self, index: Option<&usize>, now: Timestamp) -> Option<&VerifyingKey> {
        self.keys.get(*index?).filter(|(_, until)| now < *until).map(|(key, _)| key)
    }

    /// No keys: nothing verifies. For a [`RemoteVerifier`](crate::RemoteVerifier), which fetches them.
    #[must_use]
    pub fn none() -> Self {
        Self { keys: Vec::new(), by_header: Vec::new(), by_kid: HashMap::new() }
    }

    fn add(&mut self, typ: TokenType, kid: &str, key: VerifyingKey, until: Timestamp) {
        let index = self.keys.len();
        for alg in key.algorithm().spellings() {
            let segment = header::segment(typ, alg, kid) + ".";
            let primed = key.primed(segment.as_bytes());
            self.by_header.push(WrittenHeader { segment: segment.into_bytes().into(), key: index, primed });
        }
        self.by_kid.entry(kid.into()).or_default().push(index);
        self.keys.push((key, until));
    }
}

impl fmt::Debug for VerifyingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKeys").field("kids", &self.kids().collect::<Vec<_>>()).finish()
    }
}
