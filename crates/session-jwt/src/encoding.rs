//! base64url without padding, in its one canonical form: padding, other alphabets and unused bits are refused. And JSON
//! that is secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// For long texts: with the vector instructions of the machine, which takes a fifth of the time.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static LONG: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static LONG: base64::engine::GeneralPurpose = URL_SAFE_NO_PAD;

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The number of characters that encode `bytes` bytes.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

pub(crate) fn encode_to(bytes: impl AsRef<[u8]>, text: &mut String) {
    LONG.encode_string(bytes, text);
}

pub(crate) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    LONG.decode(text).ok()
}

/// Exactly `N` bytes. Wiped on drop: they may be a key.
pub(crate) fn decode_array<const N: usize>(text: impl AsRef<[u8]>) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    match URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes) {
        Ok(length) if length == N => Some(bytes),
        Ok(_) | Err(_) => None,
    }
}

/// `value` as JSON. The text is secret, so its buffer must never be reallocated: `capacity` exceeds what it needs.
pub(crate) fn secret_json(value: &impl serde::Serialize, capacity: usize) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    match serde_json::to_writer(&mut *bytes, value).map(|()| String::from_utf8(std::mem::take(&mut *bytes))) {
        Ok(Ok(text)) => Zeroizing::new(text),
        Ok(Err(_)) | Err(_) => unreachable!("structs of strings and numbers are JSON"),
    }
}
