//! [`ApiError`]: how the API refuses a request; [`Json`]: the body of one, or why not.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
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
        (status, axum::Json(json!({ "error": code }))).into_response()
    }
}

/// A body of JSON, whatever its `Content-Type`.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await.map_err(|_| ApiError::BodyTooLarge)?;
        serde_json::from_slice(&body).map(Self).map_err(|_| ApiError::InvalidBody)
    }
}
