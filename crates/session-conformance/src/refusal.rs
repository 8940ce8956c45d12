//! [`Refusal`]: an error as a client sees it.

use std::fmt;

use session_core::{Error, StoreErrorKind};

use crate::outcome::Failure;

/// Why a request failed: the status and the code of its response. Two are equal if those are; the detail is for
/// reports.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: u16,
    code: &'static str,
    detail: String,
}

impl Refusal {
    pub(crate) const STORE: Self = Self::new(503, "session_store_unavailable");
    pub(crate) const UNSUPPORTED: Self = Self::new(501, "session_unsupported");
    pub(crate) const ENTROPY: Self = Self::new(503, "session_entropy_unavailable");
    pub(crate) const GONE: Self = Self::new(401, "session_gone");
    pub(crate) const NOT_AUTHENTICATED: Self = Self::new(401, "unauthenticated");
    pub(crate) const LIMIT_REACHED: Self = Self::new(409, "session_limit_reached");
    pub(crate) const SUPERSEDED: Self = Self::new(409, "session_superseded");
    pub(crate) const CONFLICT: Self = Self::new(409, "session_conflict");
    pub(crate) const WRONG_USER: Self = Self::new(403, "wrong_user");
    pub(crate) const TOO_LARGE: Self = Self::new(413, "session_too_large");
    pub(crate) const INVALID_VALUE: Self = Self::new(500, "session_value_invalid");
    pub(crate) const RESPONSE_SENT: Self = Self::new(500, "session_response_sent");
    pub(crate) const OTHER: Self = Self::new(500, "session_error");

    const ALL: [Self; 13] = [
        Self::STORE,
        Self::UNSUPPORTED,
        Self::ENTROPY,
        Self::GONE,
        Self::NOT_AUTHENTICATED,
        Self::LIMIT_REACHED,
        Self::SUPERSEDED,
        Self::CONFLICT,
        Self::WRONG_USER,
        Self::TOO_LARGE,
        Self::INVALID_VALUE,
        Self::RESPONSE_SENT,
        Self::OTHER,
    ];

    const fn new(status: u16, code: &'static str) -> Self {
        Self { status, code, detail: String::new() }
    }

    /// A response that breaks the rules for every response. Equal to no other refusal.
    pub(crate) fn broken(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::new(0, "a broken response") }
    }

    /// What a response with this status, which is not 200, says.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let known = Self::ALL.into_iter().find(|known| known.status == status && known.body().as_bytes() == body);
        known.unwrap_or_else(|| Self::broken(format!("status {status}, body {}", String::from_utf8_lossy(body))))
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn body(&self) -> String {
        format!("{{\"error\":\"{}\"}}", self.code)
    }
}

impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        (self.status, self.code) == (other.status, other.code)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = match &error {
            Error::Store(error) if error.kind() == StoreErrorKind::Unsupported => Self::UNSUPPORTED,
            Error::Store(_) => Self::STORE,
            Error::Entropy(_) => Self::ENTROPY,
            Error::Gone => Self::GONE,
            Error::NotAuthenticated => Self::NOT_AUTHENTICATED,
            Error::LimitReached => Self::LIMIT_REACHED,
            Error::Superseded => Self::SUPERSEDED,
            Error::Conflict => Self::CONFLICT,
            Error::WrongUser => Self::WRONG_USER,
            Error::TooLarge { .. } | Error::TooManyValues { .. } | Error::CookieTooLarge { .. } => Self::TOO_LARGE,
            Error::Value(_) => Self::INVALID_VALUE,
            Error::ResponseSent => Self::RESPONSE_SENT,
            // Core may add errors in a later version.
            _ => Self::OTHER,
        };
        Self { detail: Failure::from(error).as_str().to_owned(), ..refusal }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::broken(failure.as_str())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, self.detail.as_str()) {
            (0, detail) => write!(f, "{}: {detail}", self.code),
            (status, "") => write!(f, "{status} {}", self.code),
            (status, detail) => write!(f, "{status} {}: {detail}", self.code),
        }
    }
}
