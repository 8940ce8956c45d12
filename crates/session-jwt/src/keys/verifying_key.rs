//! What verifies: a [`PublicKey`], the point of a curve that it is, and the [`VerifyingKey`] of any algorithm.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};

use super::error::KeyError;
use super::jwk::Jwk;
use crate::algorithm::Algorithm;
use crate::encoding;

/// The longest `kid`, in bytes.
const MAX_KID_LEN: usize = 128;

/// A public key for EdDSA or ES256, with its `kid`.
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
    point: Point,
    kid: Box<str>,
}

impl PublicKey {
    pub(super) fn new(point: Point) -> Self {
        Self { kid: point.thumbprint().into(), point }
    }

    /// Reads SubjectPublicKeyInfo (`BEGIN PUBLIC KEY`). The thumbprint becomes its `kid`.
    ///
    /// # Errors
    /// [`KeyError::Pem`] if it is neither Ed25519 nor P-256, [`KeyError::Invalid`] for a point of small order.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            return Point::ed25519(key).map(Self::new);
        }
        let key = p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError::Pem)?;
        Ok(Self::new(Point::P256(key)))
    }

    /// Reads a public JWK. Without a `kid`, the thumbprint becomes its `kid`.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is not a supported key for verifying, [`KeyError::Private`] if it contains a secret,
    /// [`KeyError::Invalid`] if the point is not on the curve or has small order, [`KeyError::Kid`].
    pub fn from_jwk(json: &str) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| KeyError::Jwk)?;
        if jwk.has_secret() {
            return Err(KeyError::Private);
        }
        if !jwk.is_for("verify") {
            return Err(KeyError::Jwk);
        }
        let key = Self::from_parsed(&jwk)?;
        match &jwk.kid {
            Some(kid) => key.with_kid(kid),
            None => Ok(key),
        }
    }

    /// The public half of `jwk`, which may have a private one too. Named by its thumbprint.
    pub(super) fn from_parsed(jwk: &Jwk) -> Result<Self, KeyError> {
        let point = match jwk.algorithm() {
            Some(Algorithm::EdDsa) => {
                Point::ed25519(ed25519_dalek::VerifyingKey::from_bytes(&*jwk.x()?).map_err(|_| KeyError::Invalid)?)?
            }
            Some(Algorithm::Es256) => {
                let mut point = [4; 65]; // 4: uncompressed
                point[1..33].copy_from_slice(&*jwk.x()?);
                point[33..].copy_from_slice(&*jwk.y()?);
                Point::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map_err(|_| KeyError::Invalid)?)
            }
            Some(Algorithm::Hs256) | None => return Err(KeyError::Jwk),
        };
        Ok(Self::new(point))
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
        self.point.algorithm()
    }

    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The SHA-256 thumbprint (RFC 7638). It does not depend on the `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.point.thumbprint()
    }

    pub(crate) fn point(&self) -> &Point {
        &self.point
    }

    /// The public JWK.
    pub(super) fn jwk(&self) -> Jwk {
        self.point.jwk(&self.kid)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm()).field("kid", &self.kid).finish()
    }
}

/// A point that is known to be on its curve.
#[derive(Clone)]
pub(crate) enum Point {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl Point {
    /// Refuses points of small order: they would verify signatures that were made without the private key.
    fn ed25519(key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() { Err(KeyError::Invalid) } else { Ok(Self::Ed25519(key)) }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            // 64 bytes; `r` and `s` neither zero nor out of range.
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }

    pub(super) fn jwk(&self, kid: &str) -> Jwk {
        let (x, y) = self.coordinates();
        Jwk::public(self.algorithm(), x, y, kid)
    }

    /// RFC 7638 fixes the members and their order; base64url needs no escaping.
    pub(super) fn thumbprint(&self) -> String {
        let json = match self.coordinates() {
            (x, None) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            (x, Some(y)) => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
        };
        encoding::encode(Sha256::digest(json))
    }

    /// `x`, and on P-256 also `y`: 32 bytes each, encoded.
    fn coordinates(&self) -> (String, Option<String>) {
        match self {
            Self::Ed25519(key) => (encoding::encode(key.as_bytes()), None),
            Self::P256(key) => {
                // The uncompressed form is a byte 4, `x`, `y`.
                let point = key.to_sec1_point(false);
                let (x, y) = point.as_bytes().split_at(33);
                (encoding::encode(&x[1..]), Some(encoding::encode(y)))
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
    Public(Point),
}

impl VerifyingKey {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hmac(_) => Algorithm::Hs256,
            Self::Public(point) => point.algorithm(),
        }
    }

    /// The thumbprint of a public key (RFC 7638). An HMAC key has a `kid` that is derived from the secret, so that servers
    /// with the same secret agree on it. It reveals no more than any token does; its input differs from every signed text.
    pub(super) fn kid(&self) -> String {
        match self {
            Self::Hmac(mac) => {
                let mac = mac.clone().chain_update(b"session-jwt/kid/v1").finalize().into_bytes();
                encoding::encode(&mac[..16])
            }
            Self::Public(point) => point.thumbprint(),
        }
    }

    /// Whether `signature` is this key's signature of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // In constant time, and of full length only.
            Self::Hmac(mac) => mac.clone().chain_update(message).verify_slice(signature).is_ok(),
            Self::Public(point) => point.verify(message, signature),
        }
    }
}
