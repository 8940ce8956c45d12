//! What can go wrong: [`StoreError`] for backends, [`Error`] for applications.

use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::sync::Arc;

use crate::entropy::EntropyError;
use crate::model::data::ValueError;

/// The store failed. It says nothing about any session: unavailable is not absent.
///
/// Shows the backend, the operation and the kind; never an id, a user or a token. What the driver said is kept as
/// [`source`](StdError::source), which `Debug` shows too: a backend must not put a source there that quotes its parameters.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    backend: &'static str,
    operation: &'static str,
    detail: &'static str,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    is_unsent: bool,
}

/// What kind of failure a [`StoreError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached or refuses to work. Worth a retry.
    Unavailable,
    /// No answer in time; the operation may have been applied. Worth a retry.
    Timeout,
    /// What is stored cannot be understood. It was left as it is.
    Corrupt,
    /// The store's quota is used up. Nothing live was dropped to make room.
    Full,
    /// The operation is not possible with sessions that only their clients know.
    Unsupported,
    /// A cursor that this store did not make. Nothing failed; begin with the first page.
    InvalidCursor,
    /// Anything else.
    Other,
}

impl StoreErrorKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unavailable,
        Self::Timeout,
        Self::Corrupt,
        Self::Full,
        Self::Unsupported,
        Self::InvalidCursor,
        Self::Other,
    ];

    /// Its name in logs and metrics, in lower case: `unavailable`, `timeout`, `corrupt`, `full`, `unsupported`,
    /// `invalid_cursor`, `other`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Corrupt => "corrupt",
            Self::Full => "full",
            Self::Unsupported => "unsupported",
            Self::InvalidCursor => "invalid_cursor",
            Self::Other => "other",
        }
    }
}

impl StoreError {
    /// A failure; `detail` is fixed text without data of any session. Core adds the backend and the operation.
    #[must_use]
    pub fn new(kind: StoreErrorKind, detail: &'static str) -> Self {
        Self { kind, backend: "", operation: "", detail, source: None, is_unsent: false }
    }

    /// Nothing was sent to the store, so nothing was applied: there was no connection, or no place. Spares core the repetition
    /// of a write, and the end of a login that may have been stored.
    #[must_use]
    pub fn unsent(mut self) -> Self {
        self.is_unsent = true;
        self
    }

    /// Names what failed. For core, which knows it at every call.
    pub(crate) fn in_context(mut self, backend: &'static str, operation: &'static str) -> Self {
        (self.backend, self.operation) = (backend, operation);
        self
    }

    /// Keeps the driver's error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// The error and its causes, outermost first: for a log.
    pub(crate) fn with_causes(&self) -> String {
        [self.to_string()].into_iter().chain(causes(self)).collect::<Vec<_>>().join(": ")
    }

    /// Whether the operation may have been applied although it failed.
    pub(crate) fn may_be_applied(&self) -> bool {
        match self.kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Timeout | StoreErrorKind::Other => !self.is_unsent,
            StoreErrorKind::Corrupt
            | StoreErrorKind::Full
            | StoreErrorKind::Unsupported
            | StoreErrorKind::InvalidCursor => false,
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The operation that failed; empty in the hands of a backend.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Whether the same call may succeed if it is repeated.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Timeout => true,
            StoreErrorKind::Corrupt
            | StoreErrorKind::Full
            | StoreErrorKind::Unsupported
            | StoreErrorKind::InvalidCursor
            | StoreErrorKind::Other => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StoreErrorKind::Unavailable => "unavailable",
            StoreErrorKind::Timeout => "timed out",
            StoreErrorKind::Corrupt => "corrupt data",
            StoreErrorKind::Full => "full",
            StoreErrorKind::Unsupported => "not supported",
            StoreErrorKind::InvalidCursor => "invalid cursor",
            StoreErrorKind::Other => "failed",
        };
        for context in [self.backend, self.operation] {
            if !context.is_empty() {
                write!(f, "{context}: ")?;
            }
        }
        write!(f, "{kind}: {}", self.detail)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("backend", &self.backend)
            .field("operation", &self.operation)
            .field("detail", &self.detail)
            .field("causes", &causes(self))
            .finish_non_exhaustive()
    }
}

/// What led to `error`, outermost first.
fn causes(error: &StoreError) -> Vec<String> {
    iter::successors(StdError::source(error), |&error| error.source()).map(ToString::to_string).collect()
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Why a session operation did not happen. Nothing is half done: the stored session is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed. Answer 503, and change no cookie.
    #[error("the session store failed")]
    Store(#[from] StoreError),
    /// The session ended while the request was running (logout, revocation, login, expiry). Nothing was written.
    /// Answer 401.
    #[error("the session ended while the request was running; nothing was written")]
    Gone,
    /// The user has as many sessions as the limit allows, and the policy says to reject. Answer 409.
    #[error("the limit of concurrent sessions is reached; end another session first")]
    LimitReached,
    /// The application's [`VisitorGate`](crate::VisitorGate) lets this visitor begin no session. Nothing was stored. Answer 429.
    #[error("no session begins for this visitor now; nothing was stored")]
    VisitorRefused,
    /// The token was replaced by a newer one, which this client has or is being given. Answer 409; the same request
    /// with the newer cookie will do.
    #[error("the session token was renewed meanwhile; repeat the request with the current cookie")]
    Superseded,
    /// Another request changed the same value, and the policy forbids to overwrite it; or there was no end of
    /// concurrent writers. Nothing was written. Answer 409.
    #[error("another request changed the session at the same time; nothing was written, repeat the request")]
    Conflict,
    /// The operation needs a logged-in user. Answer 401.
    #[error("no user is logged in")]
    NotAuthenticated,
    /// A step-up named another user than the one logged in. A different user must log in. Answer 403.
    #[error("the session belongs to another user; a different user must log in")]
    WrongUser,
    /// A value would exceed the payload cap. Answer 413.
    #[error("the session data would have {size} bytes; the policy allows {max}")]
    TooLarge {
        /// Size with the new value, in bytes.
        size: usize,
        /// The cap of the policy, in bytes.
        max: usize,
    },
    /// A client-side session would not fit into its cookie. Nothing was changed. Answer 413.
    #[error(
        "the session cookie would have {size} bytes; the policy allows {max}. Store less, raise \
         CookiePolicyBuilder::size_limit if proxies let more pass, or keep sessions in a store"
    )]
    CookieTooLarge {
        /// Size of name and value, in bytes.
        size: usize,
        /// The [limit](crate::CookiePolicyBuilder::size_limit), in bytes.
        max: usize,
    },
    /// Step-up and regeneration of a client-side session that has no deny list: the cookie from before would stay good.
    /// Nothing was changed. Answer 501.
    #[error(
        "the cookie from before cannot be ended, so no other takes its place: give SessionManager::client_side a deny \
         list, or keep sessions in a store"
    )]
    NoDenyList,
    /// The session would hold more values than the policy allows. Answer 413.
    #[error("the session would hold {count} values; the policy allows {max}")]
    TooManyValues {
        /// Number of values with the new one.
        count: usize,
        /// The cap of the policy.
        max: usize,
    },
    /// A value could not be converted.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The response has been sent: the session cannot be changed any more.
    #[error("the response has been sent already; change the session before returning the response")]
    ResponseSent,
    /// The cursor of a page was not made by this store. Answer 400.
    #[error("the cursor is not one of this store; begin with the first page")]
    InvalidCursor,
    /// The random generator failed. Nothing was issued. Answer 503.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
