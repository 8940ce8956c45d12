//! Time as a value: [`Timestamp`], and the [`Clock`] it is read from.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, in milliseconds since the Unix epoch.
///
/// Arithmetic saturates: no deadline, however far away, overflows.
///
/// ```
/// use std::time::Duration;
/// use session_core::Timestamp;
///
/// let login = Timestamp::from_millis(1_000);
/// let deadline = login + Duration::from_secs(60);
/// assert_eq!(deadline.as_millis(), 61_000);
/// assert_eq!(deadline.since(login), Duration::from_secs(60));
/// assert_eq!(login.since(deadline), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// The latest representable moment.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `millis` milliseconds after the Unix epoch (before it, if negative).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this moment lies; zero if it does not lie after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        if millis <= 0 { Duration::ZERO } else { Duration::from_millis(millis as u64) }
    }
}

/// `duration` in whole milliseconds, saturating at `i64::MAX`.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// As RFC 3339 has it, in UTC and to the millisecond. A moment out of the years 1970 to 9999 is shown as the nearest in them.
///
/// ```
/// # use session_core::Timestamp;
/// assert_eq!(Timestamp::from_millis(1_767_225_600_123).to_string(), "2026-01-01T00:00:00.123Z");
/// ```
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: u64 = 253_402_300_799_999;
        let millis = u64::try_from(self.0).unwrap_or(0).min(LAST);
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).fmt(f)
    }
}

/// For the types of `time`, `chrono` and `jiff`, all of which convert from it.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// # use session_core::Timestamp;
/// let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(5);
/// assert_eq!(SystemTime::from(Timestamp::from_millis(5)), moment);
/// assert_eq!(Timestamp::from(moment), Timestamp::from_millis(5));
/// ```
impl From<Timestamp> for SystemTime {
    /// A moment that the operating system cannot represent becomes the epoch.
    fn from(Timestamp(millis): Timestamp) -> Self {
        let after = Duration::from_millis(millis.unsigned_abs());
        if millis < 0 { UNIX_EPOCH.checked_sub(after) } else { UNIX_EPOCH.checked_add(after) }.unwrap_or(UNIX_EPOCH)
    }
}

/// In whole milliseconds, rounded down.
impl From<SystemTime> for Timestamp {
    fn from(moment: SystemTime) -> Self {
        match moment.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration() + Duration::from_nanos(999_999))),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({} ms)", self.0)
    }
}

/// Where the library reads the time. It decides deadlines, so it must be a wall clock
/// that the servers of one deployment agree on to within a few seconds (NTP).
///
/// Nothing else in the library, and nothing in a backend, reads a clock to decide anything.
///
/// ```
/// use std::sync::Arc;
/// use session_core::{Clock, ManualClock, SessionManager, Timestamp};
///
/// let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(7))); // chosen at run time, say
/// # let store = Arc::new(session_conformance::ReferenceStore::new());
/// let sessions = SessionManager::builder(store).clock(clock).build();
/// assert_eq!(sessions.now(), Timestamp::from_millis(7));
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// A clock that was chosen at run time, or that is shared.
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The wall clock of the operating system; the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock set before 1970 reads as the epoch: sessions then look fresh, never expired early.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(millis(since_epoch))
    }
}

/// A clock that stands still until it is told to move: for tests of timeouts without sleeping.
///
/// Clones share the same time.
///
/// ```
/// use std::time::Duration;
/// use session_core::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_millis(5_000));
/// let shared = clock.clone();
/// shared.advance(Duration::from_secs(2));
/// assert_eq!(clock.now(), Timestamp::from_millis(7_000));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let now = self.0.load(Ordering::SeqCst);
        self.0.store(now.saturating_add(millis(by)), Ordering::SeqCst);
    }

    /// Sets the clock, also backwards: how tests imitate a clock that jumps.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// A clock that shows 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_millis(1_767_225_600_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
