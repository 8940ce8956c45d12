//! What verifies: a [`PublicKey`], the point or the numbers that it is, and the [`VerifyingKey`] of any algorithm.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};

use super::error::KeyError;
use super::jwk::Jwk;
use super::rsa::{Padding, RsaKey};
use crate::algorithm::Algorithm;
use crate::encoding;

/// The longest `kid`, in bytes.
const MAX_KID_LEN: usize = 128;

/// A public key for EdDSA, ES256, RS256 or PS256, with its `kid`.
///
/// ```
/// use session_jwt::{Algorithm, PublicKey};
///
/// let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
/// let key = PublicKey::from_pem(pem)?;
/// assert_eq!(key.algorithm(), Algorithm::EdDsa);
/// assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); // RFC 8037, A.3
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
#[derive(Clone)]
pub struct PublicKey {
    material: Material,
    kid: Box<str>,
}

impl PublicKey {
    pub(super) fn new(material: Material) -> Self {
        Self { kid: material.thumbprint().into(), material }
    }

    /// With a `kid` that was checked before.
    pub(super) fn named(material: Material, kid: &str) -> Self {
        Self { material, kid: kid.into() }
    }

    /// Reads SubjectPublicKeyInfo (`BEGIN PUBLIC KEY`). The thumbprint becomes its `kid`. An RSA key is for RS256; see
    /// [`for_ps256`](Self::for_ps256).
    ///
    /// # Errors
    /// [`KeyError::Pem`] if it is neither Ed25519 nor P-256 nor RSA, [`KeyError::Invalid`] for a point of small order, and
    /// for an RSA key unless its modulus is odd and has 2048 to 8192 bits, and its exponent is odd, at least 3 and below
    /// 2^33.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            return Material::ed25519(key).map(Self::new);
        }
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            return Ok(Self::new(Material::P256(key)));
        }
        RsaKey::from_pem(pem).unwrap_or(Err(KeyError::Pem)).map(Material::Rsa).map(Self::new)
    }

    /// The same RSA key for PS256 instead of RS256. A JWK says by `alg` which of them it is for; a PEM cannot.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is no RSA key.
    pub fn for_ps256(self) -> Result<Self, KeyError> {
        match self.material {
            Material::Rsa(key) => Ok(Self { material: Material::Rsa(key.with_padding(Padding::Pss)), kid: self.kid }),
            Material::Ed25519(_) | Material::P256(_) => Err(KeyError::Jwk),
        }
    }

    /// Reads a public JWK. Without a `kid`, the thumbprint becomes its `kid`. An RSA key without `alg` is for RS256.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is not a supported key for verifying, [`KeyError::Private`] if it contains a secret,
    /// [`KeyError::Invalid`] if the point is not on the curve or has small order, or an RSA key is out of the bounds of
    /// [`from_pem`](Self::from_pem), [`KeyError::Kid`].
    pub fn from_jwk(json: &str) -> Result<Self, KeyError> {
        Self::from_public_jwk(&serde_json::from_str(json).map_err(|_| KeyError::Jwk)?)
    }

    /// As [`from_jwk`](Self::from_jwk), of the key that a proof brings.
    pub(crate) fn from_jwk_of_proof(json: &str) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| KeyError::Jwk)?;
        Self::from_public_jwk(&jwk.of_proof())
    }

    /// As [`from_jwk`](Self::from_jwk).
    pub(super) fn from_public_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        if jwk.has_secret() {
            return Err(KeyError::Private);
        }
        if !jwk.is_for("verify") {
            return Err(KeyError::Jwk);
        }
        let key = Self::from_parsed(jwk)?;
        match &jwk.kid {
            Some(kid) => key.with_kid(kid),
            None => Ok(key),
        }
    }

    /// The public half of `jwk`, which may have a private one too. Named by its thumbprint.
    pub(super) fn from_parsed(jwk: &Jwk) -> Result<Self, KeyError> {
        let material = match jwk.algorithm().ok_or(KeyError::Jwk)? {
            Algorithm::EdDsa => {
                Material::ed25519(ed25519_dalek::VerifyingKey::from_bytes(&*jwk.x()?).map_err(|_| KeyError::Invalid)?)?
            }
            Algorithm::Es256 => {
                let mut point = [4; 65]; // 4: uncompressed
                point[1..33].copy_from_slice(&*jwk.x()?);
                point[33..].copy_from_slice(&*jwk.y()?);
                Material::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| KeyError::Invalid)?)
            }
            algorithm @ (Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Hs256) => {
                let padding = Padding::of(algorithm).ok_or(KeyError::Jwk)?;
                let (n, e) = jwk.numbers()?;
                Material::Rsa(RsaKey::new(&n, &e, padding)?)
            }
        };
        Ok(Self::new(material))
    }

    /// The same key with the `kid` that its issuer writes into tokens.
    ///
    /// # Errors
    /// [`KeyError::Kid`] if it is empty or longer than 128 bytes.
    pub fn with_kid(self, kid: &str) -> Result<Self, KeyError> {
        if kid.is_empty() || kid.len() > MAX_KID_LEN {
            return Err(KeyError::Kid);
        }
        Ok(Self { kid: kid.into(), ..self })
    }

    /// The algorithm of this key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.material.algorithm()
    }

    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The SHA-256 thumbprint (RFC 7638). It does not depend on the `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.material.thumbprint()
    }

    /// Whether a header that names the one also names the other: their `kid` and their algorithm are the same.
    pub(super) fn is_named_like(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithm() == other.algorithm()
    }

    /// The public JWK with the members that make the key, and no other.
    #[cfg(feature = "experimental-dbsc")]
    pub(crate) fn to_bare_jwk(&self) -> String {
        self.material.bare_jwk()
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }

    /// The public JWK.
    pub(super) fn jwk(&self) -> Jwk {
        self.material.jwk(&self.kid)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm()).field("kid", &self.kid).finish()
    }
}

/// A point that is known to be on its curve, or the numbers of an RSA key, which are known to be in bounds.
#[derive(Clone)]
pub(crate) enum Material {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
    Rsa(RsaKey),
}

impl Material {
    /// Refuses points of small order: they would verify signatures that were made without the private key.
    fn ed25519(key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() { Err(KeyError::Invalid) } else { Ok(Self::Ed25519(key)) }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa(key) => key.algorithm(),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            // 64 bytes; `r` and `s` neither zero nor out of range.
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::Rsa(key) => key.verify(message, signature),
        }
    }

    pub(super) fn jwk(&self, kid: &str) -> Jwk {
        let [one, other] = self.numbers();
        match self {
            Self::Ed25519(_) => Jwk::ed25519(one, kid),
            Self::P256(_) => Jwk::p256(one, other, kid),
            Self::Rsa(key) => Jwk::rsa(key.algorithm(), one, other, kid),
        }
    }

    /// RFC 7638 fixes the members and their order; base64url needs no escaping.
    fn bare_jwk(&self) -> String {
        let [one, other] = self.numbers();
        match self {
            Self::Ed25519(_) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{one}"}}"#),
            Self::P256(_) => format!(r#"{{"crv":"P-256","kty":"EC","x":"{one}","y":"{other}"}}"#),
            Self::Rsa(_) => format!(r#"{{"e":"{other}","kty":"RSA","n":"{one}"}}"#),
        }
    }

    pub(super) fn thumbprint(&self) -> String {
        encoding::encode(Sha256::digest(self.bare_jwk()))
    }

    /// `x` and `y`, which Ed25519 does not have, or `n` and `e`; encoded.
    fn numbers(&self) -> [String; 2] {
        match self {
            Self::Ed25519(key) => [encoding::encode(key.as_bytes()), String::new()],
            Self::P256(key) => {
                // The uncompressed form is a byte 4, `x`, `y`.
                let point = key.to_sec1_point(false);
                let (x, y) = point.as_bytes().split_at(33);
                [encoding::encode(&x[1..]), encoding::encode(y)]
            }
            Self::Rsa(key) => {
                let (n, e) = key.numbers();
                [encoding::encode(n), encoding::encode(e)]
            }
        }
    }
}

/// Verifies the signatures of one key. There is no conversion between the two kinds: a public key is never the secret of an
/// HMAC.
#[derive(Clone)]
pub(crate) enum VerifyingKey {
    /// Has already absorbed the key.
    Hmac(Hmac<Sha256>),
    Public(Material),
}

impl VerifyingKey {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hmac(_) => Algorithm::Hs256,
            Self::Public(material) => material.algorithm(),
        }
    }

    /// The length of a signature, in bytes.
    pub(crate) fn signature_len(&self) -> usize {
        match self {
            Self::Hmac(_) => 32,
            Self::Public(Material::Ed25519(_) | Material::P256(_)) => 64,
            Self::Public(Material::Rsa(key)) => key.numbers().0.len(),
        }
    }

    pub(crate) fn is_rsa(&self) -> bool {
        matches!(self, Self::Public(Material::Rsa(_)))
    }

    /// The thumbprint of a public key (RFC 7638). An HMAC key has a `kid` that is derived from the secret, so that servers
    /// with the same secret agree on it. It reveals no more than any token does; its input differs from every signed text.
    pub(super) fn kid(&self) -> String {
        match self {
            Self::Hmac(mac) => {
                let mac = mac.clone().chain_update(b"session-jwt/kid/v1").finalize().into_bytes();
                encoding::encode(&mac[..16])
            }
            Self::Public(material) => material.thumbprint(),
        }
    }

    /// An HMAC key that has absorbed how a message begins: it verifies the rest.
    pub(crate) fn primed(&self, begin: &[u8]) -> Option<Self> {
        match self {
            Self::Hmac(mac) => Some(Self::Hmac(mac.clone().chain_update(begin))),
            Self::Public(_) => None,
        }
    }

    /// Whether `signature` is this key's signature of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // In constant time, and of full length only.
            Self::Hmac(mac) => {
                let mut mac = mac.clone();
                mac.update(message);
                mac.verify_slice(signature).is_ok()
            }
            Self::Public(material) => material.verify(message, signature),
        }
    }
}
