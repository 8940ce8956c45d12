//! From the driver's errors to [`StoreError`], without the parameters that they may quote.

use std::io;
use std::sync::Arc;

use session_core::{StoreError, StoreErrorKind};

/// The server's error code. Its message is dropped: it may quote parameters.
#[derive(Debug, thiserror::Error)]
#[error("SQLSTATE {0}")]
struct SqlState(String);

/// Translates an error of the driver. The operations of a batch share one.
pub(crate) fn store_error(error: impl Into<Arc<sqlx::Error>>) -> StoreError {
    let error = error.into();
    if let Some(state) = sql_state(&error) {
        let (kind, detail) = explain(&state);
        return StoreError::new(kind, detail).with_source(SqlState(state));
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "an enum of the driver, which grows")]
    let (kind, detail) = match &*error {
        sqlx::Error::PoolTimedOut => {
            (StoreErrorKind::Unavailable, "no connection in time: the server is down, or the pool too small")
        }
        sqlx::Error::PoolClosed => (StoreErrorKind::Unavailable, "the pool is closed"),
        sqlx::Error::Io(_) => (StoreErrorKind::Unavailable, "the server cannot be reached, or the connection broke"),
        sqlx::Error::Tls(_) => (StoreErrorKind::Unavailable, "the TLS handshake failed"),
        // A connection that breaks during the handshake ends in the middle of a message. The text may quote it.
        sqlx::Error::Protocol(_) => {
            let detail = "the connection broke, or the server is not PostgreSQL";
            return StoreError::new(StoreErrorKind::Unavailable, detail);
        }
        // The others concern a value or a reply, and their text may quote it.
        _ => return StoreError::new(StoreErrorKind::Other, "the driver does not understand the server"),
    };
    StoreError::new(kind, detail).with_source(error)
}

/// A reply of another shape than our statements have.
pub(crate) fn unexpected_reply() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the schema answers something unexpected; is it ours?")
}

/// Whether other idle connections are probably dead too.
pub(crate) fn is_connection_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_)) || sql_state(error).is_some_and(|state| state.starts_with("57P"))
}

/// Whether the statement certainly had no effect, so that executing it again is safe even where it is not idempotent:
/// the server was shutting down, the connection was closed before we wrote to it, or the transaction was rolled back
/// because of a serialization failure or a deadlock.
pub(crate) fn had_no_effect(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
        || sql_state(error).is_some_and(|state| state.starts_with("57P") || state.starts_with("40"))
}

/// Whether the server or the driver rejected the statement itself: it was rolled back, and the connection is sound.
pub(crate) fn is_rejection(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_) | sqlx::Error::Encode(_)) && !is_connection_lost(error)
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// The codes that an operator can act on; see appendix A of the PostgreSQL manual.
fn explain(state: &str) -> (StoreErrorKind, &'static str) {
    match (state.get(..2).unwrap_or_default(), state) {
        (_, "53100") => (StoreErrorKind::Full, "the disk of the server is full"),
        (_, "57014") => (StoreErrorKind::Timeout, "the server cancelled the statement; see statement_timeout"),
        (_, "25006") => (StoreErrorKind::Unavailable, "the server is read-only; is it a standby?"),
        (_, "40001" | "40P01" | "55P03") => (StoreErrorKind::Unavailable, "a conflict between transactions"),
        (_, "SE001") => (StoreErrorKind::Other, "the isolation level must be READ COMMITTED"),
        (_, "3F000" | "42P01" | "42883") => (StoreErrorKind::Other, "the schema does not exist; run the migrations"),
        (_, "42501") => (StoreErrorKind::Other, "the role lacks a privilege on the schema"),
        (_, "08P01") => (StoreErrorKind::Unavailable, "the pooler refused, or lost the server; its log says why"),
        ("08" | "53" | "57", _) => (StoreErrorKind::Unavailable, "the server refuses connections at the moment"),
        ("28" | "3D", _) => (StoreErrorKind::Unavailable, "the server rejected our role or database"),
        _ => (StoreErrorKind::Other, "the server rejected the statement"),
    }
}
