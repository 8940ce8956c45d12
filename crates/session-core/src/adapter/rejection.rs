//! The answers given in place of the application's: status, code and body of each.

use std::fmt;

use crate::error::{Error, StoreErrorKind};
use crate::model::id::UserIdError;

/// Why a request was not answered by the application, or not with its own answer.
///
/// The response has the [status](Self::status) and a JSON [body](Self::body) with the stable [code](Self::code), and
/// tells the client nothing else: what exactly failed is reported to the observers of the
/// [`SessionManager`](crate::SessionManager).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The store failed or did not answer in time. 503 `session_store_unavailable`. The client keeps its cookie.
    StoreUnavailable,
    /// The random generator failed; nothing was issued. 503 `session_entropy_unavailable`.
    EntropyUnavailable,
    /// The session ended while the request was running; nothing was written. 401 `session_gone`.
    Gone,
    /// No user is logged in. 401 `unauthenticated`.
    Unauthenticated,
    /// The user has as many sessions as the limit allows. 409 `session_limit_reached`.
    LimitReached,
    /// The application lets this visitor begin no session now; nothing was stored. 429 `visitor_refused`.
    VisitorRefused,
    /// The token was renewed meanwhile; repeat the request with the newer cookie. 409 `session_superseded`.
    Superseded,
    /// Another request changed the same value; nothing was written. 409 `session_conflict`.
    Conflict,
    /// The user must authenticate again. 403 `reauthentication_required`.
    ReauthenticationRequired,
    /// The session belongs to another user. 403 `wrong_user`.
    WrongUser,
    /// The application does not let this user do that: whoever is logged in, to log in again changes nothing. Said by handlers,
    /// never by the library. 403 `forbidden`.
    Forbidden,
    /// The session is bound to a device, and the request does not show that it comes from there; or it is not, and the route
    /// wants it to be. 401 `device_binding_required`.
    DeviceBindingRequired,
    /// The request comes from another site (CSRF). 403 `cross_origin`.
    CrossOrigin,
    /// The request was sent to a host that the application does not answer for. 421 `host_not_allowed`.
    HostNotAllowed,
    /// The session would exceed a size limit. 413 `session_too_large`.
    TooLarge,
    /// The cursor of a page is none. 400 `invalid_cursor`.
    InvalidCursor,
    /// What should name a user cannot: it is empty, or too long. 400 `invalid_user_id`.
    InvalidUserId,
    /// A value could not be converted: a bug in the application. 500 `session_value_invalid`.
    InvalidValue,
    /// The session was changed after the response was sent: a bug in the application. 500 `session_response_sent`.
    ResponseSent,
    /// The route is outside the adapter's session layer: a bug in the application. 500 `session_layer_missing`.
    LayerMissing,
    /// The route is inside two session layers with the same cookie name: a bug in the application. 500
    /// `session_layer_nested`.
    LayerNested,
    /// Client-side sessions cannot be listed or revoked, nor regenerated without a deny list: a bug in the application. 501
    /// `session_unsupported`.
    Unsupported,
    /// Anything else. 500 `session_error`.
    Internal,
}

impl RejectionKind {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The code in the body. Does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().1
    }

    /// The body of the response, as `application/json`.
    #[must_use]
    pub fn body(self) -> String {
        error_body(self.code())
    }

    /// The value of `WWW-Authenticate`, which RFC 9110 wants with 401. There is no registered scheme for cookies; browsers
    /// ignore this one. An application that has a better answer replaces it.
    #[must_use]
    pub const fn challenge(self) -> Option<&'static str> {
        if self.status() == 401 { Some("Cookie") } else { None }
    }

    /// The request headers that led to this rejection: they belong into `Vary`, see [`vary`](super::vary).
    #[must_use]
    pub fn varies_by(self) -> Option<&'static str> {
        (self == Self::CrossOrigin).then_some("Sec-Fetch-Site, Origin")
    }

    /// Status, code and text of each.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::StoreUnavailable => (503, "session_store_unavailable", "the session store failed"),
            Self::EntropyUnavailable => (503, "session_entropy_unavailable", "the random generator failed"),
            Self::Gone => (401, "session_gone", "the session ended while the request was running"),
            Self::Unauthenticated => (401, "unauthenticated", "no user is logged in"),
            Self::LimitReached => (409, "session_limit_reached", "the limit of concurrent sessions is reached"),
            Self::VisitorRefused => (429, "visitor_refused", "no session begins for this visitor now"),
            Self::Superseded => (409, "session_superseded", "the session token was renewed meanwhile"),
            Self::Conflict => (409, "session_conflict", "another request changed the session at the same time"),
            Self::ReauthenticationRequired => (403, "reauthentication_required", "the user must authenticate again"),
            Self::WrongUser => (403, "wrong_user", "the session belongs to another user"),
            Self::DeviceBindingRequired => {
                (401, "device_binding_required", "the request does not come from the device of the session")
            }
            Self::Forbidden => (403, "forbidden", "the user may not do that"),
            Self::CrossOrigin => (403, "cross_origin", "the request comes from another site"),
            Self::HostNotAllowed => (421, "host_not_allowed", "the application does not answer for this host"),
            Self::TooLarge => (413, "session_too_large", "the session would exceed a size limit"),
            Self::InvalidCursor => (400, "invalid_cursor", "the cursor is not one of this store"),
            Self::InvalidUserId => (400, "invalid_user_id", "a user id must have between 1 and 256 bytes"),
            Self::InvalidValue => {
                let text = "a value of the session could not be converted; was the type of its key changed?";
                (500, "session_value_invalid", text)
            }
            Self::ResponseSent => (500, "session_response_sent", "the session was changed after the response was sent"),
            Self::LayerMissing => (500, "session_layer_missing", "no session layer around this route"),
            Self::LayerNested => {
                let text = "two session layers around this route with the same cookie name; remove one, put them side by \
                            side, or give one a cookie of another name";
                (500, "session_layer_nested", text)
            }
            Self::Unsupported => {
                let text = "client-side sessions cannot be listed or revoked, nor regenerated without a deny list; use a store";
                (501, "session_unsupported", text)
            }
            Self::Internal => (500, "session_error", "the session could not be used"),
        }
    }
}

impl From<Error> for RejectionKind {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) if error.kind() == StoreErrorKind::Unsupported => Self::Unsupported,
            Error::NoDenyList => Self::Unsupported,
            Error::Store(_) => Self::StoreUnavailable,
            Error::Entropy(_) => Self::EntropyUnavailable,
            Error::Gone => Self::Gone,
            Error::NotAuthenticated => Self::Unauthenticated,
            Error::LimitReached => Self::LimitReached,
            Error::VisitorRefused => Self::VisitorRefused,
            Error::Superseded => Self::Superseded,
            Error::Conflict => Self::Conflict,
            Error::WrongUser => Self::WrongUser,
            Error::TooLarge { .. } | Error::TooManyValues { .. } | Error::CookieTooLarge { .. } => Self::TooLarge,
            Error::InvalidCursor => Self::InvalidCursor,
            Error::Value(_) => Self::InvalidValue,
            Error::ResponseSent => Self::ResponseSent,
        }
    }
}

/// For what names a user whom the request is about. A login answers a name that nobody can have as any other that is wrong.
impl From<UserIdError> for RejectionKind {
    fn from(_: UserIdError) -> Self {
        Self::InvalidUserId
    }
}

impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().2)
    }
}

impl std::error::Error for RejectionKind {}

/// The JSON body of an error: `{"error":"<code>"}`. `code` needs no escaping.
#[must_use]
pub fn error_body(code: &str) -> String {
    format!("{{\"error\":\"{code}\"}}")
}

/// Why a request with or without an access token was not answered by the application.
///
/// The response has the [status](Self::status), a [challenge](super::Challenge) in `WWW-Authenticate`, and a JSON
/// [body](Self::body) with the stable [code](Self::code). It never says why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BearerRejectionKind {
    /// There is no access token. 401 `unauthenticated`.
    Missing,
    /// The `Authorization` header is repeated or unreadable. 400 `invalid_request`.
    Malformed,
    /// The token is malformed, forged or expired, or its session has ended. 401 `invalid_token`.
    Invalid,
    /// There is no proof of possession (DPoP, RFC 9449) beside a token that needs one, or it is not valid, or was used before.
    /// 401 `invalid_dpop_proof`.
    InvalidProof,
    /// The proof of possession has no nonce of this server, or an old one: the client repeats the request with the one in
    /// `DPoP-Nonce`. 401 `use_dpop_nonce`.
    NonceNeeded,
    /// The token is valid, but not for what this route does. 403 `insufficient_scope`.
    InsufficientScope,
    /// The token is valid, but its user must authenticate once more, or more strongly (RFC 9470). 401
    /// `insufficient_user_authentication`.
    InsufficientAuthentication,
    /// The store failed or did not answer in time. 503 `session_store_unavailable`.
    StoreUnavailable,
    /// The keys of the issuer could not be fetched: nothing is known of the token. 503 `issuer_keys_unavailable`.
    KeysUnavailable,
    /// The route is outside the adapter's bearer layer, or that layer has no store to ask: a bug in the application.
    /// 500 `bearer_layer_missing`.
    LayerMissing,
}

impl BearerRejectionKind {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The code in the body. Does not change between versions.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().1
    }

    /// Whether there is a challenge, and the error that it names. None is named to a request without a token (RFC 6750,
    /// section 3.1).
    pub(super) const fn challenge(self) -> Option<Option<&'static str>> {
        match self {
            Self::Missing => Some(None),
            Self::Malformed
            | Self::Invalid
            | Self::InvalidProof
            | Self::NonceNeeded
            | Self::InsufficientScope
            | Self::InsufficientAuthentication => Some(Some(self.code())),
            Self::StoreUnavailable | Self::KeysUnavailable | Self::LayerMissing => None,
        }
    }

    /// The body of the response, as `application/json`.
    #[must_use]
    pub fn body(self) -> String {
        error_body(self.code())
    }

    /// Status, code and text of each.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Missing => (401, "unauthenticated", "there is no access token"),
            Self::Malformed => (400, "invalid_request", "the Authorization header is repeated or unreadable"),
            Self::Invalid => (401, "invalid_token", "the access token is not valid"),
            Self::InvalidProof => (401, "invalid_dpop_proof", "the DPoP proof is missing or not valid"),
            Self::NonceNeeded => (401, "use_dpop_nonce", "the DPoP proof needs the nonce that is in DPoP-Nonce"),
            Self::InsufficientScope => {
                (403, "insufficient_scope", "the access token does not have the scope that is needed")
            }
            Self::InsufficientAuthentication => {
                let text = "the user must authenticate again, or more strongly";
                (401, "insufficient_user_authentication", text)
            }
            Self::StoreUnavailable => (503, "session_store_unavailable", "the session store failed"),
            Self::KeysUnavailable => {
                (503, "issuer_keys_unavailable", "the keys of the issuer of access tokens could not be fetched")
            }
            Self::LayerMissing => (500, "bearer_layer_missing", "no bearer layer with a store around this route"),
        }
    }
}

impl fmt::Display for BearerRejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().2)
    }
}

impl std::error::Error for BearerRejectionKind {}
