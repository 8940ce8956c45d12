//! How long something may take: [`Patience`]. Says nothing about sessions, whose deadlines are a matter of the clock.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// A time limit that has begun.
#[derive(Clone, Copy)]
pub(super) struct Patience(Instant);

impl Patience {
    pub(super) fn begin(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// The result of `work`; `None` if it takes too long.
    pub(super) async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.0, work).await.ok()
    }
}
