//! Access tokens in the `Authorization` header (RFC 6750).

use std::fmt;

use super::head::{Field, RequestHead};
use super::rejection::error_body;

/// The token in the `Authorization` header; `None` without the header, and for other schemes than `Bearer` (in any case,
/// RFC 9110).
///
/// # Errors
/// [`BearerRejectionKind::Malformed`] if the header is repeated, has characters other than visible ASCII and blanks, or
/// has no token.
pub fn bearer_token(request: &impl RequestHead) -> Result<Option<&str>, BearerRejectionKind> {
    let value = match Field::of(request, "authorization") {
        Field::Absent => return Ok(None),
        Field::One(value) => value,
        Field::Repeated => return Err(BearerRejectionKind::Malformed),
    };
    let is_readable = value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let value = std::str::from_utf8(value).ok().filter(|_| is_readable).ok_or(BearerRejectionKind::Malformed)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() { Err(BearerRejectionKind::Malformed) } else { Ok(Some(token)) }
}

/// Why a request with or without an access token was not answered by the application.
///
/// The response has the [status](Self::status), the [challenge](Self::challenge) in `WWW-Authenticate`, and a JSON
/// [body](Self::body) with the stable [code](Self::code). It never says why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BearerRejectionKind {
    /// There is no access token. 401 `unauthenticated`.
    Missing,
    /// The `Authorization` header is repeated or unreadable. 400 `invalid_request`.
    Malformed,
    /// The token is malformed, forged or expired, or its session has ended. 401 `invalid_token`.
    Invalid,
    /// The store failed or did not answer in time. 503 `session_store_unavailable`.
    StoreUnavailable,
    /// The route is outside the adapter's bearer layer, or that layer has no store to ask: a bug in the application.
    /// 500 `bearer_layer_missing`.
    LayerMissing,
}

impl BearerRejectionKind {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The code in the body. Does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().1
    }

    /// The value of `WWW-Authenticate`: with 400 and 401.
    #[must_use]
    pub const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("Bearer"),
            Self::Malformed => Some("Bearer error=\"invalid_request\""),
            Self::Invalid => Some("Bearer error=\"invalid_token\""),
            Self::StoreUnavailable | Self::LayerMissing => None,
        }
    }

    /// The body of the response, as `application/json`.
    #[must_use]
    pub fn body(self) -> String {
        error_body(self.code())
    }

    /// Status, code and text of each.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Missing => (401, "unauthenticated", "there is no access token"),
            Self::Malformed => (400, "invalid_request", "the Authorization header is repeated or unreadable"),
            Self::Invalid => (401, "invalid_token", "the access token is not valid"),
            Self::StoreUnavailable => (503, "session_store_unavailable", "the session store failed"),
            Self::LayerMissing => (500, "bearer_layer_missing", "no bearer layer with a store around this route"),
        }
    }
}

impl fmt::Display for BearerRejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().2)
    }
}

impl std::error::Error for BearerRejectionKind {}
