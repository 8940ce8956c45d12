//! Tokens that no session cookie carries: access tokens in the `Authorization` header (RFC 6750), and how refresh tokens
//! travel.

use super::rejection::BearerRejectionKind;
use super::request::{Field, HeaderEdit, HeaderEdits, RequestHead};
use crate::clock::Timestamp;
use crate::model::summary::{Persistence, SessionSummary};
use crate::model::token::EncodedToken;
use crate::policy::cookie::{CookiePolicy, SetCookie};

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
    // Without an early end, which would look at one byte at a time: a token has hundreds.
    let is_readable = value.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~' | b'\t'));
    let value = std::str::from_utf8(value).ok().filter(|_| is_readable).ok_or(BearerRejectionKind::Malformed)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() { Err(BearerRejectionKind::Malformed) } else { Ok(Some(token)) }
}

/// Where clients keep their refresh tokens, and so how these travel.
#[derive(Clone, Debug)]
pub enum TokenTransport {
    /// In JSON bodies, for clients that can keep a secret: native applications, other servers.
    Body,
    /// In a cookie that scripts cannot read, for browsers.
    Cookie(CookiePolicy),
}

impl TokenTransport {
    /// The refresh token in the `Cookie` headers, if that is where it travels. Of two different ones, one was planted:
    /// neither counts.
    pub fn presented<'h>(&self, request: &'h impl RequestHead) -> Option<&'h str> {
        match self {
            Self::Body => None,
            Self::Cookie(policy) => std::str::from_utf8(policy.find_value(request.values("cookie"))?).ok(),
        }
    }

    /// The cookie that hands the token out. If the session is persistent, it lasts until the absolute deadline.
    pub fn set(&self, token: &EncodedToken, session: &SessionSummary, now: Timestamp) -> Option<SetCookie> {
        let Self::Cookie(policy) = self else { return None };
        let max_age = match session.persistence {
            Persistence::Persistent => Some(session.absolute_deadline().since(now)),
            Persistence::Transient => None,
        };
        Some(policy.set(token, max_age))
    }

    /// The cookie that removes the token from the client.
    pub fn remove(&self) -> Option<SetCookie> {
        match self {
            Self::Body => None,
            Self::Cookie(policy) => Some(policy.remove()),
        }
    }
}

/// What to change in a response to a token request, successful or not (RFC 6749, section 5.1).
pub fn token_edits(cookie: Option<&SetCookie>) -> HeaderEdits<'_> {
    let no_store = HeaderEdit::Set("cache-control", "no-store");
    let no_cache = HeaderEdit::Set("pragma", "no-cache");
    HeaderEdits::new([Some(no_store), Some(no_cache), cookie.map(HeaderEdit::AppendCookie), None, None, None], &[])
}
