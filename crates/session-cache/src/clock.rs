//! The clocks of this machine.

use std::fmt;
use std::time::{Duration, Instant};

use crate::machine::Moment;

/// Where the cache reads the time.
pub(crate) trait Time: fmt::Debug + Send + Sync {
    fn now(&self) -> Moment;

    /// What is needed of it to tell how old something is.
    fn now_for_age(&self) -> Moment {
        self.now()
    }

    /// What the steady clock showed at `instant`.
    fn at(&self, instant: Instant) -> Duration;
}

/// Those of the operating system. On Linux and macOS, an `Instant` stands still while the machine is suspended.
#[derive(Debug)]
pub(crate) struct System {
    begin: Instant,
}

impl System {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now() }
    }
}

impl Time for System {
    fn now(&self) -> Moment {
        // In this order: stopped in between, it takes what it measures for older than it is, not for newer.
        let steady = self.begin.elapsed();
        Moment { steady, real: real() }
    }

    /// The clock that goes on while the machine is suspended is the steady one and all suspensions: by it, everything is as old or
    /// older. So the other need not be read.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn now_for_age(&self) -> Moment {
        Moment { steady: Duration::ZERO, real: real() }
    }

    fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.begin)
    }
}

/// A clock that nobody can set.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn real() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// The clock on the wall.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn real() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// Clocks that stand still until they are told to move.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Manual {
    begin: Instant,
    now: std::sync::Mutex<Moment>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
impl Manual {
    pub(crate) fn new() -> Self {
        let real = Duration::from_secs(86_400);
        Self { begin: Instant::now(), now: std::sync::Mutex::new(Moment { steady: Duration::from_secs(1), real }) }
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap();
        now.steady += by;
        now.real += by;
    }

    /// The machine sleeps.
    pub(crate) fn suspend(&self, by: Duration) {
        self.now.lock().unwrap().real += by;
    }

    pub(crate) fn instant(&self) -> Instant {
        self.begin + self.now.lock().unwrap().steady
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
impl Time for Manual {
    fn now(&self) -> Moment {
        *self.now.lock().unwrap()
    }

    fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.begin)
    }
}
