//! The bearer secret: [`SessionToken`] as issued, [`PresentedToken`] as it comes back.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::id::SessionId;
use crate::entropy::{Entropy, EntropyError};

/// What carries the token of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A session cookie.
    Cookie,
    /// An OAuth-style refresh token beside short-lived access tokens.
    Refresh,
}

impl Kind {
    /// Its name in lists and logs: `cookie`, `refresh`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Refresh => "refresh",
        }
    }

    /// The byte that stands for this kind in digests.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Cookie => 1,
            Self::Refresh => 2,
        }
    }
}

/// The 48 bytes of a token: `id (16) ‖ family (16) ‖ secret (16)`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Parts {
    #[zeroize(skip)]
    pub(crate) id: SessionId,
    pub(crate) family: [u8; 16],
    pub(crate) secret: [u8; 16],
}

impl Parts {
    fn encode(&self) -> EncodedToken {
        let mut bytes = [0; SessionToken::LEN];
        bytes[..16].copy_from_slice(self.id.as_bytes());
        bytes[16..32].copy_from_slice(&self.family);
        bytes[32..].copy_from_slice(&self.secret);
        let mut text = String::with_capacity(SessionToken::TEXT_LEN);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        bytes.zeroize();
        EncodedToken(text)
    }
}

/// A session token that this library issued: the bearer secret a client keeps in its cookie.
///
/// Only core creates one; an application can hand it out with [`encode`](Self::encode) and nothing else. It has no
/// `Debug`, `Display`, `Clone`, `PartialEq` or `Serialize`, and is wiped from memory when dropped. What a client sends is a
/// [`PresentedToken`]:
///
/// ```
/// assert!(session_core::PresentedToken::parse(&[b'A'; 64]).is_ok());
/// ```
/// ```compile_fail
/// assert!(session_core::SessionToken::parse(&[b'A'; 64]).is_ok());
/// ```
#[derive(ZeroizeOnDrop)]
#[allow(missing_debug_implementations, reason = "a token must not be printable")]
pub struct SessionToken(Parts);

impl SessionToken {
    /// Length in bytes.
    pub const LEN: usize = 48;
    /// Length of the text form: base64url without padding, which has exactly one spelling for 48 bytes.
    pub const TEXT_LEN: usize = 64;

    /// A token for a new credential of session `id`.
    pub(crate) fn generate(id: SessionId, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self(Parts { id, family: crate::entropy::random(entropy)?, secret: crate::entropy::random(entropy)? }))
    }

    /// The token of the same family with another secret.
    pub(crate) fn with_secret(parts: &Parts, secret: [u8; 16]) -> Self {
        Self(Parts { id: parts.id, family: parts.family, secret })
    }

    /// The public half: which session this token belongs to.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The text a client stores and presents.
    #[must_use]
    pub fn encode(&self) -> EncodedToken {
        self.0.encode()
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }

    /// The same token, seen as presented: what a client will send from now on.
    pub(crate) fn presented(&self) -> PresentedToken {
        PresentedToken(Parts { id: self.0.id, family: self.0.family, secret: self.0.secret })
    }
}

/// The text form of a [`SessionToken`], on its way to the client. `Debug` hides it; it is wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EncodedToken(String);

impl EncodedToken {
    /// The 64 characters, for the one place that sends them: a `Set-Cookie` header or a token response.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EncodedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodedToken(..)")
    }
}

/// The text is not a token. It says nothing about why, and never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed session token")]
pub struct MalformedToken;

/// Text that has the form of a session token. Whether it *is* one, only
/// [`Credential::check`](crate::store::Credential::check) can tell.
///
/// A type of its own, so that nothing a client sent can be mistaken for a token that was issued: there is no way
/// from here to a [`SessionToken`].
#[derive(ZeroizeOnDrop)]
#[allow(missing_debug_implementations, reason = "a token must not be printable")]
pub struct PresentedToken(Parts);

impl PresentedToken {
    /// Reads the one accepted spelling of a token: 64 characters of base64url, nothing before, between or after.
    ///
    /// Costs no allocation and no store call, whatever the input.
    ///
    /// # Errors
    /// [`MalformedToken`] for anything else.
    pub fn parse(text: &[u8]) -> Result<Self, MalformedToken> {
        if text.len() != SessionToken::TEXT_LEN {
            return Err(MalformedToken);
        }
        let mut bytes = [0; SessionToken::LEN];
        let parsed = match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(SessionToken::LEN) => Ok(Self(Parts {
                id: SessionId::from_bytes(part(&bytes, 0)),
                family: part(&bytes, 16),
                secret: part(&bytes, 32),
            })),
            Ok(_) | Err(_) => Err(MalformedToken),
        };
        bytes.zeroize();
        parsed
    }

    /// The public half: which session the token claims to belong to.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }

    /// A copy, for the next base of the same session. Not `Clone`: copies of a secret are made on purpose only.
    pub(crate) fn copy(&self) -> Self {
        Self(Parts { id: self.0.id, family: self.0.family, secret: self.0.secret })
    }
}

/// The 16 bytes of `bytes` from `start`.
fn part(bytes: &[u8; SessionToken::LEN], start: usize) -> [u8; 16] {
    let mut part = [0; 16];
    part.copy_from_slice(&bytes[start..start + 16]);
    part
}
