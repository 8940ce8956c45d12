//! The protected header: the one that we write, and a strict parser for those of other issuers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::error::VerifyError;
use crate::algorithm::Algorithm;
use crate::encoding;

/// The kind of a token (`typ`). Each kind has its own value, so that none is accepted as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// An access token (RFC 9068).
    Access,
    /// A client-side session.
    Session,
}

impl TokenType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Session => "session+jwt",
        }
    }
}

/// The longest header segment of another issuer: enough for a `kid` of 128 bytes, all escaped.
const MAX_SEGMENT_LEN: usize = 1400;

/// The header segment that we write for a key.
pub(super) fn segment(typ: TokenType, algorithm: Algorithm, kid: &str) -> String {
    let header = Header { alg: algorithm.as_str().into(), kid: kid.into(), typ: typ.as_str().into() };
    let Ok(json) = serde_json::to_vec(&header) else { unreachable!("a struct of strings is JSON") };
    encoding::encode(json)
}

/// Unknown members are refused, and with them `crit`, `jku`, `jwk`, `x5u`, `x5c`, `zip` and `b64`. So are duplicates.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
}

impl<'a> Header<'a> {
    /// Decodes the header segment of another issuer, for [`parse`](Self::parse).
    pub(super) fn decode(segment: &[u8]) -> Result<Vec<u8>, VerifyError> {
        if segment.len() > MAX_SEGMENT_LEN {
            return Err(VerifyError::Header);
        }
        encoding::decode(segment).ok_or(VerifyError::Header)
    }

    /// Parses the header of an access token of another issuer.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, VerifyError> {
        let header: Self = serde_json::from_slice(json).map_err(|_| VerifyError::Header)?;
        // A media type: its case is irrelevant (RFC 2045), and the prefix is optional (RFC 7515, 4.1.9).
        let prefix = "application/";
        let typ = match header.typ.get(..prefix.len()) {
            Some(start) if start.eq_ignore_ascii_case(prefix) => &header.typ[prefix.len()..],
            Some(_) | None => &header.typ,
        };
        if typ.eq_ignore_ascii_case(TokenType::Access.as_str()) { Ok(header) } else { Err(VerifyError::Type) }
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.alg == algorithm.as_str()
    }
}
