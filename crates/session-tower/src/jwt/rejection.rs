//! [`BearerRejection`]: the answers of RFC 6750.

use std::fmt;

use axum_core::body::Body;
use axum_core::response::IntoResponse;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

/// Why a request with an access token, or without one, was not answered by the application.
///
/// As a response: the [status](Self::status), a `WWW-Authenticate` header with 400 and 401 (RFC 6750), and the body
/// `{"error":"<code>"}`. What exactly is wrong with a token is told to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BearerRejection {
    /// There is no access token. 401 `unauthenticated`.
    Missing,
    /// The `Authorization` header is repeated, or not readable. 400 `invalid_request`.
    Malformed,
    /// The token is malformed, forged, expired, or its session was found to be over. 401 `invalid_token`.
    Invalid,
    /// The store failed or did not answer in time. 503 `session_store_unavailable`.
    StoreUnavailable,
    /// The route is not inside a [`BearerLayer`](crate::BearerLayer), or that one has no store to ask: a mistake of the
    /// application. 500 `bearer_layer_missing`.
    LayerMissing,
}

impl BearerRejection {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid => StatusCode::UNAUTHORIZED,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::LayerMissing => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code in the body. Does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "unauthenticated",
            Self::Malformed => "invalid_request",
            Self::Invalid => "invalid_token",
            Self::StoreUnavailable => "session_store_unavailable",
            Self::LayerMissing => "bearer_layer_missing",
        }
    }

    const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("Bearer"),
            Self::Malformed => Some("Bearer error=\"invalid_request\""),
            Self::Invalid => Some("Bearer error=\"invalid_token\""),
            Self::StoreUnavailable | Self::LayerMissing => None,
        }
    }
}

impl IntoResponse for BearerRejection {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Bytes::from(format!("{{\"error\":\"{}\"}}", self.code())));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(challenge) = self.challenge() {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.map(Body::from)
    }
}

impl fmt::Display for BearerRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no access token",
            Self::Malformed => "the Authorization header is repeated or not readable",
            Self::Invalid => "the access token is not valid",
            Self::StoreUnavailable => "the session store failed",
            Self::LayerMissing => {
                "no bearer layer with a store around this route; add `.layer(BearerLayer::new(hybrid))` after it"
            }
        })
    }
}

impl std::error::Error for BearerRejection {}
