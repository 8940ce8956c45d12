//! [`Patience`]: how long to try for a lock, or to go on.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::error::is_busy;

/// Shorter than SQLite's own pauses, which grow to 100 ms: between two transactions of a busy process, the lock is free
/// for some microseconds, and whoever looks seldom never gets it.
const PAUSE: Duration = Duration::from_millis(1);

/// The pause between two transactions of a clean-up. Without it, a million sessions make the slowest hundredth of loads 1.6
/// times as slow meanwhile.
pub(crate) const BREATH: Duration = Duration::from_millis(3);

/// What is left of a time.
pub(crate) struct Patience(Pin<Box<Sleep>>);

impl Patience {
    pub(crate) fn new(time: Duration) -> Self {
        Self(Box::pin(sleep(time)))
    }

    /// `result`, unless another connection holds the lock and there is time left: then `None`, after a pause.
    pub(crate) async fn unless_over<T>(&mut self, result: Result<T, sqlx::Error>) -> Option<Result<T, sqlx::Error>> {
        match result {
            Err(error) if is_busy(&error) => self.is_over_after(PAUSE).await.then_some(Err(error)),
            result => Some(result),
        }
    }

    /// Whether the time is over: now, or before the end of this pause.
    pub(crate) async fn is_over_after(&mut self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = &mut self.0 => true,
            () = sleep(pause) => false,
        }
    }
}
