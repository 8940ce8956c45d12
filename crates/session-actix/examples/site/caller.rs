//! An authenticated caller: a browser with a cookie, or a client with an access token.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use session_actix::{Authenticated, BearerRejectionKind, LiveBearer};
use session_core::{SessionId, SessionManager, UserId};
use session_demo::args::Mode;

use crate::error::ApiError;

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

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match access_token(&request).await? {
                Some(bearer) => Ok(Self::Token(Box::new(bearer))),
                None => Ok(Self::Browser(Authenticated::extract(&request).await?)),
            }
        })
    }
}

/// The access token of a request, if it has one. Modes without tokens ignore the header.
pub(crate) async fn access_token(request: &HttpRequest) -> Result<Option<LiveBearer>, ApiError> {
    if request.app_data::<Mode>() != Some(&Mode::Hybrid) {
        return Ok(None);
    }
    match LiveBearer::extract(request).await {
        Ok(bearer) => Ok(Some(bearer)),
        Err(rejection) if rejection.kind() == BearerRejectionKind::Missing => Ok(None),
        Err(rejection) => Err(ApiError::Token(rejection)),
    }
}
