//! [`Rejection`]: the answers given in place of the application's.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use session_core::adapter::RejectionKind;
use session_core::{Error, UserIdError};

/// Why a request was not answered by the application, or not with its own answer: a [`RejectionKind`], as an error of
/// actix-web.
///
/// The response has the [status](ResponseError::status_code) and the body `{"error":"<code>"}` with the stable
/// [code](Self::code). It tells the client nothing else; what exactly failed is reported to the observers of the
/// [`SessionManager`](session_core::SessionManager).
///
/// Handlers can return it, and use `?` on everything a session does, on [`UserId::new`](session_core::UserId::new), and on a
/// [`RejectionKind`] of their own, such as [`Forbidden`](RejectionKind::Forbidden). The response
/// carries the rejection in its extensions, where middleware and
/// [`SessionMiddleware::on_rejection`](crate::SessionMiddleware::on_rejection) find it.
///
/// ```
/// use session_actix::{Authenticated, Rejection, RejectionKind};
/// use session_core::Key;
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

    /// The code in the body. Does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.0.code()
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

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        status(self.0.status())
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = json_response(self.0.status(), self.0.body());
        if let Some(challenge) = self.0.challenge() {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(*self);
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)?;
        if self.0 == RejectionKind::LayerMissing {
            f.write_str("; add `.wrap(SessionMiddleware::new(manager))` to its scope or the application")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

/// A response with a JSON body.
pub(crate) fn json_response(code: u16, body: String) -> HttpResponse {
    let mut response = HttpResponse::with_body(status(code), actix_web::body::BoxBody::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
