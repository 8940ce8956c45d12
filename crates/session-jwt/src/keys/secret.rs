//! The secret of an HMAC key, and what is refused as one.

use ed25519_dalek::pkcs8::PrivateKeyInfoRef;
use ed25519_dalek::pkcs8::spki::SubjectPublicKeyInfoRef;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::KeyError;

/// Wiped on drop.
pub(super) struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    /// Has already absorbed the key.
    mac: Hmac<Sha256>,
}

impl Secret {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        check(bytes)?;
        // HMAC takes keys of any length; the error exists for other MACs.
        let mac = Hmac::new_from_slice(bytes).map_err(|_| KeyError::Invalid)?;
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()), mac })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn mac(&self) -> &Hmac<Sha256> {
        &self.mac
    }
}

/// The shortest key, in bytes: the size of the hash (RFC 7518, section 3.2).
const MIN_LEN: usize = 32;
/// Longer keys are mistakes.
const MAX_LEN: usize = 1024;
/// 32 random bytes have about 30 distinct values; fewer than this are a pattern.
const MIN_DISTINCT: usize = 10;

/// Published secrets: examples from specifications and defaults of products.
const WELL_KNOWN: [&[u8]; 5] = [
    // RFC 7515, A.1.
    &[
        3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90, 179, 40, 230, 240, 84, 201, 40, 169,
        15, 132, 178, 210, 80, 46, 191, 211, 251, 90, 146, 210, 6, 71, 239, 150, 138, 180, 195, 119, 98, 61, 34, 61,
        46, 33, 114, 5, 46, 79, 8, 192, 205, 154, 245, 103, 208, 128, 163,
    ],
    // RFC 7520, section 3.5.
    &[
        132, 155, 87, 33, 157, 174, 72, 222, 100, 109, 7, 219, 181, 51, 86, 110, 151, 102, 134, 69, 124, 20, 145, 190,
        58, 118, 220, 234, 108, 66, 113, 136,
    ],
    b"a-string-secret-at-least-256-bits-long",
    b"super-secret-jwt-token-with-at-least-32-characters-long",
    b"your-super-secret-jwt-token-with-at-least-32-characters-long",
];

/// Refuses what cannot be a secret.
fn check(bytes: &[u8]) -> Result<(), KeyError> {
    if is_key_file(bytes) {
        return Err(KeyError::NotASecret);
    }
    if bytes.len() < MIN_LEN {
        return Err(KeyError::TooShort);
    }
    if bytes.len() > MAX_LEN {
        return Err(KeyError::TooLong);
    }
    // Needs no constant time: a match means that the key is published or refused.
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let distinct = seen.iter().filter(|seen| **seen).count();
    if distinct < MIN_DISTINCT || WELL_KNOWN.contains(&bytes) {
        return Err(KeyError::WellKnown);
    }
    Ok(())
}

/// Whether these are the bytes of a key file or a public key: PEM, DER, SSH, JWK, or a point of P-256. A public key used
/// as an HMAC key would let anyone sign. (The 32 bytes of an Ed25519 public key are indistinguishable from a secret.)
fn is_key_file(bytes: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 7] = [
        b"ssh-",
        b"ecdsa-sha2-",
        b"sk-ssh-",
        b"sk-ecdsa-",
        b"MCowBQYDK2VwAyEA",
        b"MFkwEwYHKoZIzj0",
        b"MIIBIjANBgkqhkiG",
    ];
    let text = bytes.trim_ascii_start();
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || contains(b"-----BEGIN")
        || contains(b"\"kty\"")
        || is_der(bytes)
        || p256::PublicKey::from_sec1_bytes(bytes).is_ok()
}

/// A key in DER. The parsers recognize short ones; a long sequence whose declared length is right is not random.
fn is_der(bytes: &[u8]) -> bool {
    let is_long = match bytes {
        [0x30, 0x81, length, rest @ ..] => rest.len() == usize::from(*length),
        [0x30, 0x82, high, low, rest @ ..] => rest.len() == usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    };
    is_long || SubjectPublicKeyInfoRef::try_from(bytes).is_ok() || PrivateKeyInfoRef::try_from(bytes).is_ok()
}
