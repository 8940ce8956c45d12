//! [`ApiError`]: how the API refuses a request.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;
use session_actix::{BearerRejection, Rejection};

/// A status and a stable code, as `{"error":"<code>"}`, like the rejections of the session middleware.
#[derive(Debug)]
pub(crate) enum ApiError {
    InvalidCredentials,
    InvalidBody,
    InvalidHandshake,
    BodyTooLarge,
    RequestTimeout,
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

impl ApiError {
    fn row(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
            Self::InvalidBody => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::InvalidHandshake => (StatusCode::BAD_REQUEST, "invalid_handshake"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::InvalidKey => (StatusCode::BAD_REQUEST, "invalid_key"),
            Self::InvalidQuery => (StatusCode::BAD_REQUEST, "invalid_query"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotACounter => (StatusCode::CONFLICT, "not_a_counter"),
            Self::Session(rejection) => (rejection.status_code(), rejection.code()),
            Self::Token(rejection) => (rejection.status_code(), rejection.kind().code()),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.row().0
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Session(rejection) => rejection.error_response(),
            Self::Token(rejection) => rejection.error_response(),
            Self::InvalidCredentials
            | Self::InvalidBody
            | Self::InvalidHandshake
            | Self::BodyTooLarge
            | Self::RequestTimeout
            | Self::InvalidKey
            | Self::InvalidQuery
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::NotACounter => HttpResponse::build(self.status_code()).json(json!({ "error": self.row().1 })),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}
