//! The failures of this backend, as a [`StoreError`]. Core adds the names of the store and of the operation.

use session_core::StoreError;
use session_core::StoreErrorKind::{Other, Timeout, Unavailable};

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

pub(crate) fn not_connected(reason: &str) -> StoreError {
    StoreError::new(Unavailable, "there is no connection to the server").with_source(reason)
}

pub(crate) fn timed_out() -> StoreError {
    StoreError::new(Timeout, "no answer in time; the operation may still be executed")
}

pub(crate) fn unconfirmed() -> StoreError {
    StoreError::new(Timeout, "the write was executed, but too few replicas confirmed it in time")
}

/// Not a conflict: core would answer that by applying the change again.
pub(crate) fn ambiguous() -> StoreError {
    StoreError::new(Unavailable, "the session has changed; the write may have been executed before a disconnect")
}

/// What had been done before is not undone.
pub(crate) fn half_done(error: &StoreError) -> StoreError {
    StoreError::new(error.kind(), "the new session is stored; whether the one that it replaces has ended is not known")
}

pub(crate) fn contended() -> StoreError {
    StoreError::new(Unavailable, "the user's sessions kept changing")
}

pub(crate) fn runtime_is_gone() -> StoreError {
    StoreError::new(Unavailable, "the tokio runtime is shut down")
}

pub(crate) fn unexpected_reply() -> StoreError {
    StoreError::new(Other, "the server's reply was not understood")
}

pub(crate) fn foreign_id() -> StoreError {
    StoreError::new(Other, "the id was not generated for this user")
}
