//! The secret of an HMAC key, and what is refused as one.

use ed25519_dalek::pkcs8::PrivateKeyInfoRef;
use ed25519_dalek::pkcs8::spki::SubjectPublicKeyInfoRef;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::KeyError;
use crate::encoding;

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

/// Whether this is a key file or a public key, as bytes or as text. A public key used as an HMAC key would let anyone sign.
fn is_key_file(bytes: &[u8]) -> bool {
    let is_any = |bytes: &[u8]| is_key_text(bytes) || is_key(bytes);
    is_any(bytes) || in_hex(bytes).is_some_and(|key| is_any(&key)) || in_base64(bytes).is_some_and(|key| is_any(&key))
}

/// PEM, SSH or JWK.
fn is_key_text(bytes: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 4] = [b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-"];
    let text = bytes.trim_ascii_start();
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || contains(b"-----BEGIN") || contains(b"\"kty\"")
}

/// A key in DER, in the binary form of SSH, or the bare point of Ed25519 or P-256.
///
/// One random secret of 32 bytes in sixteen is a point of Ed25519 too, of the subgroup to which every public key belongs.
/// Nothing tells the one from the other, so it is refused: another one is soon drawn.
fn is_key(bytes: &[u8]) -> bool {
    let is_ed25519 = || {
        let point =
            <&[u8; 32]>::try_from(bytes).ok().and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(bytes).ok());
        point.is_some_and(|point| point.to_edwards().is_torsion_free())
    };
    let is_p256 = |point: &[u8]| p256::PublicKey::from_sec1_bytes(point).is_ok();
    let is_bare_p256 = || bytes.len() == 64 && is_p256(&Zeroizing::new([&[4], bytes].concat()));
    is_der(bytes) || is_ssh(bytes) || is_p256(bytes) || is_bare_p256() || is_ed25519()
}

/// The name of the algorithm comes first, after its length.
fn is_ssh(bytes: &[u8]) -> bool {
    let name = bytes.strip_prefix(&[0, 0, 0]).and_then(|rest| rest.get(1..)).unwrap_or_default();
    [&b"ssh-"[..], b"ecdsa-", b"sk-"].iter().any(|prefix| name.starts_with(prefix))
}

/// A key in DER. The parsers recognize short ones; a long sequence that begins with another one or a number is not random.
fn is_der(bytes: &[u8]) -> bool {
    let is_long = matches!(bytes, [0x30, 0x81, _, 0x02 | 0x30, ..] | [0x30, 0x82, _, _, 0x02 | 0x30, ..]);
    is_long || SubjectPublicKeyInfoRef::try_from(bytes).is_ok() || PrivateKeyInfoRef::try_from(bytes).is_ok()
}

/// What the text is in hexadecimal digits, in any case, with or without colons and blanks between them.
fn in_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.iter().copied().filter(|byte| *byte != b':' && !byte.is_ascii_whitespace()).collect());
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_chunks();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    rest.is_empty().then(|| Zeroizing::new(bytes))
}

/// What the text is in base64, of either alphabet, with or without padding and blanks.
fn in_base64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let is_part = |byte: &u8| *byte != b'=' && !byte.is_ascii_whitespace();
    let url_safe = |byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    };
    let text = Zeroizing::new(text.iter().copied().filter(is_part).map(url_safe).collect::<Vec<u8>>());
    encoding::decode(&*text).map(Zeroizing::new)
}
