//! An authenticated caller: a browser with a cookie, or a client with an access token.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use session_core::{SessionId, SessionManager, UserId};
use session_tower::{Authenticated, BearerRejectionKind, LiveBearer};

use crate::api::error::ApiError;

/// A user who is logged in. An access token counts only while its session is alive: a revoked one must not revoke
/// others.
pub(crate) enum Caller {
    Browser(Authenticated),
    Token(Box<LiveBearer>),
}

impl Caller {
    pub(crate) fn user(&self) -> &UserId {
        match self {
            Self::Browser(session) => session.user(),
            Self::Token(bearer) => &bearer.user,
        }
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        match self {
            Self::Browser(session) => Some(session.id()),
            Self::Token(bearer) => Some(bearer.session().id),
        }
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        match self {
            Self::Browser(session) => session.manager(),
            Self::Token(bearer) => bearer.manager(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match access_token(parts).await? {
            Some(bearer) => Ok(Self::Token(Box::new(bearer))),
            None => Ok(Self::Browser(Authenticated::from_request_parts(parts, state).await?)),
        }
    }
}

/// The access token of a request, if it has one. Modes without tokens ignore the header.
pub(crate) async fn access_token(parts: &mut Parts) -> Result<Option<LiveBearer>, ApiError> {
    match LiveBearer::from_request_parts(parts, &()).await {
        Ok(bearer) => Ok(Some(bearer)),
        Err(rejection)
            if matches!(rejection.kind(), BearerRejectionKind::Missing | BearerRejectionKind::LayerMissing) =>
        {
            Ok(None)
        }
        Err(rejection) => Err(ApiError::Token(rejection)),
    }
}
