//! What all servers share: their error, unique names, and waiting.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// A server could not be found, installed, started or queried. The message says which and why, with the end of its log.
#[derive(Debug)]
pub struct ServerError(String);

impl ServerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// For `map_err`: what was tried, and the error.
    pub(super) fn of<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

/// A unique name for a key prefix or a schema: `t_` and 16 hexadecimal digits.
#[must_use]
pub fn namespace() -> String {
    format!("t_{:016x}", random())
}

/// Different in every call, in every process.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Runs blocking work on a thread of its own, where it does not hold up the tasks of a test.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, ServerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ServerError::of("the testbed failed")(error)),
    }
}

/// Retries until the attempt succeeds.
pub(super) fn wait_for<T, E: fmt::Display>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, ServerError> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(why) if start.elapsed() > limit => {
                return Err(ServerError::new(format!("{what}: not within {} s: {why}", limit.as_secs())));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
