//! When memory is freed: the store's own clock, and the thread that goes by it. Decides nothing about a session: core
//! does.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use session_core::Timestamp;

/// How long after its deadline a session may be freed. The deadline refers to a clock that can be adjusted, this
/// module's is monotonic: the slack covers small adjustments.
const SLACK: Duration = Duration::from_secs(5);

/// How often the thread wakes up.
const TICK: Duration = Duration::from_secs(1);

/// A monotonic clock that starts with the store.
pub(crate) struct Uptime(Instant);

impl Uptime {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Whole seconds since the start.
    pub(crate) fn seconds(&self) -> u32 {
        u32::try_from(self.0.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// The second from which a session with this deadline may be freed: its remaining time counts from now, whatever
    /// clock `now` was read from.
    pub(crate) fn free_at(&self, deadline: Timestamp, now: Timestamp) -> u32 {
        let lives = (self.0.elapsed() + deadline.since(now) + SLACK).as_secs();
        u32::try_from(lives.saturating_add(1)).unwrap_or(u32::MAX)
    }
}

/// Starts a thread that calls `tick` every second, until it breaks or the sending half of `stop` is dropped, which ends
/// the thread at once.
///
/// # Panics
/// If the operating system cannot create a thread.
pub(crate) fn spawn(stop: Receiver<()>, mut tick: impl FnMut() -> ControlFlow<()> + Send + 'static) {
    let run = move || {
        while matches!(stop.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) && tick().is_continue() {}
    };
    // Detached: the last handle may be dropped by this very thread, which could not join itself.
    if let Err(error) = thread::Builder::new().name("session-moka".to_owned()).spawn(run) {
        panic!("the session store cannot start the thread that frees its memory: {error}");
    }
}
