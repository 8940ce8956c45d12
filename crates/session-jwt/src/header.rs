//! The protected header: the one that we write, and a strict reader for what others write.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::algorithm::Algorithm;
use crate::encoding;
use crate::verify::VerifyError;

/// What a token is (`typ`). Every kind has its own, so that none passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// An access token (RFC 9068).
    Access,
    /// A client-side session.
    Session,
}

impl Type {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Session => "session+jwt",
        }
    }
}

/// The longest header segment of another issuer: a `kid` of 128 bytes, escaped, fits in.
const MAX_SEGMENT_LEN: usize = 1400;

/// Unknown members are refused, and with them `crit`, `jku`, `jwk`, `x5u`, `x5c`, `zip` and `b64`; so are duplicates.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
}

/// The header segment that we write for a key.
pub(crate) fn segment(kind: Type, algorithm: Algorithm, kid: &str) -> String {
    let header = Header { alg: algorithm.as_str().into(), kid: kid.into(), typ: kind.as_str().into() };
    let Ok(json) = serde_json::to_vec(&header) else { unreachable!("a struct of strings is JSON") };
    encoding::encode(json)
}

impl<'a> Header<'a> {
    /// Reads the decoded segment of another issuer.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, VerifyError> {
        let header: Self = serde_json::from_slice(json).map_err(|_| VerifyError::Header)?;
        // A media type, so its case does not matter (RFC 2045); the prefix may be left out (RFC 7515, 4.1.9).
        let prefix = "application/";
        let typ = match header.typ.get(..prefix.len()) {
            Some(start) if start.eq_ignore_ascii_case(prefix) => &header.typ[prefix.len()..],
            Some(_) | None => &header.typ,
        };
        if typ.eq_ignore_ascii_case(Type::Access.as_str()) { Ok(header) } else { Err(VerifyError::Type) }
    }

    /// The bytes of a header segment.
    pub(crate) fn decode(segment: &[u8]) -> Result<Vec<u8>, VerifyError> {
        if segment.len() > MAX_SEGMENT_LEN {
            return Err(VerifyError::Header);
        }
        encoding::decode(segment).ok_or(VerifyError::Header)
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.alg == algorithm.as_str()
    }
}
