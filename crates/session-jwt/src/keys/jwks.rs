//! The JWKS document: [`Jwks`] as it is written, [`parse`] for the documents of others.

use serde::{Deserialize, Serialize};

use super::error::KeyError;
use super::jwk::Jwk;
use super::verifying_key::PublicKey;

/// The maximum number of keys in a ring or a set: a JWKS document comes from elsewhere.
pub(crate) const MAX_KEYS: usize = 100;

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
}

impl Jwks {
    /// The document of `keys`, in this order.
    pub(super) fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys }
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
        Document { keys: self.keys.iter().map(PublicKey::jwk).collect() }.serialize(serializer)
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

/// The keys of a document that can verify access tokens. Keys of unsupported types or for other purposes are skipped (RFC
/// 7517, section 5).
pub(crate) fn parse(json: &str) -> Result<Vec<PublicKey>, KeyError> {
    let document: Document = serde_json::from_str(json).map_err(|_| KeyError::Jwk)?;
    if document.keys.len() > MAX_KEYS {
        return Err(KeyError::Count);
    }
    if document.keys.iter().any(Jwk::has_secret) {
        return Err(KeyError::Private);
    }
    let usable = document.keys.iter().filter(|jwk| jwk.algorithm().is_some() && jwk.is_for("verify"));
    let keys = usable.map(|jwk| {
        let kid = jwk.kid.as_deref().ok_or(KeyError::Kid)?;
        PublicKey::from_parsed(jwk)?.with_kid(kid)
    });
    keys.collect()
}
