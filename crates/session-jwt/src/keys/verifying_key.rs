//! [`VerifyingKey`]: what checks a signature.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::public_key::Point;
use crate::algorithm::Algorithm;
use crate::encoding;

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
