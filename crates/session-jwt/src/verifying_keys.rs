//! The keys that a verifier has.

use std::collections::HashMap;
use std::fmt;

use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::Verifier as _;
use session_core::Timestamp;
use sha2::Sha256;

use crate::algorithm::Algorithm;
use crate::header::{self, Type};
use crate::jwk::Jwk;
use crate::key::{KeyError, SigningKey};
use crate::public::{Point, PublicKey};
use crate::ring::{KeyRing, MAX_KEYS};

/// Keys by their names, for a [`Verifier`](crate::Verifier). Either public keys, or the HMAC keys of one ring.
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
    /// What they verify.
    of: Type,
    keys: Vec<VerifyingKey>,
    /// From header segment, as we write it, to its key.
    by_header: HashMap<Box<[u8]>, usize>,
    by_kid: HashMap<Box<str>, usize>,
}

pub(crate) struct VerifyingKey {
    kind: Kind,
    /// From then on it verifies nothing.
    until: Timestamp,
}

/// There is no way from one kind to another: a public key is never the secret of an HMAC.
pub(crate) enum Kind {
    Hmac(Hmac<Sha256>),
    Public(Point),
}

impl VerifyingKeys {
    /// The keys of a JWKS document. Keys of types that are not supported, or for other purposes, are left out (RFC 7517,
    /// section 5).
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is no such document, [`KeyError::Private`] if there is any secret in it, [`KeyError::Kid`]
    /// if a key has no name, [`KeyError::DuplicateKid`], [`KeyError::Count`], and [`KeyError::Invalid`] for a point that
    /// is not on its curve or of small order.
    pub fn from_jwks(json: &str) -> Result<Self, KeyError> {
        #[derive(serde::Deserialize)]
        struct Document {
            keys: Vec<Jwk>,
        }
        let document: Document = serde_json::from_str(json).map_err(|_| KeyError::Jwk)?;
        if document.keys.len() > MAX_KEYS {
            return Err(KeyError::Count);
        }
        if document.keys.iter().any(Jwk::has_secret) {
            return Err(KeyError::Private);
        }
        let usable = document.keys.iter().filter(|jwk| jwk.kind().is_some() && jwk.is_for("verify"));
        let keys = usable.map(|jwk| {
            let kid = jwk.kid.as_deref().ok_or(KeyError::Kid)?;
            PublicKey::from_parsed(jwk)?.with_kid(kid)
        });
        Self::from_public(keys.collect::<Result<Vec<_>, _>>()?)
    }

    /// These keys, by their names.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKid`], [`KeyError::Count`].
    pub fn from_public(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeyError> {
        let mut set = Self::empty(Type::Access);
        for key in keys {
            set.add(key.algorithm(), key.kid(), Kind::Public(key.point.clone()), Timestamp::MAX)?;
        }
        if set.keys.is_empty() || set.keys.len() > MAX_KEYS { Err(KeyError::Count) } else { Ok(set) }
    }

    pub(crate) fn of_ring(ring: &KeyRing, of: Type) -> Self {
        let mut set = Self::empty(of);
        for entry in &ring.entries {
            let kind = match &*entry.key {
                SigningKey::Hs256(key) => Kind::Hmac(key.mac().clone()),
                SigningKey::EdDsa(key) => Kind::Public(Point::Ed25519(key.0.verifying_key())),
                SigningKey::Es256(key) => Kind::Public(Point::P256(*key.0.verifying_key())),
            };
            // The names in a ring are distinct: it was checked when each came in.
            let added = set.add(entry.key.algorithm(), &entry.kid, kind, ring.verifies_until(entry));
            debug_assert!(added.is_ok());
        }
        set
    }

    fn empty(of: Type) -> Self {
        Self { of, keys: Vec::new(), by_header: HashMap::new(), by_kid: HashMap::new() }
    }

    fn add(&mut self, algorithm: Algorithm, kid: &str, kind: Kind, until: Timestamp) -> Result<(), KeyError> {
        let index = self.keys.len();
        if self.by_kid.contains_key(kid) {
            return Err(KeyError::DuplicateKid);
        }
        self.by_kid.insert(kid.into(), index);
        self.by_header.insert(header::segment(self.of, algorithm, kid).into_bytes().into(), index);
        self.keys.push(VerifyingKey { kind, until });
        Ok(())
    }

    /// The names of the keys, in no order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.by_kid.keys().map(|kid| &**kid)
    }

    pub(crate) fn by_header(&self, segment: &[u8], now: Timestamp) -> Option<&VerifyingKey> {
        self.live(self.by_header.get(segment), now)
    }

    pub(crate) fn by_kid(&self, kid: &str, now: Timestamp) -> Option<&VerifyingKey> {
        self.live(self.by_kid.get(kid), now)
    }

    fn live(&self, index: Option<&usize>, now: Timestamp) -> Option<&VerifyingKey> {
        self.keys.get(*index?).filter(|key| now < key.until)
    }
}

impl VerifyingKey {
    #[cfg(test)]
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, until: Timestamp::MAX }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match &self.kind {
            Kind::Hmac(_) => Algorithm::Hs256,
            Kind::Public(Point::Ed25519(_)) => Algorithm::EdDsa,
            Kind::Public(Point::P256(_)) => Algorithm::Es256,
        }
    }

    /// Whether this is the signature of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            // In constant time, and of full length only.
            Kind::Hmac(mac) => mac.clone().chain_update(message).verify_slice(signature).is_ok(),
            Kind::Public(Point::Ed25519(key)) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            // 64 bytes; `r` and `s` neither zero nor out of range.
            Kind::Public(Point::P256(key)) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for VerifyingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKeys").field("kids", &self.kids().collect::<Vec<_>>()).finish()
    }
}
