//! The JWKS document: [`Jwks`] as it is written, [`parse`] for the documents of others.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::KeyError;
use super::jwk::Jwk;
use super::verifying_key::PublicKey;
use crate::algorithm::AlgorithmNames;

/// The maximum number of keys in a ring or a set: a JWKS document comes from elsewhere.
pub(crate) const MAX_KEYS: usize = 100;

/// How many entries of a document are looked at. Reading one costs some multiplications on a curve.
const MAX_ENTRIES: usize = 1000;

/// The JWKS document: the public keys that verify. Never contains an HMAC key or any other secret.
///
/// Serve it as `application/jwk-set+json`, with a `max-age` of at most
/// [`Rotation::publish_ahead`](crate::Rotation::publish_ahead).
///
/// ```
/// use session_core::{OsEntropy, Timestamp};
/// use session_jwt::{Algorithm, KeyRing, Rotation};
///
/// let now = Timestamp::from_millis(1_767_225_600_000);
/// let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy)?;
/// let json = ring.jwks(now).to_json();
/// assert!(json.starts_with(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":""#));
///
/// let secret = KeyRing::generate(Algorithm::Hs256, Rotation::default(), now, &OsEntropy)?;
/// assert_eq!(secret.jwks(now).to_json(), r#"{"keys":[]}"#);
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Jwks {
    keys: Vec<PublicKey>,
    names: AlgorithmNames,
}

impl Jwks {
    /// The document of `keys`, in this order.
    pub(super) fn new(keys: Vec<PublicKey>, names: AlgorithmNames) -> Self {
        Self { keys, names }
    }

    /// The document as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Ok(text) = serde_json::to_string(self) else { unreachable!("structs of strings are JSON") };
        text
    }
}

impl Serialize for Jwks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = self.keys.iter().map(|key| key.jwk().spelled(key.algorithm(), self.names));
        Document { keys: keys.collect() }.serialize(serializer)
    }
}

#[derive(Serialize, Deserialize)]
struct Document<K> {
    keys: Vec<K>,
}

/// The keys of a document that can verify access tokens, and whose `kid` leaves no doubt which of them is meant. What cannot
/// be used is left out, whatever is wrong with it (RFC 7517, section 5): one entry must not take the others out of service.
pub(crate) fn parse(json: &str) -> Result<Vec<PublicKey>, KeyError> {
    // Each entry by itself, and as it is written: a parsed value would hide members that occur twice.
    let document: Document<&RawValue> = serde_json::from_str(json).map_err(|_| KeyError::Jwk)?;
    let entries = document.keys.iter().take(MAX_ENTRIES);
    let entries: Vec<Jwk> = entries.filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect();
    // Whoever reads the document can sign with these, also if they occur a second time without their private half.
    let disclosed: HashSet<String> = entries
        .iter()
        .filter(|jwk| jwk.has_secret())
        .filter_map(|jwk| PublicKey::from_parsed(jwk).ok())
        .map(|key| key.thumbprint())
        .collect();
    let mut keys: Vec<PublicKey> = Vec::new();
    let mut ambiguous = HashSet::new();
    for key in entries.iter().filter_map(|jwk| PublicKey::from_public_jwk(jwk).ok()) {
        let thumbprint = key.thumbprint();
        if disclosed.contains(&thumbprint) {
            continue;
        }
        match keys.iter().find(|earlier| earlier.is_named_like(&key)) {
            Some(earlier) if earlier.thumbprint() == thumbprint => {}
            Some(_) => {
                ambiguous.insert((key.kid().to_owned(), key.algorithm()));
            }
            None => keys.push(key),
        }
    }
    keys.retain(|key| !ambiguous.contains(&(key.kid().to_owned(), key.algorithm())));
    keys.truncate(MAX_KEYS);
    if keys.is_empty() { Err(KeyError::Count) } else { Ok(keys) }
}
