//! How a refresh token travels: in bodies, or in a cookie of its own.

use http::HeaderMap;
use http::header::COOKIE;
use session_core::adapter::SetCookie;
use session_core::{CookiePolicy, EncodedToken, Persistence, SessionSummary, Timestamp};

/// Where the refresh token is.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    /// In JSON, for clients that can keep a secret: native applications, other servers.
    Body,
    /// In a cookie that no script can read, for browsers.
    Cookie(CookiePolicy),
}

impl Transport {
    /// The refresh token in the `Cookie` headers, if that is where it travels. Two different ones are none: one of them was
    /// planted.
    pub(super) fn presented(&self, headers: &HeaderMap) -> Option<String> {
        let Self::Cookie(policy) = self else { return None };
        let pairs = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
        let values =
            pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(policy.name().as_bytes())?.strip_prefix(b"="));
        let mut found = None;
        for value in values {
            match found {
                Some(other) if other != value => return None,
                Some(_) | None => found = Some(value),
            }
        }
        found.and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned)
    }

    /// The cookie that hands the token out. It lasts as long as the session may, if the client is to keep it.
    pub(super) fn set(&self, token: &EncodedToken, session: &SessionSummary, now: Timestamp) -> Option<SetCookie> {
        let Self::Cookie(policy) = self else { return None };
        let max_age = match session.persistence {
            Persistence::Persistent => Some(session.absolute_deadline().since(now)),
            Persistence::Transient => None,
        };
        Some(policy.set(token, max_age))
    }

    pub(super) fn remove(&self) -> Option<SetCookie> {
        match self {
            Self::Cookie(policy) => Some(policy.remove()),
            Self::Body => None,
        }
    }
}
