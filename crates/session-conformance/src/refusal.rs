//! [`Refusal`]: an error as a client sees it.

use std::borrow::Cow;
use std::fmt;

use session_core::Error;
use session_core::adapter::RejectionKind;

use crate::outcome::Failure;

/// Why a request failed: the status and the code of its response. Two are equal if those are; the detail is for
/// reports.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: u16,
    code: Cow<'static, str>,
    detail: String,
}

impl Refusal {
    pub(crate) const STORE: Self = Self::new(RejectionKind::StoreUnavailable);
    pub(crate) const ENTROPY: Self = Self::new(RejectionKind::EntropyUnavailable);
    pub(crate) const GONE: Self = Self::new(RejectionKind::Gone);
    pub(crate) const NOT_AUTHENTICATED: Self = Self::new(RejectionKind::Unauthenticated);
    pub(crate) const LIMIT_REACHED: Self = Self::new(RejectionKind::LimitReached);
    pub(crate) const SUPERSEDED: Self = Self::new(RejectionKind::Superseded);
    pub(crate) const CONFLICT: Self = Self::new(RejectionKind::Conflict);
    pub(crate) const WRONG_USER: Self = Self::new(RejectionKind::WrongUser);
    pub(crate) const TOO_LARGE: Self = Self::new(RejectionKind::TooLarge);
    pub(crate) const INVALID_VALUE: Self = Self::new(RejectionKind::InvalidValue);
    /// Of a token route.
    pub(crate) const INVALID_REQUEST: Self =
        Self { status: 400, code: Cow::Borrowed("invalid_request"), detail: String::new() };
    pub(crate) const RESPONSE_SENT: Self = Self::new(RejectionKind::ResponseSent);

    const fn new(kind: RejectionKind) -> Self {
        Self { status: kind.status(), code: Cow::Borrowed(kind.code()), detail: String::new() }
    }

    /// A response that breaks the rules for every response. Equal to no other refusal.
    pub(crate) fn broken(detail: impl Into<String>) -> Self {
        Self { status: 0, code: "a broken response".into(), detail: detail.into() }
    }

    /// What a response with this status, which is not 200, says.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        match body.strip_prefix("{\"error\":\"").and_then(|rest| rest.strip_suffix("\"}")) {
            Some(code) => Self { status, code: code.to_owned().into(), detail: String::new() },
            None => Self::broken(format!("status {status}, body {body}")),
        }
    }
}

impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        (self.status, &self.code) == (other.status, &other.code)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let detail = Failure::from_error(&error).to_string();
        Self { detail, ..Self::new(RejectionKind::from(error)) }
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
