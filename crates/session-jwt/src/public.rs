//! Public keys.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use sha2::{Digest as _, Sha256};

use crate::algorithm::Algorithm;
use crate::encoding;
use crate::jwk::Jwk;
use crate::key::KeyError;

/// The longest `kid`, in bytes.
const MAX_KID_LEN: usize = 128;

/// A public key for EdDSA or ES256, with its name.
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
    pub(crate) point: Point,
    kid: Box<str>,
}

/// Both are checked points of their curves.
#[derive(Clone)]
pub(crate) enum Point {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    pub(crate) fn ed25519(key: ed25519_dalek::VerifyingKey) -> Self {
        Self::named_by_thumbprint(Point::Ed25519(key))
    }

    pub(crate) fn p256(key: p256::ecdsa::VerifyingKey) -> Self {
        Self::named_by_thumbprint(Point::P256(key))
    }

    fn named_by_thumbprint(point: Point) -> Self {
        Self { kid: point.thumbprint().into(), point }
    }

    /// Reads SubjectPublicKeyInfo (`BEGIN PUBLIC KEY`). Its `kid` is the thumbprint.
    ///
    /// # Errors
    /// [`KeyError::Pem`] if it is neither Ed25519 nor P-256, [`KeyError::Invalid`] for a point of small order.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            return strong(key).map(Self::ed25519);
        }
        p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map(Self::p256).map_err(|_| KeyError::Pem)
    }

    /// Reads a public JWK, with its `kid`; without one, the thumbprint is taken.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is no such key or not for verifying, [`KeyError::Private`] if it holds a secret,
    /// [`KeyError::Invalid`] if the point is not on the curve or of small order, [`KeyError::Kid`].
    pub fn from_jwk(json: &str) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_str(json).map_err(|_| KeyError::Jwk)?;
        if jwk.has_secret() {
            return Err(KeyError::Private);
        }
        if !jwk.is_for("verify") {
            return Err(KeyError::Jwk);
        }
        let key = Self::from_parsed(&jwk)?;
        match jwk.kid {
            Some(kid) => key.with_kid(&kid),
            None => Ok(key),
        }
    }

    /// The public half of `jwk`, whether or not there is a private one.
    pub(crate) fn from_parsed(jwk: &Jwk) -> Result<Self, KeyError> {
        match jwk.kind() {
            Some(Algorithm::EdDsa) => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&*jwk.x()?).map_err(|_| KeyError::Invalid)?;
                strong(key).map(Self::ed25519)
            }
            Some(Algorithm::Es256) => {
                let mut point = [4; 65]; // 4: uncompressed
                point[1..33].copy_from_slice(&*jwk.x()?);
                point[33..].copy_from_slice(&*jwk.y()?);
                p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Self::p256).map_err(|_| KeyError::Invalid)
            }
            Some(Algorithm::Hs256) | None => Err(KeyError::Jwk),
        }
    }

    /// The same key under another name: what its issuer writes into `kid`.
    ///
    /// # Errors
    /// [`KeyError::Kid`] if it is empty or longer than 128 bytes.
    pub fn with_kid(mut self, kid: &str) -> Result<Self, KeyError> {
        if kid.is_empty() || kid.len() > MAX_KID_LEN {
            return Err(KeyError::Kid);
        }
        self.kid = kid.into();
        Ok(self)
    }

    /// The algorithm of this key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.point {
            Point::Ed25519(_) => Algorithm::EdDsa,
            Point::P256(_) => Algorithm::Es256,
        }
    }

    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The SHA-256 thumbprint of the key (RFC 7638), whatever its `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.point.thumbprint()
    }

    /// The public JWK.
    pub(crate) fn jwk(&self) -> Jwk {
        self.point.jwk(&self.kid)
    }
}

impl Point {
    fn jwk(&self, kid: &str) -> Jwk {
        match self {
            Self::Ed25519(key) => Jwk::public(Algorithm::EdDsa, encoding::encode(key.as_bytes()), None, kid),
            Self::P256(key) => {
                let (x, y) = coordinates(key);
                Jwk::public(Algorithm::Es256, x, Some(y), kid)
            }
        }
    }

    /// The members and their order are given by RFC 7638; base64url needs no escaping.
    fn thumbprint(&self) -> String {
        let json = match self {
            Self::Ed25519(key) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encoding::encode(key.as_bytes()))
            }
            Self::P256(key) => {
                let (x, y) = coordinates(key);
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
        };
        encoding::encode(Sha256::digest(json))
    }
}

/// `x` and `y`, 32 bytes each. The uncompressed form is a byte 4, and then these.
fn coordinates(key: &p256::ecdsa::VerifyingKey) -> (String, String) {
    let point = key.to_sec1_point(false);
    let (x, y) = point.as_bytes().split_at(33);
    (encoding::encode(&x[1..]), encoding::encode(y))
}

/// A point of small order would verify signatures that nobody made.
fn strong(key: ed25519_dalek::VerifyingKey) -> Result<ed25519_dalek::VerifyingKey, KeyError> {
    if key.is_weak() { Err(KeyError::Invalid) } else { Ok(key) }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm()).field("kid", &self.kid).finish()
    }
}
