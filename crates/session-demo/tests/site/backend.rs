//! [`Backend`].

/// The kind of store that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Redis,
    Postgres,
    Sqlite,
}
