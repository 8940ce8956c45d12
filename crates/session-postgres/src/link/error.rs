//! From the driver's errors to [`StoreError`], without the parameters that they may quote.

use std::io;
use std::sync::Arc;

use session_core::{StoreError, StoreErrorKind};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The server's error code. Its message is dropped, because it may quote parameters, unless it is about a privilege:
/// that names the object.
#[derive(Debug, thiserror::Error)]
#[error(
    "SQLSTATE {state} ({}){}{}",
    class(state),
    if message.is_some() { ": " } else { "" },
    message.as_deref().unwrap_or_default()
)]
struct SqlState {
    state: String,
    message: Option<String>,
}

/// The pool had no connection.
#[derive(Debug, thiserror::Error)]
#[error("the pool has {0} connections, of which the store uses one less, to cancel from")]
struct PoolSize(u32);

/// No connection in time.
pub(crate) fn no_connection(pool_size: u32) -> StoreError {
    let detail = "no connection in time: the server is down or hangs, or the pool is too small";
    StoreError::new(StoreErrorKind::Unavailable, detail).with_source(PoolSize(pool_size)).unsent()
}

/// Translates an error of the driver. The operations of a batch share one.
pub(crate) fn store_error(error: impl Into<Arc<sqlx::Error>>) -> StoreError {
    let error = error.into();
    if let Some(state) = sql_state(&error) {
        let (kind, detail) = explain(&state);
        let message = privilege_message(&error);
        return StoreError::new(kind, detail).with_source(SqlState { state, message });
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "an enum of the driver, which grows")]
    let (kind, detail) = match &*error {
        sqlx::Error::PoolClosed => (StoreErrorKind::Unavailable, "the pool is closed"),
        sqlx::Error::Io(_) => (StoreErrorKind::Unavailable, "the server cannot be reached, or the connection broke"),
        sqlx::Error::Tls(_) => (StoreErrorKind::Unavailable, "the TLS handshake failed"),
        // A connection that breaks during the handshake ends in the middle of a message. The text may quote it.
        sqlx::Error::Protocol(_) => {
            let detail = "the connection broke, or the server is not PostgreSQL";
            return StoreError::new(StoreErrorKind::Unavailable, detail);
        }
        sqlx::Error::WorkerCrashed => (StoreErrorKind::Unavailable, "the tokio runtime of the store has ended"),
        // The others concern a value or a reply, and their text may quote it.
        _ => return StoreError::new(StoreErrorKind::Other, "the driver does not understand the server"),
    };
    StoreError::new(kind, detail).with_source(error)
}

/// A reply of another shape than our statements have.
pub(crate) fn unexpected_reply() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the schema answers something unexpected; is it ours?")
}

/// Whether other idle connections are probably of no use either: dead, or to a server that is a standby now.
pub(crate) fn is_connection_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_))
        || sql_state(error).is_some_and(|state| state.starts_with("57P") || state == "25006")
}

/// Whether the statement certainly had no effect, so that executing it again is safe even where it is not idempotent:
/// the server was shutting down or is read-only, the connection was closed before we wrote to it, or the transaction
/// was rolled back because of a serialization failure or a deadlock.
pub(crate) fn had_no_effect(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
        || sql_state(error).is_some_and(|state| state.starts_with("57P") || state.starts_with("40") || state == "25006")
}

/// Whether the server or the driver rejected one operation of a batch: the batch was rolled back, and the others may
/// succeed without it. Not so if it was cancelled, or the server has no resources: then each would fail, at 64 times
/// the cost.
pub(crate) fn is_rejection(error: &sqlx::Error) -> bool {
    match sql_state(error) {
        Some(state) => !["08", "25", "28", "3D", "3F", "53", "57", "58"].iter().any(|class| state.starts_with(class)),
        None => matches!(error, sqlx::Error::Encode(_)),
    }
}

/// Whether the server has answered with an error, after which the connection can be used again.
pub(crate) fn is_reply(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_))
}

/// Whether the server has said that it ends the connection.
pub(crate) fn is_farewell(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// What a privilege is missing for: such a message has no parameter but the name of an object.
fn privilege_message(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    let is_ours = error.code() == "42501" && error.routine().is_some_and(|routine| routine.starts_with("aclcheck"));
    is_ours.then(|| error.message().to_owned())
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// The codes that an operator can act on; see appendix A of the PostgreSQL manual.
fn explain(state: &str) -> (StoreErrorKind, &'static str) {
    match (state.get(..2).unwrap_or_default(), state) {
        (_, "53100") => (StoreErrorKind::Full, "the disk of the server is full"),
        (_, "57014") => (StoreErrorKind::Timeout, "the server cancelled the statement; see statement_timeout"),
        (_, "25006") => (StoreErrorKind::Unavailable, "the server is a standby, or read-only"),
        (_, "SE002") => (
            StoreErrorKind::Other,
            "the schema has a table `migration` of another application; choose another namespace",
        ),
        (_, "SE003") => (
            StoreErrorKind::Other,
            "the search_path leads to a schema of this name, so that it would hide tables of the application: choose \
             another namespace than the name of the role, or create the schema yourself",
        ),
        (_, "40001" | "40P01" | "55P03") => (StoreErrorKind::Unavailable, "a conflict between transactions"),
        (_, "SE001") => (StoreErrorKind::Other, "the isolation level must be READ COMMITTED"),
        (_, "42P07" | "42723") => {
            (StoreErrorKind::Other, "the schema has tables or functions of the same names that migrate has not created")
        }
        (_, "3F000" | "42P01" | "42883") => (StoreErrorKind::Other, "the schema does not exist; run the migrations"),
        (_, "42501") => (
            StoreErrorKind::Other,
            "the role lacks a privilege: USAGE on the schema, SELECT, INSERT, UPDATE, DELETE on session, EXECUTE on \
             the functions; to follow changes, SELECT on session_change and session_feed; to migrate, CREATE on the \
             database and ownership of what is there",
        ),
        (_, "26000" | "42P05") => (
            StoreErrorKind::Other,
            "a statement was prepared on another connection: behind a pooler in transaction mode, build the store with \
             `Pooler::Transaction`",
        ),
        (_, "08P01") => (StoreErrorKind::Unavailable, "the pooler refused, or lost the server; its log says why"),
        ("08" | "53" | "57", _) => (StoreErrorKind::Unavailable, "the server refuses connections at the moment"),
        ("28" | "3D", _) => (StoreErrorKind::Unavailable, "the server rejected our role or database"),
        _ => (StoreErrorKind::Other, "the server rejected the statement"),
    }
}

/// The class of the code, as the manual calls it.
fn class(state: &str) -> &'static str {
    match state.get(..2).unwrap_or_default() {
        "08" => "connection exception",
        "22" => "data exception",
        "23" => "integrity constraint violation",
        "25" => "invalid transaction state",
        "28" => "invalid authorization",
        "3D" => "invalid catalog name",
        "3F" => "invalid schema name",
        "40" => "transaction rollback",
        "42" => "syntax error or access rule violation",
        "53" => "insufficient resources",
        "54" => "program limit exceeded",
        "55" => "object not in prerequisite state",
        "57" => "operator intervention",
        "58" => "system error",
        "P0" => "raised by a function or trigger",
        "XX" => "internal error",
        _ => "see appendix A of the manual",
    }
}
