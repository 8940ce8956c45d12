//! [`Follower`]: the task that listens to a feed.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::store::{Feed, FeedEvent};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::cache::Cache;

/// The shortest time between two beats, and the longest: the second beat after a loss is the first that vouches for anything.
const BEATS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Follows a feed, in the runtime of the first call of the store; if that runtime ends, in that of the next call. Dropped with
/// the last handle on the store, it stops.
pub(crate) struct Follower {
    place: Arc<Place>,
    task: Mutex<Option<AbortHandle>>,
}

/// Where the feed waits while nobody follows it.
struct Place {
    feed: Mutex<Option<Box<dyn Feed>>>,
    is_waiting: AtomicBool,
    cache: Arc<Cache>,
    beat: Duration,
}

impl Follower {
    pub(crate) fn new(feed: Option<Box<dyn Feed>>, cache: Arc<Cache>) -> Self {
        let beat = (cache.limits.max_stale / 4).clamp(BEATS.0, BEATS.1);
        let is_waiting = AtomicBool::new(feed.is_some());
        let place = Place { feed: Mutex::new(feed), is_waiting, cache, beat };
        Self { place: Arc::new(place), task: Mutex::new(None) }
    }

    /// Sees to it that the feed is followed. Costs the load of an atomic if it is, or if there is none. Outside of a runtime, as
    /// in code that polls a future by itself, it waits for a call inside one.
    pub(crate) fn ensure(&self) {
        if !self.place.is_waiting.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let mut task = lock(&self.task);
        if let Some(feed) = self.place.take() {
            *task = Some(runtime.spawn(follow(feed)).abort_handle());
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("is_waiting", &self.place.is_waiting).finish_non_exhaustive()
    }
}

impl Place {
    fn take(self: &Arc<Self>) -> Option<Taken> {
        let feed = lock(&self.feed).take()?;
        self.is_waiting.store(false, Ordering::Release);
        Some(Taken { feed: Some(feed), place: Arc::clone(self) })
    }
}

async fn follow(mut taken: Taken) {
    let Taken { feed: Some(feed), place } = &mut taken else { return };
    loop {
        let event = feed.next(place.beat).await;
        place.cache.heard(event);
    }
}

/// A feed that is followed. When its task ends, with its runtime or by a panic, it goes back, and is lost until then.
struct Taken {
    feed: Option<Box<dyn Feed>>,
    place: Arc<Place>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.place.cache.heard(FeedEvent::Lost);
        *lock(&self.place.feed) = self.feed.take();
        self.place.is_waiting.store(true, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
