//! From the driver's errors to [`StoreError`]. SQLite's messages name tables and columns, never a value.

use session_core::{StoreError, StoreErrorKind};

/// Whoever opened the file when it was read-only has left `-wal` and `-shm` that are so, too.
pub(super) const READ_ONLY: &str =
    "the file or its folder is read-only, or what is beside the file is, -wal or -shm; let this user write all of them";

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const IO: i32 = 10;
const FULL: i32 = 13;

/// Another connection holds the lock.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(BUSY | LOCKED))
}

/// The disk or the quota has no room.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    code(error) == Some(FULL)
}

/// So it may be: a quota of the file system, or a limit of this process, looks like any failure to write.
pub(crate) fn lacks_room(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(IO | FULL))
}

/// Translates an error of the driver, which is its source.
pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    let (kind, detail) = match code(&error) {
        Some(code) => explain(code),
        None => explain_driver(&error),
    };
    StoreError::new(kind, detail).with_source(error)
}

/// The store was closed, or its thread has ended.
pub(crate) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the store is closed; open it again").unsent()
}

/// No answer in time, for a reason that SQLite has not told.
pub(crate) fn no_answer() -> StoreError {
    let detail = "no answer in time: the disk is slow or hangs, or another process holds the lock of the file";
    StoreError::new(StoreErrorKind::Timeout, detail)
}

/// A path that names no file that could be opened.
pub(crate) fn refused_path(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Other, detail).unsent()
}

/// A row of another shape than ours have. Not `Corrupt`: that is one record, this is the table.
pub(crate) fn unexpected_reply() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "a row has another shape than ours: somebody has changed the table")
}

/// The primary result code of SQLite.
fn code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// See <https://www.sqlite.org/rescode.html>. None is `Corrupt`, which core takes for a record that cannot be read, and
/// makes its client a visitor: a damaged file would log everybody out.
fn explain(code: i32) -> (StoreErrorKind, &'static str) {
    match code {
        BUSY | LOCKED => (
            StoreErrorKind::Unavailable,
            "another process holds the lock of the file: a transaction of it takes long, or it hangs; end it",
        ),
        3 | 23 => (StoreErrorKind::Unavailable, "access to the file is denied; give this user the right to write it"),
        7 => (StoreErrorKind::Unavailable, "SQLite has no memory left"),
        8 => (StoreErrorKind::Unavailable, READ_ONLY),
        IO => (
            StoreErrorKind::Unavailable,
            "the operating system failed to read or write the file: look at the disk, its quota, and limits of this process",
        ),
        11 => (
            StoreErrorKind::Unavailable,
            "the file is damaged; restore a backup, or move it away to begin without sessions",
        ),
        FULL => (StoreErrorKind::Full, "the disk has no room, or the file has reached its size limit; make room"),
        14 => (
            StoreErrorKind::Unavailable,
            "the file cannot be opened: is it a file, is its folder there, and may this user write both?",
        ),
        26 => (StoreErrorKind::Unavailable, "the file is not a database of SQLite; give another path, or move it away"),
        _ => (
            StoreErrorKind::Other,
            "SQLite refused a statement: a table of the store is missing or was changed; restore a backup",
        ),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of the driver, which grows")]
fn explain_driver(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
    match error {
        sqlx::Error::WorkerCrashed => (StoreErrorKind::Unavailable, "the thread of a connection has ended"),
        sqlx::Error::Io(_) => (StoreErrorKind::Unavailable, "the file cannot be opened: the path must be UTF-8"),
        _ => (StoreErrorKind::Other, "the driver does not understand SQLite"),
    }
}
