//! What adapters to HTTP frameworks share, on bytes and plain types. Applications do not need it.
//!
//! An adapter shows requests as [`RequestHead`] and then
//! 1. asks [`OriginGuard::begin_request`] for the [`RequestSession`], and answers a [`RejectionKind`] itself;
//! 2. hands the session to the application's handlers, which load it when they ask for it;
//! 3. when there is a response, ends the request with [`RequestSession::finish`] (replacing the response by a rejection
//!    if that fails) and applies the [edits](ResponseHeaders::edits) to the headers.
//!
//! [`LoginPage`] leads visitors to a login; the way back is checked with [`safe_next`].
//!
//! For access tokens it verifies the [`bearer_token`], and answers a [`BearerRejectionKind`] if there is no valid one.

mod challenge;
mod context;
mod guard;
mod next;
mod origin;
mod plain_http;
mod rejection;
pub(crate) mod remedy;
mod request;
mod tokens;

pub use challenge::{Challenge, ChallengeError, Requirement};
pub use context::{RequestInfo, report_refusal};
pub use guard::{Enforcement, MissingOrigin, OriginGuard};
pub use next::{LoginPage, LoginPageError, safe_next};
pub use origin::OriginError;
pub use rejection::{BearerRejectionKind, RejectionKind, error_body};
pub use remedy::Remedy;
pub use request::{
    Finish, HeaderEdit, HeaderEdits, RequestHead, RequestSession, ResponseHeaders, handle_of, require_fresh,
    require_user, vary,
};
pub use tokens::{TokenScheme, TokenTransport, bearer_token, presented_token, token_edits};

pub use crate::policy::cookie::{PresentedCookie, SetCookie};
