//! What the client library and the servers report: as a [`StoreError`], as a reason, and what is to be done about it.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};
use session_core::StoreError;
use session_core::StoreErrorKind::{Corrupt, Full, Other, Timeout, Unavailable};

/// The errors of which the server's text is kept: it names a command, a user of the server or a setting, and quotes nothing that was
/// sent. That of others may.
const TOLD: [&str; 6] = ["NOPERM", "NOAUTH", "OOM", "MISCONF", "NOREPLICAS", "CLUSTERDOWN"];

/// What the driver or the server reports. The driver's message quotes keys and arguments, so only its category and the
/// server's error code are kept, and the text of errors that [cannot](TOLD).
pub(super) fn from_driver(error: &RedisError) -> StoreError {
    let (code, text) = code_and_text(error);
    let code = code.as_str();
    let lost = needs_new_connection(error) || error.is_io_error();
    let (kind, detail) = match code {
        _ if error.is_timeout() => (Timeout, "a node did not answer in time"),
        "READONLY" => (Unavailable, "the server is a replica; sessions are written to the primary"),
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
    let text = text.filter(|_| TOLD.contains(&code)).unwrap_or_default();
    let parts = [error.category(), code, &text].map(str::trim).into_iter().filter(|part| !part.is_empty());
    StoreError::new(kind, detail).with_source(parts.collect::<Vec<_>>().join(" "))
}

/// The first word of the error reply; in a pipeline, of the first command that failed.
fn code(error: &RedisError) -> String {
    code_and_text(error).0
}

/// The same, and the rest of that reply.
fn code_and_text(error: &RedisError) -> (String, Option<String>) {
    let errors = error.clone().into_server_errors();
    let first = errors.iter().flat_map(|errors| errors.iter()).next();
    first.map_or_else(Default::default, |(_, error)| (error.code().to_owned(), error.details().map(str::to_owned)))
}

/// Whether the server can only be reached over a new connection. The request was not executed, or it is not known.
pub(super) fn needs_new_connection(error: &RedisError) -> bool {
    // READONLY: the primary has become a replica.
    error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Whether the server does not know the command, or not like this.
pub(super) fn is_refused(error: &RedisError) -> bool {
    code(error) == "ERR"
}

/// Whether the slot is being moved to another node of a Cluster: until it is there, a request that names keys which are
/// not all on one side cannot be executed.
pub(super) fn is_moving(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::TryAgain | ServerErrorKind::Ask | ServerErrorKind::Moved))
}

/// Whether the server says what a primary says that was cut off, and perhaps replaced.
pub(super) fn may_be_deposed(error: &RedisError) -> bool {
    code(error) == "NOREPLICAS" || error.kind() == ErrorKind::Server(ServerErrorKind::ClusterDown)
}

/// Why connecting failed. Quotes neither a password nor what a server says: servers quote what they were sent.
pub(super) fn explain(info: &ConnectionInfo, error: &RedisError) -> String {
    let code = error.code().unwrap_or_default();
    let what: &dyn fmt::Display = match code {
        "WRONGPASS" => &"refuses the user name or password (WRONGPASS)",
        "NOAUTH" => &"asks for a password (NOAUTH)",
        "NOPERM" => &"does not permit this user to connect (NOPERM)",
        "LOADING" => &"is loading its dataset (LOADING)",
        _ if error.kind() == ErrorKind::AuthenticationFailed => &"refuses the user name or password",
        _ if is_about_database(error) => &format_args!("has no database {}", info.redis_settings().db()),
        _ if error.is_timeout() => &"does not answer in time",
        _ if hangs_up(error) && matches!(info.addr(), ConnectionAddr::Tcp(..)) => {
            &"closes the connection; if it speaks TLS, the URL begins with rediss"
        }
        // What the operating system, the resolver or TLS says.
        _ if error.is_io_error() => error,
        _ => &format_args!("answers with an error: {} {code}", error.category()),
    };
    format!("{}: {what}", info.addr())
}

/// The same of commands that a user may lack the right to, or that a server may not have.
pub(super) fn explain_command(info: &ConnectionInfo, commands: &str, error: &RedisError) -> String {
    match code(error).as_str() {
        "NOPERM" => format!("{}: does not permit this user {commands} (NOPERM): grant it by ACL SETUSER", info.addr()),
        "ERR" => format!("{}: refuses {commands}", info.addr()),
        _ => explain(info, error),
    }
}

/// A command on a channel, with what an ACL has to have for it.
pub(super) fn on_channel(command: &str, channel: &[u8]) -> String {
    let channel = String::from_utf8_lossy(channel);
    format!("{command} on the channel {channel} (+{} &{channel})", command.to_lowercase())
}

/// Whether there was a connection, and the server closed it.
pub(super) fn hangs_up(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Whether the server does not have the database.
pub(super) fn is_about_database(error: &RedisError) -> bool {
    error.to_string().starts_with("Redis server refused to switch database")
}
