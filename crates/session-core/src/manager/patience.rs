//! How long something may take, [`Patience`], and took, [`Stopwatch`]. Says nothing about sessions, whose deadlines are a matter of the clock.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Longer than a process runs.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A time limit that has begun.
#[derive(Clone, Copy)]
pub(super) struct Patience(Instant);

impl Patience {
    pub(super) fn begin(limit: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(limit).unwrap_or(now + FOREVER))
    }

    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// The result of `work`; `None` if it takes too long.
    pub(super) async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.0, work).await.ok()
    }
}

/// Measures how long something takes.
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn read(&self) -> Duration {
        self.0.elapsed()
    }
}
