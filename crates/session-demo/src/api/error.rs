//! [`ApiError`]: how the API refuses a request.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use session_tower::{BearerRejection, Rejection};

/// A status and a stable code, as `{"error":"<code>"}`, like the rejections of the session layer.
pub(crate) enum ApiError {
    InvalidCredentials,
    InvalidBody,
    BodyTooLarge,
    InvalidKey,
    InvalidQuery,
    NotFound,
    MethodNotAllowed,
    NotACounter,
    Session(Rejection),
    Token(BearerRejection),
}

impl<E: Into<Rejection>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::Session(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = match self {
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
            Self::InvalidBody => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::InvalidKey => (StatusCode::BAD_REQUEST, "invalid_key"),
            Self::InvalidQuery => (StatusCode::BAD_REQUEST, "invalid_query"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotACounter => (StatusCode::CONFLICT, "not_a_counter"),
            Self::Session(rejection) => return rejection.into_response(),
            Self::Token(rejection) => return rejection.into_response(),
        };
        (status, Json(json!({ "error": code }))).into_response()
    }
}
