//! Every failure of this backend, as a [`StoreError`]. Core adds the names of the store and of the operation.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use session_core::StoreError;
use session_core::StoreErrorKind::{Corrupt, Full, Other, Timeout, Unavailable};

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// What the driver or the server reports. The driver's message quotes keys and arguments, so only its category and the
/// server's error code are kept.
pub(crate) fn from_driver(error: &RedisError) -> StoreError {
    // The first word of the error reply; in a pipeline, of the first command that failed.
    let errors = error.clone().into_server_errors();
    let code = errors.iter().flat_map(|errors| errors.iter()).next().map_or("", |(_, error)| error.code());
    let lost = needs_new_connection(error) || error.is_io_error();
    let (kind, detail) = match code {
        _ if error.is_timeout() => (Timeout, "a node did not answer in time"),
        _ if lost => (Unavailable, "the connection was lost; the operation may have been executed"),
        "CORRUPT" => (Corrupt, "the record has a format this version does not know; is a newer version deployed?"),
        "OOM" => (Full, "the server has reached its maxmemory"),
        "LOADING" => (Unavailable, "the server is still loading its dataset"),
        "MISCONF" => (Unavailable, "the server refuses writes because it cannot save its dataset"),
        "NOREPLICAS" => (Unavailable, "the server refuses writes because it has too few replicas"),
        "BUSY" => (Unavailable, "the server is busy with a script"),
        "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK" => (Unavailable, "the Cluster is reconfiguring"),
        "NOAUTH" | "NOPERM" => (Other, "the server's ACL does not permit this"),
        _ => (Other, "the server answered with an error"),
    };
    StoreError::new(kind, detail).with_source(format!("{} {code}", error.category()))
}

/// Whether the server can only be reached over a new connection. The request was not executed, or it is not known.
pub(crate) fn needs_new_connection(error: &RedisError) -> bool {
    // READONLY: the primary has become a replica.
    error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

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
