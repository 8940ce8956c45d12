//! [`Rejection`]: the answers given in place of the application's.

use std::fmt;

use axum_core::body::Body;
use axum_core::response::IntoResponse;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use session_core::adapter::RejectionKind;
use session_core::{Error, UserIdError};

/// Why a request was not answered by the application, or not with its own answer: a [`RejectionKind`], as a response.
///
/// The response has the [status](Self::status) and the body `{"error":"<code>"}` with the stable [code](Self::code).
/// It tells the client nothing else; what exactly failed is reported to the observers of the
/// [`SessionManager`](session_core::SessionManager).
///
/// Handlers can return it, and use `?` on everything a session does, on [`UserId::new`](session_core::UserId::new), and on a
/// [`RejectionKind`] of their own, such as [`Forbidden`](RejectionKind::Forbidden). The response
/// carries the rejection in its extensions, where middleware and
/// [`SessionLayer::on_rejection`](crate::SessionLayer::on_rejection) find it.
///
/// ```
/// use session_core::Key;
/// use session_tower::{Authenticated, Rejection, RejectionKind};
///
/// const CREDIT: Key<u32> = Key::new("credit");
///
/// async fn spend(session: Authenticated) -> Result<String, Rejection> {
///     let credit = session.get(CREDIT)?.ok_or(RejectionKind::Forbidden)?;
///     session.update(CREDIT, |credit| *credit = credit.saturating_sub(1))?;
///     Ok(format!("{credit} left"))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rejection(RejectionKind);

impl Rejection {
    /// Which one it is.
    #[must_use]
    pub const fn kind(self) -> RejectionKind {
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

    pub(crate) fn response(self) -> Response<Bytes> {
        let mut response = json_response(self.0.status(), self.0.body());
        if let Some(challenge) = self.0.challenge() {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self(kind)
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl From<UserIdError> for Rejection {
    fn from(error: UserIdError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response<Body> {
        self.response().map(Body::from)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)?;
        if self.0 == RejectionKind::LayerMissing {
            f.write_str("; add `.layer(SessionLayer::new(manager))` after it")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

/// A response with a JSON body.
pub(crate) fn json_response(code: u16, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status(code);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
