//! How long something may take, [`Patience`], and took, [`Stopwatch`]; how long to wait after a conflict, [`Backoff`]. Says nothing about sessions, whose deadlines are a matter of the clock.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

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
        self.left().is_zero()
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
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

/// A try is not counted as shorter than what a timer can measure out.
const SHORTEST_TRY: Duration = Duration::from_millis(1);

/// The tries of a write that others race for. The pauses between them are measured in tries, not in milliseconds: on a slow store
/// or a busy machine, writers that pause for less than a try takes meet again at once.
pub(super) struct Backoff {
    patience: Patience,
    conflicts: u32,
    /// When the try began that is under way.
    tried: Instant,
}

impl Backoff {
    /// The first try begins; the last one within `limit`.
    pub(super) fn begin(limit: Duration) -> Self {
        Self { patience: Patience::begin(limit), conflicts: 0, tried: Instant::now() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.patience.is_over()
    }

    /// Waits after a conflict, for a `random` part of 2, 4, 8, then 16 tries, so that nodes do not collide in step; of a quarter
    /// of the time that is left at most, so that whoever lost most does not wait longest.
    pub(super) async fn wait(&mut self, random: u8) {
        self.conflicts += 1;
        let tries = self.tried.elapsed().max(SHORTEST_TRY).saturating_mul(1 << self.conflicts.min(4));
        sleep(tries.min(self.patience.left() / 4) * u32::from(random) / 255).await;
        self.tried = Instant::now();
    }
}
