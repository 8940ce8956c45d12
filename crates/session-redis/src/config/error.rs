//! Why a store could not be opened: [`ConnectError`].

use std::error::Error as _;
use std::fmt;

use session_core::StoreError;

/// Why a store could not be opened. Never quotes the URL, which may contain a password. `Debug` is `Display`, which says what to
/// do: it is what a `main` prints that returns it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is invalid.
    #[error(
        "invalid URL; expected redis://[user:password@]host[:port][/db], \
         redis+sentinel://[user:password@]host[:port],…/service[?db=…&sentinel_user=…&sentinel_password=…], \
         or redis+cluster://[user:password@]host[:port],…"
    )]
    Url,
    /// The URL asks for something that there is not, or that would be ignored.
    #[error("the URL cannot be obeyed: {0}")]
    Parameter(&'static str),
    /// The URL asks for TLS, which is not available.
    #[error(
        "TLS is not available: enable the feature `tls-rustls`, and install a rustls CryptoProvider as the default of \
         the process before the store is opened"
    )]
    Tls,
    /// A certificate or its key is invalid.
    #[error("a certificate or its key is invalid; expected PEM")]
    Certificate,
    /// The time limit is out of range.
    #[error("the time limit of an operation must be more than zero and at most a minute")]
    OperationTimeout,
    /// There is no tokio runtime to connect in.
    #[error("the store must be opened inside a tokio runtime")]
    NoRuntime,
    /// The server cannot be reached, does not let the application in, or is not what the URL says. The text names
    /// which.
    #[error("redis: cannot connect: {}", reason(.0))]
    Unavailable(#[from] StoreError),
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn reason(error: &StoreError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
