//! How a refresh token travels: in bodies, or in a cookie of its own.

use super::head::RequestHead;
use crate::clock::Timestamp;
use crate::model::summary::{Persistence, SessionSummary};
use crate::model::token::EncodedToken;
use crate::policy::cookie::{CookiePolicy, SetCookie};

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
