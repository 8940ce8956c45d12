//! JSON Web Keys (RFC 7517, RFC 8037) as they are written.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::KeyError;
use crate::algorithm::{Algorithm, AlgorithmNames};
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
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
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
    // The other private members of an RSA key (RFC 7518, section 6.3.2): they are only noticed.
    #[serde(skip_serializing)]
    p: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    q: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    dp: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    dq: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    qi: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    oth: Option<IgnoredAny>,
}

impl Jwk {
    pub(super) fn ed25519(x: String, kid: &str) -> Self {
        Self { crv: Some("Ed25519".to_owned()), x: Some(x), ..Self::of("OKP", Algorithm::EdDsa, kid) }
    }

    pub(super) fn p256(x: String, y: String, kid: &str) -> Self {
        Self { crv: Some("P-256".to_owned()), x: Some(x), y: Some(y), ..Self::of("EC", Algorithm::Es256, kid) }
    }

    pub(super) fn rsa(algorithm: Algorithm, n: String, e: String, kid: &str) -> Self {
        Self { n: Some(n), e: Some(e), ..Self::of("RSA", algorithm, kid) }
    }

    /// The same key, with `alg` in this spelling.
    pub(super) fn spelled(self, algorithm: Algorithm, names: AlgorithmNames) -> Self {
        Self { alg: Some(algorithm.spelled(names).to_owned()), ..self }
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

    /// The algorithm of a key of this type. `None` if the type is not supported or `alg` names another algorithm. An RSA
    /// key without `alg` is for RS256, which is what issuers mean that leave it out (OpenID Connect Core, section 3.1.3.7),
    /// and for nothing else: a key has one algorithm.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        let (algorithm, other) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", None) => (Algorithm::Hs256, None),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, None),
            ("EC", Some("P-256")) => (Algorithm::Es256, None),
            ("RSA", None) => (Algorithm::Rs256, Some(Algorithm::Ps256)),
            _ => return None,
        };
        match &self.alg {
            None => Some(algorithm),
            Some(alg) => Algorithm::from_name(alg).filter(|named| *named == algorithm || Some(*named) == other),
        }
    }

    /// Whether `use` and `key_ops` allow `operation`.
    pub(super) fn is_for(&self, operation: &str) -> bool {
        let usage = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let operations = self.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == operation));
        usage && operations
    }

    /// As a proof brings it: nobody calls it by its `kid`, and no operations at all are what WebCrypto writes into the public half
    /// of a pair that was made to sign.
    pub(super) fn of_proof(self) -> Self {
        Self { kid: None, key_ops: self.key_ops.filter(|all| !all.is_empty()), ..self }
    }

    pub(super) fn has_secret(&self) -> bool {
        let factors = [&self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth];
        self.kty == "oct" || self.d.is_some() || self.k.is_some() || factors.into_iter().any(Option::is_some)
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

    /// The modulus and the exponent of an RSA key.
    pub(super) fn numbers(&self) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
        let decode = |number: &Option<String>| number.as_ref().and_then(encoding::decode).ok_or(KeyError::Jwk);
        Ok((decode(&self.n)?, decode(&self.e)?))
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
