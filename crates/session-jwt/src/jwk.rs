//! JSON Web Keys (RFC 7517, RFC 8037) as they are written.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::encoding;
use crate::key::KeyError;
use crate::public::PublicKey;

/// Text of a private key. Wiped when dropped.
pub(crate) struct SecretText(pub(crate) Zeroizing<String>);

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// The members that are read or written; others are ignored, as RFC 7517 asks. One that occurs twice is an error.
#[derive(Serialize, Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) k: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_ops: Option<Vec<String>>,
}

impl Jwk {
    pub(crate) fn public(algorithm: Algorithm, x: String, y: Option<String>, kid: &str) -> Self {
        let (kty, crv) = if y.is_some() { ("EC", "P-256") } else { ("OKP", "Ed25519") };
        Self { crv: Some(crv.to_owned()), x: Some(x), y, ..Self::of(kty, algorithm, kid.to_owned()) }
    }

    pub(crate) fn with_private(self, d: SecretText) -> Self {
        Self { d: Some(d), ..self }
    }

    pub(crate) fn secret(k: SecretText, kid: String) -> Self {
        Self { k: Some(k), ..Self::of("oct", Algorithm::Hs256, kid) }
    }

    fn of(kty: &str, algorithm: Algorithm, kid: String) -> Self {
        Self {
            kty: kty.to_owned(),
            crv: None,
            x: None,
            y: None,
            d: None,
            k: None,
            kid: Some(kid),
            alg: Some(algorithm.as_str().to_owned()),
            usage: Some("sig".to_owned()),
            key_ops: None,
        }
    }

    /// The algorithm of a key of this type. `None` if it is not supported, or meant for another.
    pub(crate) fn kind(&self) -> Option<Algorithm> {
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", None) => Algorithm::Hs256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("EC", Some("P-256")) => Algorithm::Es256,
            _ => return None,
        };
        self.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str()).then_some(algorithm)
    }

    /// Whether the key may be used for `operation`.
    pub(crate) fn is_for(&self, operation: &str) -> bool {
        let usage = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let operations = self.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == operation));
        usage && operations
    }

    pub(crate) fn has_secret(&self) -> bool {
        self.kty == "oct" || self.d.is_some() || self.k.is_some()
    }

    pub(crate) fn private(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.d.as_ref().and_then(|d| encoding::decode_array(&*d.0)).ok_or(KeyError::Jwk)
    }

    pub(crate) fn x(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.x.as_ref().and_then(encoding::decode_array).ok_or(KeyError::Jwk)
    }

    pub(crate) fn y(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.y.as_ref().and_then(encoding::decode_array).ok_or(KeyError::Jwk)
    }
}

/// The JWKS document: the public keys that others verify with. An HMAC key is never in it, nor any other secret.
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
    pub(crate) fn new(keys: Vec<PublicKey>) -> Self {
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
        #[derive(Serialize)]
        struct Document {
            keys: Vec<Jwk>,
        }
        Document { keys: self.keys.iter().map(PublicKey::jwk).collect() }.serialize(serializer)
    }
}
