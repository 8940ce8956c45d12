//! Tokens that no session cookie carries: access tokens in the `Authorization` header (RFC 6750), and how refresh tokens
//! travel.

use super::rejection::BearerRejectionKind;
use super::request::{Field, HeaderEdit, HeaderEdits, RequestHead};
use crate::clock::Timestamp;
use crate::model::summary::{Persistence, SessionSummary};
use crate::model::token::EncodedToken;
use crate::policy::cookie::{CookiePolicy, CookiePolicyError, PresentedCookie, SameSite, SetCookie};

/// How an access token is presented: the scheme of the `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScheme {
    /// By whoever has it (RFC 6750).
    Bearer,
    /// With a proof that its holder has the key that it is bound to (RFC 9449).
    Dpop,
}

/// The access token in the `Authorization` header, and how it is presented; `None` without the header, and for other schemes
/// (in any case, RFC 9110).
///
/// # Errors
/// [`BearerRejectionKind::Malformed`] if the header is repeated, has characters other than visible ASCII and blanks, or
/// has no token.
pub fn presented_token(request: &impl RequestHead) -> Result<Option<(TokenScheme, &str)>, BearerRejectionKind> {
    let value = match Field::of(request, "authorization") {
        Field::Absent => return Ok(None),
        Field::One(value) => value,
        Field::Repeated => return Err(BearerRejectionKind::Malformed),
    };
    // Without an early end, which would look at one byte at a time: a token has hundreds.
    let is_readable = value.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~' | b'\t'));
    let value = std::str::from_utf8(value).ok().filter(|_| is_readable).ok_or(BearerRejectionKind::Malformed)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        TokenScheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        TokenScheme::Dpop
    } else {
        return Ok(None);
    };
    let token = token.trim_start_matches(' ');
    if token.is_empty() { Err(BearerRejectionKind::Malformed) } else { Ok(Some((scheme, token))) }
}

/// The token of a `Bearer` in the `Authorization` header: [`presented_token`], where no other scheme is known.
///
/// # Errors
/// As [`presented_token`].
pub fn bearer_token(request: &impl RequestHead) -> Result<Option<&str>, BearerRejectionKind> {
    let presented = presented_token(request)?;
    Ok(presented.and_then(|(scheme, token)| (scheme == TokenScheme::Bearer).then_some(token)))
}

/// Where clients keep their refresh tokens, and so how these travel.
#[derive(Clone, Debug, Default)]
pub struct TokenTransport(Option<CookiePolicy>);

impl TokenTransport {
    /// In the bodies of requests and responses, for clients that can keep a secret: native applications, other servers.
    #[must_use]
    pub fn body() -> Self {
        Self(None)
    }

    /// In a cookie that scripts cannot read, for browsers.
    ///
    /// ```
    /// use session_core::adapter::TokenTransport;
    /// use session_core::{CookiePolicy, CookiePolicyError, SameSite};
    ///
    /// let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build()?;
    /// let transport = TokenTransport::cookie(cookie)?;
    ///
    /// // A sibling subdomain could plant this one.
    /// let cookie = CookiePolicy::builder("__Secure-refresh").path("/api/token").same_site(SameSite::Strict).build()?;
    /// assert_eq!(TokenTransport::cookie(cookie).unwrap_err(), CookiePolicyError::Refresh);
    /// # Ok::<_, CookiePolicyError>(())
    /// ```
    ///
    /// # Errors
    /// [`CookiePolicyError::Refresh`] unless its name begins with `__Host-` (or `__Host-Http-`) and it is `SameSite=Strict`:
    /// a cookie that another host can plant logs a user in as somebody else, and one that other sites make a browser send is
    /// used up by them.
    pub fn cookie(cookie: CookiePolicy) -> Result<Self, CookiePolicyError> {
        let is_strict = cookie.same_site() == SameSite::Strict;
        if cookie.is_host_only() && is_strict { Ok(Self(Some(cookie))) } else { Err(CookiePolicyError::Refresh) }
    }

    /// Whether they travel in a cookie.
    #[must_use]
    pub fn is_cookie(&self) -> bool {
        self.0.is_some()
    }

    /// The refresh tokens in the `Cookie` headers, if that is where they travel: usually one, several after an attribute of
    /// the cookie was changed.
    pub fn presented(&self, request: &impl RequestHead) -> PresentedCookie {
        self.0.as_ref().map_or(PresentedCookie::Nothing, |policy| policy.read(request.values("cookie")))
    }

    /// The cookie that hands the token out. If the session is persistent, it lasts until the absolute deadline.
    pub fn set(&self, token: &EncodedToken, session: &SessionSummary, now: Timestamp) -> Option<SetCookie> {
        let max_age = match session.persistence {
            Persistence::Persistent => Some(session.absolute_deadline().since(now)),
            Persistence::Transient => None,
        };
        self.0.as_ref().map(|policy| policy.set(token, max_age))
    }

    /// The cookie that removes the token from the client.
    pub fn remove(&self) -> Option<SetCookie> {
        self.0.as_ref().map(CookiePolicy::remove)
    }

    /// Those that remove the cookies that were [used before](crate::policy::cookie::CookiePolicyBuilder::formerly): beside
    /// each that is set or removed.
    #[must_use]
    pub fn remove_former(&self) -> Vec<SetCookie> {
        self.0.as_ref().map(CookiePolicy::remove_former).unwrap_or_default()
    }
}

/// What to change in a response to a token request, successful or not (RFC 6749, section 5.1).
pub fn token_edits<'c>(cookie: Option<&'c SetCookie>, removed: &'c [SetCookie]) -> HeaderEdits<'c> {
    let no_store = HeaderEdit::Set("cache-control", "no-store");
    let no_cache = HeaderEdit::Set("pragma", "no-cache");
    HeaderEdits::new(
        [Some(no_store), Some(no_cache), cookie.map(HeaderEdit::AppendCookie), None, None, None, None],
        removed,
    )
}
