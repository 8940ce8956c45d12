//! [`Rejection`]: every answer this library gives in place of the application's.

use std::fmt;

use axum_core::body::Body;
use axum_core::response::IntoResponse;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use session_core::{Error, StoreErrorKind};

/// Why a request was not answered by the application, or not with its own answer.
///
/// As a response: the [status](Self::status), and the body `{"error":"<code>"}` with the stable [code](Self::code).
/// It tells a client nothing else; what exactly failed is reported to the observers of the
/// [`SessionManager`](session_core::SessionManager).
///
/// Handlers can return it, and use `?` on everything a session does. The response carries the rejection in its
/// extensions, so that middleware and [`SessionLayer::on_rejection`](crate::SessionLayer::on_rejection) recognise it.
///
/// ```
/// use session_core::Key;
/// use session_tower::{Rejection, Session};
///
/// const VISITS: Key<u32> = Key::new("visits");
///
/// async fn visit(session: Session) -> Result<String, Rejection> {
///     session.update(VISITS, |visits| *visits += 1)?;
///     Ok(format!("{:?}", session.get(VISITS)?))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// The store failed or did not answer in time. 503 `session_store_unavailable`. The client keeps its cookie.
    StoreUnavailable,
    /// The random generator failed; nothing was issued. 503 `session_entropy_unavailable`.
    EntropyUnavailable,
    /// The session ended while the request was running; nothing was written. 401 `session_gone`.
    Gone,
    /// Nobody is logged in. 401 `unauthenticated`.
    Unauthenticated,
    /// The user has as many sessions as the limit allows. 409 `session_limit_reached`.
    LimitReached,
    /// The token was renewed meanwhile; the same request with the newer cookie will do. 409 `session_superseded`.
    Superseded,
    /// Another request changed the same value; nothing was written. 409 `session_conflict`.
    Conflict,
    /// The user must prove again who they are. 403 `reauthentication_required`.
    ReauthenticationRequired,
    /// The session belongs to another user. 403 `wrong_user`.
    WrongUser,
    /// The request comes from another site (CSRF). 403 `cross_origin`.
    CrossOrigin,
    /// The session would hold too much. 413 `session_too_large`.
    TooLarge,
    /// A value could not be converted: a mistake of the application. 500 `session_value_invalid`.
    InvalidValue,
    /// The session was changed after the response was sent: a mistake of the application. 500 `session_response_sent`.
    ResponseSent,
    /// The route is not inside a [`SessionLayer`](crate::SessionLayer): a mistake of the application.
    /// 500 `session_layer_missing`.
    LayerMissing,
    /// The route is inside two [`SessionLayer`](crate::SessionLayer)s: a mistake of the application.
    /// 500 `session_layer_nested`.
    LayerNested,
    /// Client-side sessions cannot be listed or revoked: a mistake of the application. 501 `session_unsupported`.
    Unsupported,
    /// Anything else. 500 `session_error`.
    Internal,
}

impl Rejection {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::StoreUnavailable | Self::EntropyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Gone | Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::LimitReached | Self::Superseded | Self::Conflict => StatusCode::CONFLICT,
            Self::ReauthenticationRequired | Self::WrongUser | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidValue | Self::ResponseSent | Self::LayerMissing | Self::LayerNested | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// The code in the body. Does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::StoreUnavailable => "session_store_unavailable",
            Self::EntropyUnavailable => "session_entropy_unavailable",
            Self::Gone => "session_gone",
            Self::Unauthenticated => "unauthenticated",
            Self::LimitReached => "session_limit_reached",
            Self::Superseded => "session_superseded",
            Self::Conflict => "session_conflict",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::WrongUser => "wrong_user",
            Self::CrossOrigin => "cross_origin",
            Self::TooLarge => "session_too_large",
            Self::InvalidValue => "session_value_invalid",
            Self::ResponseSent => "session_response_sent",
            Self::LayerMissing => "session_layer_missing",
            Self::LayerNested => "session_layer_nested",
            Self::Unsupported => "session_unsupported",
            Self::Internal => "session_error",
        }
    }

    pub(crate) fn response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(format!("{{\"error\":\"{}\"}}", self.code())));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) if error.kind() == StoreErrorKind::Unsupported => Self::Unsupported,
            Error::Store(_) => Self::StoreUnavailable,
            Error::Entropy(_) => Self::EntropyUnavailable,
            Error::Gone => Self::Gone,
            Error::NotAuthenticated => Self::Unauthenticated,
            Error::LimitReached => Self::LimitReached,
            Error::Superseded => Self::Superseded,
            Error::Conflict => Self::Conflict,
            Error::WrongUser => Self::WrongUser,
            Error::TooLarge { .. } | Error::TooManyValues { .. } | Error::CookieTooLarge { .. } => Self::TooLarge,
            Error::Value(_) => Self::InvalidValue,
            Error::ResponseSent => Self::ResponseSent,
            // Core may add errors in a later version.
            _ => Self::Internal,
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response<Body> {
        self.response().map(Body::from)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StoreUnavailable => "the session store failed",
            Self::EntropyUnavailable => "the random generator failed",
            Self::Gone => "the session ended while the request was running",
            Self::Unauthenticated => "nobody is logged in",
            Self::LimitReached => "the limit of concurrent sessions is reached",
            Self::Superseded => "the session token was renewed meanwhile",
            Self::Conflict => "another request changed the session at the same time",
            Self::ReauthenticationRequired => "the user must prove again who they are",
            Self::WrongUser => "the session belongs to another user",
            Self::CrossOrigin => "the request comes from another site",
            Self::TooLarge => "the session would hold too much",
            Self::InvalidValue => "a value of the session could not be converted; was the type of its key changed?",
            Self::ResponseSent => "the session was changed after the response was sent",
            Self::LayerMissing => {
                "no session layer around this route; add `.layer(SessionLayer::new(manager))` after it"
            }
            Self::LayerNested => "two session layers around this route; remove one, or put them side by side",
            Self::Unsupported => "client-side sessions cannot be listed or revoked; use a store",
            Self::Internal => "the session could not be used",
        })
    }
}

impl std::error::Error for Rejection {}
