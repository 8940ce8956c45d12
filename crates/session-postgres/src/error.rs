//! From the driver's errors to [`StoreError`], without what they may quote.

use std::io;
use std::sync::Arc;

use session_core::{StoreError, StoreErrorKind};

/// What the server answered: its code, and not its message, which may quote parameters.
#[derive(Debug, thiserror::Error)]
#[error("SQLSTATE {0}")]
struct SqlState(String);

pub(crate) fn store_error(kind: StoreErrorKind, operation: &'static str, detail: &'static str) -> StoreError {
    StoreError::new(kind, detail)
}

/// `error` may be that of several operations.
pub(crate) fn from_sqlx(operation: &'static str, error: Arc<sqlx::Error>) -> StoreError {
    if let Some(state) = sql_state(&error) {
        let (kind, detail) = explain(&state);
        return store_error(kind, operation, detail).with_source(SqlState(state));
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "an enum of the driver, which grows")]
    let (kind, detail) = match &*error {
        sqlx::Error::PoolTimedOut => {
            (StoreErrorKind::Unavailable, "no connection in time: the server is down, or the pool too small")
        }
        sqlx::Error::PoolClosed => (StoreErrorKind::Unavailable, "the pool is closed"),
        sqlx::Error::Io(_) => (StoreErrorKind::Unavailable, "the server cannot be reached, or the connection broke"),
        sqlx::Error::Tls(_) => (StoreErrorKind::Unavailable, "the server and we do not agree on TLS"),
        // A connection that breaks while it is being made ends in the middle of a message. The text may quote it.
        sqlx::Error::Protocol(_) => {
            let detail = "the connection broke, or what answers is not PostgreSQL";
            return store_error(StoreErrorKind::Unavailable, operation, detail);
        }
        // What else there is concerns a value or a reply, and its text may quote it.
        _ => return store_error(StoreErrorKind::Other, operation, "the driver does not understand the server"),
    };
    store_error(kind, operation, detail).with_source(error)
}

/// Whether other idle connections are probably dead too.
pub(crate) fn is_connection_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_)) || sql_state(error).is_some_and(|state| state.starts_with("57P"))
}

/// Whether certainly nothing was done, so that repeating the statement hides nothing from the caller: the server said that
/// it is shutting down, the connection was closed already when we wrote, or a conflict between transactions was resolved
/// at our expense.
pub(crate) fn was_not_executed(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
        || sql_state(error).is_some_and(|state| state.starts_with("57P") || state.starts_with("40"))
}

/// Whether the statement was not to the liking of the server or the driver. Nothing was done, and the connection is not
/// to blame.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_) | sqlx::Error::Encode(_)) && !is_connection_lost(error)
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// The codes an operator can do something about; see appendix A of the PostgreSQL manual.
fn explain(state: &str) -> (StoreErrorKind, &'static str) {
    match (state.get(..2).unwrap_or_default(), state) {
        (_, "53100") => (StoreErrorKind::Full, "the disk of the server is full"),
        (_, "57014") => (StoreErrorKind::Timeout, "the server cancelled the statement; see statement_timeout"),
        (_, "25006") => (StoreErrorKind::Unavailable, "the server is read-only; is it a standby?"),
        (_, "40001" | "40P01" | "55P03") => (StoreErrorKind::Unavailable, "a conflict between transactions"),
        (_, "SE001") => (StoreErrorKind::Other, "the isolation level must be READ COMMITTED"),
        (_, "3F000" | "42P01" | "42883") => (StoreErrorKind::Other, "the schema is not there; run the migrations"),
        (_, "42501") => (StoreErrorKind::Other, "the role may not use the schema"),
        (_, "08P01") => (StoreErrorKind::Unavailable, "the pooler refused, or lost the server; its log says why"),
        ("08" | "53" | "57", _) => (StoreErrorKind::Unavailable, "the server refuses connections at the moment"),
        ("28" | "3D", _) => (StoreErrorKind::Unavailable, "the server refused our role or database"),
        _ => (StoreErrorKind::Other, "the server refused the statement"),
    }
}
