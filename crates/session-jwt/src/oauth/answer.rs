//! [`Answer`]: what is answered to a token request, for an adapter to turn into a response.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};
use session_core::adapter::{HeaderEdits, RejectionKind, SetCookie, token_edits};
use session_core::{Error, StoreErrorKind};

use super::attempt::Refusal;
use crate::dpop::proof::ProofError;
use crate::keys::external::SigningError;
use crate::token_service::TokenServiceError;
use crate::tokens::access_tokens::IssueError;

/// A response without types of a framework: status, JSON body and headers. `Debug` hides the body, which may hold tokens.
#[must_use]
pub struct Answer {
    status: u16,
    body: String,
    content_type: &'static str,
    /// For answers that are not secret: how long they may be kept.
    max_age: Option<Duration>,
    cookie: Option<SetCookie>,
    removed_cookies: Vec<SetCookie>,
    challenge: Option<&'static str>,
    retry_after: Option<Duration>,
    /// The next nonce for proofs of possession.
    nonce: Option<String>,
    /// What the browser signs next, for a session that is bound to a device.
    #[cfg(feature = "experimental-dbsc")]
    device_challenge: Option<String>,
}

impl Answer {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its body, and nothing else: it may hold tokens.
    #[must_use]
    pub fn into_body(self) -> String {
        self.body
    }

    /// `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// Headers whose values are not known beforehand: names are in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let challenge = self.challenge.map(|value| ("www-authenticate", value.to_owned()));
        let retry_after = self.retry_after.map(|after| ("retry-after", whole_seconds(after).to_string()));
        let caching = self.max_age.map(|age| ("cache-control", format!("public, max-age={}", age.as_secs())));
        let nonce = self.nonce.clone().map(|nonce| ("dpop-nonce", nonce));
        let headers = [challenge, retry_after, caching, nonce].into_iter();
        #[cfg(feature = "experimental-dbsc")]
        let headers = headers.chain([self.device_challenge.clone().map(|value| ("secure-session-challenge", value))]);
        headers.flatten()
    }

    /// The other headers: cookies, and that no cache keeps what may hold tokens.
    #[must_use]
    pub fn edits(&self) -> Option<HeaderEdits<'_>> {
        self.max_age.is_none().then(|| token_edits(self.cookie.as_ref(), &self.removed_cookies))
    }

    /// The body did not arrive, or is no body that can be read: 400 `invalid_request`.
    pub fn unreadable() -> Self {
        Refused::UNREADABLE.into()
    }

    /// The body is too long: 413 `invalid_request`.
    pub fn too_large() -> Self {
        Refused(413, "invalid_request", "the body is too long").into()
    }

    /// Token requests are `POST` (RFC 6749, section 3.2): 405 `invalid_request`.
    pub fn method_not_allowed() -> Self {
        Refused(405, "invalid_request", "the method is not one of this route").into()
    }

    /// The store, or the random generator, failed: 503 `temporarily_unavailable`.
    #[cfg(feature = "experimental-dbsc")]
    pub(crate) fn later() -> Self {
        Refused::LATER.into()
    }

    /// A bug in the application: 500 `server_error`.
    pub fn server_error() -> Self {
        Refused::SERVER.into()
    }

    #[cfg(feature = "experimental-dbsc")]
    pub(crate) fn with_device_challenge(self, challenge: String) -> Self {
        Self { device_challenge: Some(challenge), ..self }
    }

    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: body.to_string(),
            content_type: "application/json",
            max_age: None,
            cookie: None,
            removed_cookies: Vec::new(),
            challenge: None,
            retry_after: None,
            nonce: None,
            #[cfg(feature = "experimental-dbsc")]
            device_challenge: None,
        }
    }

    pub(super) fn document(body: String, content_type: &'static str, max_age: Duration) -> Self {
        Self { body, content_type, max_age: Some(max_age), ..Self::json(200, Value::Null) }
    }

    pub(crate) fn with_cookie(self, cookie: Option<SetCookie>, removed_cookies: Vec<SetCookie>) -> Self {
        Self { cookie, removed_cookies, ..self }
    }

    pub(super) fn with_nonce(self, nonce: Option<String>) -> Self {
        Self { nonce, ..self }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// At least one: `Retry-After: 0` invites what it is to prevent.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

/// A refusal that says the same to everybody: status, `error` and `error_description`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused(pub(super) u16, pub(super) &'static str, pub(super) &'static str);

impl Refused {
    pub(super) const UNREADABLE: Self =
        Self(400, "invalid_request", "the body is neither a form nor a JSON object, or lacks a parameter");
    pub(super) const REPEATED: Self = Self(400, "invalid_request", "a parameter is repeated");
    pub(super) const CLIENT_TWICE: Self =
        Self(400, "invalid_request", "the client names itself in two ways that do not agree");
    pub(super) const CREDENTIALS: Self = Self(400, "invalid_request", "the credentials are incomplete");
    pub(super) const NO_TOKEN: Self = Self(400, "invalid_request", "there is no token");
    pub(super) const GRANT_TYPE: Self =
        Self(400, "unsupported_grant_type", "the grant types of this server are password and refresh_token");
    pub(super) const NO_GRANT_TYPE: Self = Self(400, "invalid_request", "there is no grant_type");
    pub(super) const SCOPE: Self = Self(400, "invalid_scope", "the scope is malformed, or more than was granted");
    /// Of credentials and of refresh tokens alike.
    pub(super) const GRANT: Self =
        Self(400, "invalid_grant", "the credentials or the refresh token are not valid; log in again");
    pub(super) const CLIENT: Self = Self(401, "invalid_client", "the client is unknown, or did not authenticate");
    pub(super) const PROOF: Self = Self(400, "invalid_dpop_proof", "the DPoP proof is missing or not valid");
    pub(super) const NONCE: Self = Self(400, "use_dpop_nonce", "the DPoP proof needs the nonce that is in DPoP-Nonce");
    pub(super) const LATER: Self =
        Self(503, "temporarily_unavailable", "the server cannot answer now; repeat the request");
    pub(super) const SERVER: Self = Self(500, "server_error", "the server failed");
}

impl Refused {
    /// Whether it is about who the client is.
    pub(super) fn is_client(&self) -> bool {
        self.1 == Self::CLIENT.1
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        let Refused(status, error, description) = refused;
        let answer = Self::json(status, json!({ "error": error, "error_description": description }));
        // Beside another status, clients would not read the body.
        Self { challenge: (status == 401).then_some("Basic realm=\"token\""), ..answer }
    }
}

impl From<RejectionKind> for Refused {
    fn from(kind: RejectionKind) -> Self {
        let description = match kind.status() {
            403 => "another site made the browser send the request",
            421 => "the application does not answer for this host",
            _ => "the request was refused",
        };
        Self(kind.status(), kind.code(), description)
    }
}

impl From<&ProofError> for Refused {
    fn from(error: &ProofError) -> Self {
        if error.is_of_client() {
            Self::PROOF
        } else if matches!(error, ProofError::Nonce) {
            Self::NONCE
        } else {
            Self::LATER
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        TokenServiceError::from(error).into()
    }
}

impl From<TokenServiceError> for Refused {
    fn from(error: TokenServiceError) -> Self {
        match error {
            TokenServiceError::InvalidGrant | TokenServiceError::Issue(IssueError::SessionExpired) => Self::GRANT,
            TokenServiceError::InvalidScope => Self::SCOPE,
            TokenServiceError::Session(Error::LimitReached) => {
                Self(409, "session_limit_reached", "the limit of concurrent sessions is reached")
            }
            TokenServiceError::Session(Error::Conflict) => {
                Self(409, "session_conflict", "another request changed the session at the same time")
            }
            TokenServiceError::Session(Error::Store(error)) if error.kind() == StoreErrorKind::Unsupported => {
                Self::SERVER
            }
            TokenServiceError::Session(Error::Store(_) | Error::Entropy(_))
            | TokenServiceError::Issue(IssueError::Entropy(_) | IssueError::Signing(SigningError::Unavailable))
            | TokenServiceError::Accounts(_) => Self::LATER,
            // What remains is a bug in the application too.
            TokenServiceError::Audience | TokenServiceError::Session(_) | TokenServiceError::Issue(_) => Self::SERVER,
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, error, description, retry_after, members } = refusal;
        // The two cannot be members of the application's.
        let mut body: Map<String, Value> = members;
        body.insert("error".to_owned(), error.into());
        match description {
            Some(description) => body.insert("error_description".to_owned(), description.into()),
            None => body.remove("error_description"),
        };
        Self { retry_after, ..Self::json(status, Value::Object(body)) }
    }
}
