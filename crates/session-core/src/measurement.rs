//! What happens too often to be an event: [`Measurement`].

use std::time::Duration;

use crate::error::StoreErrorKind;

/// Something that is counted or timed, and of which nobody wants to know each: for metrics. What happens to a session, is an
/// [event](crate::Event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measurement {
    /// A request asked for its session.
    Opened(Opened),
    /// The store was asked, and answered, or did not within the store timeout. Of a write whose first answer was in doubt, the
    /// repetition is a part.
    StoreCall {
        /// The name of the store.
        store: &'static str,
        /// Which operation: the name of a method of [`SessionStore`](crate::store::SessionStore).
        operation: &'static str,
        /// How it failed, if it did.
        failure: Option<StoreErrorKind>,
        /// How long it took.
        took: Duration,
    },
    /// Another request was faster: a write met a version that it did not expect, and begins again.
    Conflict {
        /// The operation that met it.
        operation: &'static str,
    },
    /// Expired records were deleted from the store.
    Deleted {
        /// How many.
        records: u64,
    },
    /// The live sessions of the store were [counted](crate::SessionManager::count).
    Counted {
        /// How many there are.
        sessions: u64,
    },
}

/// What a request found that asked for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opened {
    /// A session with a user.
    User,
    /// A session without one.
    Visitor,
    /// None, or one that is over.
    Nothing,
    /// An error: the store failed, or the token was renewed meanwhile.
    Failed,
}

impl Opened {
    /// Its name in logs and metrics, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Visitor => "visitor",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
        }
    }
}
