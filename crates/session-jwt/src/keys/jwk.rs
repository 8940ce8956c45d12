//! JSON Web Keys (RFC 7517, RFC 8037) as they are written.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::KeyError;
use crate::algorithm::Algorithm;
use crate::encoding;

/// The members that are read or written. Others are ignored, as RFC 7517 requires; a member that occurs twice is an error.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Jwk {
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
    k: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_ops: Option<Vec<String>>,
}

impl Jwk {
    pub(super) fn public(algorithm: Algorithm, x: String, y: Option<String>, kid: &str) -> Self {
        let (kty, crv) = if y.is_some() { ("EC", "P-256") } else { ("OKP", "Ed25519") };
        Self { crv: Some(crv.to_owned()), x: Some(x), y, ..Self::of(kty, algorithm, kid) }
    }

    pub(super) fn with_private(self, d: &[u8]) -> Self {
        Self { d: Some(SecretText::encode(d)), ..self }
    }

    pub(super) fn secret(k: &[u8], kid: &str) -> Self {
        Self { k: Some(SecretText::encode(k)), ..Self::of("oct", Algorithm::Hs256, kid) }
    }

    fn of(kty: &str, algorithm: Algorithm, kid: &str) -> Self {
        Self {
            kty: kty.to_owned(),
            kid: Some(kid.to_owned()),
            alg: Some(algorithm.as_str().to_owned()),
            usage: Some("sig".to_owned()),
            ..Self::default()
        }
    }

    /// The algorithm of a key of this type. `None` if the type is not supported or `alg` names another algorithm.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", None) => Algorithm::Hs256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("EC", Some("P-256")) => Algorithm::Es256,
            _ => return None,
        };
        self.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str()).then_some(algorithm)
    }

    /// Whether `use` and `key_ops` allow `operation`.
    pub(super) fn is_for(&self, operation: &str) -> bool {
        let usage = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let operations = self.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == operation));
        usage && operations
    }

    pub(super) fn has_secret(&self) -> bool {
        self.kty == "oct" || self.d.is_some() || self.k.is_some()
    }

    /// The HMAC secret.
    pub(super) fn k(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let decoded = self.k.as_ref().and_then(|k| encoding::decode(k.0.as_bytes()));
        decoded.map(Zeroizing::new).ok_or(KeyError::Jwk)
    }

    /// The private half.
    pub(super) fn d(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.d.as_ref().and_then(|d| encoding::decode_array(&*d.0)).ok_or(KeyError::Jwk)
    }

    pub(super) fn x(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.x.as_ref().and_then(encoding::decode_array).ok_or(KeyError::Jwk)
    }

    pub(super) fn y(&self) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.y.as_ref().and_then(encoding::decode_array).ok_or(KeyError::Jwk)
    }
}

/// The encoded bytes of a private key. Wiped on drop.
struct SecretText(Zeroizing<String>);

impl SecretText {
    fn encode(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(encoding::encode(bytes)))
    }
}

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
