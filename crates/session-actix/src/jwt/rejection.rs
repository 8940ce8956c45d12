//! [`BearerRejection`].

use std::fmt;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use session_core::adapter::{BearerRejectionKind, Challenge, Requirement};
use session_jwt::{TokenRequirement, TokenSource};

use crate::rejection::{json_response, status};

/// Why a request with or without an access token was not answered by the application: a [`BearerRejectionKind`], as an error of
/// actix-web.
///
/// The response has a status, a `WWW-Authenticate` header where another token would help (RFC 6750, RFC 9470), and the body
/// `{"error":"<code>"}`. It never says why a token was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerRejection {
    kind: BearerRejectionKind,
    challenge: Option<Arc<str>>,
}

impl BearerRejection {
    /// The token is not for `scope`, one or more tokens separated by blanks: for a handler that knows only then what it needs.
    #[must_use]
    pub fn insufficient_scope(scope: &str) -> Self {
        let requirement = Requirement { scope: Some(scope), ..Requirement::NONE };
        Self::of(BearerRejectionKind::InsufficientScope, &requirement)
    }

    /// Which one it is.
    #[must_use]
    pub const fn kind(&self) -> BearerRejectionKind {
        self.kind
    }

    /// At a route that wants `R`.
    pub(super) fn at<R: TokenRequirement>(source: &TokenSource, kind: BearerRejectionKind) -> Self {
        Self { kind, challenge: source.challenge::<R>(kind).map(Arc::from) }
    }

    fn of(kind: BearerRejectionKind, requirement: &Requirement<'_>) -> Self {
        Self { kind, challenge: Challenge::new().of(kind, requirement).map(Arc::from) }
    }
}

impl From<BearerRejectionKind> for BearerRejection {
    fn from(kind: BearerRejectionKind) -> Self {
        Self::of(kind, &Requirement::NONE)
    }
}

impl ResponseError for BearerRejection {
    fn status_code(&self) -> StatusCode {
        status(self.kind.status())
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = json_response(self.kind.status(), self.kind.body());
        // What cannot be a header is a scope that is none.
        if let Some(challenge) = self.challenge.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl fmt::Display for BearerRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)?;
        if self.kind == BearerRejectionKind::LayerMissing {
            f.write_str("; add `.wrap(BearerAuth::new(tokens))` to its scope or the application")?;
        }
        Ok(())
    }
}

impl std::error::Error for BearerRejection {}
