//! [`KeyThumbprint`]: the key that a session is bound to, how a record keeps it, and what a list says of it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::error::{StoreError, StoreErrorKind};

/// The first byte of [`Record::binding`](crate::store::Record::binding): which protocol knows the rest.
const DPOP: u8 = 1;
/// A bit of that byte: a key was asked for, and none is bound yet.
const PENDING: u8 = 0x80;

/// Whether that binds a session. What cannot be read must not pass for unbound.
pub(crate) fn is_bound(binding: Option<&[u8]>) -> bool {
    binding.is_some_and(|binding| binding.first().is_none_or(|protocol| protocol & PENDING == 0))
}

/// The SHA-256 thumbprint of a public key (RFC 7638): the key of a client that a session is
/// [bound to](crate::Login::bound_to). As text, 43 characters of base64url: the claim `jkt` of RFC 9449.
///
/// No secret. `Debug` hides it all the same: it tells which sessions are of one device.
///
/// ```
/// use session_core::KeyThumbprint;
///
/// let text = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; // RFC 7638, section 3.1
/// let thumbprint: KeyThumbprint = text.parse()?;
/// assert_eq!(thumbprint.to_string(), text);
/// assert_eq!(format!("{thumbprint:?}"), "KeyThumbprint(..)");
/// # Ok::<_, session_core::ParseKeyThumbprintError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyThumbprint([u8; 32]);

impl KeyThumbprint {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 43;

    /// The thumbprint with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As a record keeps it.
    pub(crate) fn binding(&self) -> Bytes {
        [&[DPOP][..], &self.0].concat().into()
    }

    /// The key of the binding of a session with a refresh token. What this version does not know must not pass for unbound.
    pub(crate) fn of(binding: Option<&Bytes>) -> Result<Option<Self>, StoreError> {
        let Some(binding) = binding else { return Ok(None) };
        match binding.split_first() {
            Some((&DPOP, key)) => key.try_into().ok().map(|key| Some(Self(key))),
            Some(_) | None => None,
        }
        .ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Corrupt,
                "the session is bound in a way this version does not know; is a newer version deployed?",
            )
        })
    }
}

impl fmt::Display for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; Self::TEXT_LEN];
        let encoded = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).ok();
        f.write_str(encoded.and_then(|len| std::str::from_utf8(&text[..len]).ok()).ok_or(fmt::Error)?)
    }
}

impl fmt::Debug for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyThumbprint(..)")
    }
}

/// The text is not the text form of a [`KeyThumbprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a thumbprint: expected 43 characters of base64url, the SHA-256 of a key (RFC 7638)")]
pub struct ParseKeyThumbprintError;

impl FromStr for KeyThumbprint {
    type Err = ParseKeyThumbprintError;

    fn from_str(text: &str) -> Result<Self, ParseKeyThumbprintError> {
        let mut bytes = [0; 32];
        if text.len() != Self::TEXT_LEN || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(32) {
            return Err(ParseKeyThumbprintError);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_asked_for_does_not_bind_yet() {
        let key = KeyThumbprint::from_bytes([7; 32]).binding();
        for (binding, expected) in
            [(None, false), (Some(&key[..]), true), (Some(&[]), true), (Some(&[2]), true), (Some(&[0x82, 1]), false)]
        {
            assert_eq!(is_bound(binding), expected, "{binding:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_unbound() {
        let key = KeyThumbprint::from_bytes([7; 32]);
        assert_eq!(KeyThumbprint::of(Some(&key.binding())).unwrap(), Some(key));
        assert_eq!(KeyThumbprint::of(None).unwrap(), None);
        let of_another_protocol = [&[9][..], &[7; 32]].concat();
        for binding in [vec![], vec![DPOP], vec![DPOP; 34], of_another_protocol] {
            let error = KeyThumbprint::of(Some(&binding.clone().into())).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{binding:?}");
        }
    }
}
