//! [`BearerRejection`]: the answers of RFC 6750.

use std::fmt;

use axum_core::body::Body;
use axum_core::response::IntoResponse;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};
use session_core::adapter::BearerRejectionKind;

use crate::rejection::{json_response, status};

/// Why a request with or without an access token was not answered by the application: a [`BearerRejectionKind`], as a
/// response.
///
/// The response has the [status](Self::status), a `WWW-Authenticate` header with 400 and 401 (RFC 6750), and the body
/// `{"error":"<code>"}`. It never says why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BearerRejection(BearerRejectionKind);

impl BearerRejection {
    /// Which one it is.
    #[must_use]
    pub const fn kind(self) -> BearerRejectionKind {
        self.0
    }

    /// The status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        status(self.0.status())
    }

    /// The code in the body. Does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.0.code()
    }
}

impl From<BearerRejectionKind> for BearerRejection {
    fn from(kind: BearerRejectionKind) -> Self {
        Self(kind)
    }
}

impl IntoResponse for BearerRejection {
    fn into_response(self) -> Response<Body> {
        let mut response = json_response(self.0.status(), self.0.body());
        if let Some(challenge) = self.0.challenge() {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.map(Body::from)
    }
}

impl fmt::Display for BearerRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)?;
        if self.0 == BearerRejectionKind::LayerMissing {
            f.write_str("; add `.layer(BearerLayer::new(tokens))` after it")?;
        }
        Ok(())
    }
}

impl std::error::Error for BearerRejection {}
