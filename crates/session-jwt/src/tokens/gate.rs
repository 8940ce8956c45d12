//! The gate: from the text of a token to its payload, once the signature has been verified.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeSliceError, Engine as _};
use hmac::Mac as _;
use memchr::memchr;
use session_core::Timestamp;
use subtle::ConstantTimeEq as _;

use super::error::VerifyError;
use super::header::{AcceptedTypes, Header};
use super::verifying_keys::{KeyFor, VerifyingKeys};
use crate::encoding;
use crate::keys::verifying_key::VerifyingKey;

/// The longest token that is issued or verified, in bytes.
pub const MAX_TOKEN_LEN: usize = 8 * 1024;

/// The longest signature that is not one of RSA, in bytes.
const MAX_SIGNATURE_LEN: usize = 64;
/// The longest of RSA, with the longest key: in a buffer of its own, which the others need not clear.
const MAX_RSA_SIGNATURE_LEN: usize = 1024;

/// How the header of a token leads to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// The header must equal one that we write, byte for byte. Nothing in it is interpreted.
    Exact,
    /// The header is parsed, strictly, and may have these types.
    Parsed(AcceptedTypes),
}

impl Gate {
    /// For logout tokens what this one is for access tokens. Headers are parsed: we write none.
    pub(super) const fn for_logout(self) -> Self {
        match self {
            Self::Exact => Self::Parsed(AcceptedTypes::LogoutToken),
            Self::Parsed(types) => Self::Parsed(types.for_logout()),
        }
    }

    /// The payload of `token`, if its signature was made by the key that its header leads to.
    pub(super) fn open(self, token: &[u8], keys: &VerifyingKeys, now: Timestamp) -> Result<Vec<u8>, VerifyError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(VerifyError::TooLong);
        }
        let Segments { header, payload, signature, signed } = Segments::split(token).ok_or(VerifyError::Segments)?;
        let key = match self {
            Self::Exact => keys.by_header(&token[..=header.len()], now).ok_or(VerifyError::Header)?,
            Self::Parsed(types) => KeyFor::Whole(key_named_by(&Header::read(header, types)?, keys, now)?),
        };
        let (key, signed) = match key {
            KeyFor::Whole(key) => (key, signed),
            KeyFor::Payload(key) => (key, payload),
        };
        verify_signature(key, signed, signature)?;
        encoding::decode(payload).ok_or(VerifyError::Encoding)
    }
}

/// Whether the segment `signature` is the key's signature of `signed`.
#[inline]
pub(crate) fn verify_signature(key: &VerifyingKey, signed: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
    let is_genuine = match key {
        VerifyingKey::Hmac(mac) => {
            // Compared as text, in constant time: to encode the right one takes less than to decode any, which a text that is
            // wrong is for the sake of the reason alone.
            let mut expected = [0; encoding::encoded_len(32)];
            let tag = mac.clone().chain_update(signed).finalize().into_bytes();
            let is_encoded = URL_SAFE_NO_PAD.encode_slice(tag, &mut expected).is_ok();
            is_encoded && bool::from(expected.ct_eq(signature)) || {
                decode_signature(signature, &mut [0; MAX_SIGNATURE_LEN])?;
                false
            }
        }
        VerifyingKey::Public(_) if key.is_rsa() => {
            key.verify(signed, decode_signature(signature, &mut [0; MAX_RSA_SIGNATURE_LEN])?)
        }
        VerifyingKey::Public(_) => key.verify(signed, decode_signature(signature, &mut [0; MAX_SIGNATURE_LEN])?),
    };
    if is_genuine { Ok(()) } else { Err(VerifyError::Signature) }
}

/// A token, split at its dots.
pub(crate) struct Segments<'t> {
    pub(crate) header: &'t [u8],
    pub(crate) payload: &'t [u8],
    pub(crate) signature: &'t [u8],
    /// Header and payload, with the dot between them.
    pub(crate) signed: &'t [u8],
}

impl<'t> Segments<'t> {
    /// Exactly three, none of them empty.
    pub(crate) fn split(token: &'t [u8]) -> Option<Self> {
        let (header, rest) = split_at_dot(token)?;
        let (payload, signature) = split_at_dot(rest)?;
        let signed = &token[..header.len() + 1 + payload.len()];
        let complete = ![header, payload, signature].iter().any(|segment| segment.is_empty());
        (complete && split_at_dot(signature).is_none()).then_some(Self { header, payload, signature, signed })
    }
}

/// What is before and after the first dot.
fn split_at_dot(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr(b'.', text)?;
    Some((&text[..dot], &text[dot + 1..]))
}

/// The key that the header of another issuer names. Without `kid`, that is the only one for its algorithm.
fn key_named_by<'k>(header: &Header, keys: &'k VerifyingKeys, now: Timestamp) -> Result<&'k VerifyingKey, VerifyError> {
    let algorithm = header.algorithm().ok_or(VerifyError::Algorithm)?;
    match header.kid() {
        Some(kid) => keys.by_kid(kid, algorithm, now),
        None => keys.only_one_for(algorithm, now).ok_or(VerifyError::Key),
    }
}

/// A signature that is longer than any of ours is as wrong as one that is too short.
fn decode_signature<'b>(text: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], VerifyError> {
    match URL_SAFE_NO_PAD.decode_slice(text, &mut *buffer) {
        Ok(length) => Ok(&buffer[..length]),
        Err(DecodeSliceError::DecodeError(_)) => Err(VerifyError::Encoding),
        Err(DecodeSliceError::OutputSliceTooSmall) => Err(VerifyError::Signature),
    }
}
