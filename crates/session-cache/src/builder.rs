//! [`CachedStoreBuilder`].

use std::sync::Arc;
use std::time::Duration;

use session_core::store::{Feed, SessionStore};

use crate::cache::Cache;
use crate::clock::{System, Time};
use crate::follow::Follower;
use crate::machine::Limits;
use crate::store::CachedStore;

/// How long a copy may be used if nothing else is said.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What copies may take if nothing else is said, in bytes.
const CAPACITY: u64 = 64 << 20;

/// How a [`CachedStore`] is to be. Made by [`CachedStore::builder`].
#[derive(Debug)]
#[must_use]
pub struct CachedStoreBuilder<S> {
    store: S,
    limits: Limits,
    capacity: u64,
    feed: Option<Box<dyn Feed>>,
    time: Arc<dyn Time>,
}

impl<S: SessionStore> CachedStore<S> {
    /// Begins with a store, and with what has no default: how long after its end a session may still be given by a process
    /// that has not heard of that.
    pub fn builder(store: S, max_stale: Duration) -> CachedStoreBuilder<S> {
        let limits = Limits { max_stale, max_age: MAX_AGE.max(max_stale) };
        CachedStoreBuilder { store, limits, capacity: CAPACITY, feed: None, time: Arc::new(System::new()) }
    }
}

impl<S: SessionStore> CachedStoreBuilder<S> {
    /// How long after its load a copy may be used, whatever the feed says: 60 seconds by default, or `max_stale` if that is
    /// longer. A feed does not tell what somebody did to the store by hand, nor what a server dropped because its memory was full.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.limits.max_age = max_age;
        self
    }

    /// What copies may take, in bytes: 64 MiB by default, which is room for some 50,000 sessions with few values. A copy counts
    /// as 1000 bytes and what was read from the store. It is an estimate, and may be exceeded for moments.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// What tells of the writes of other processes: the feed of the store. With it, a copy may be used for longer than
    /// `max_stale`, and what ended elsewhere is known here within milliseconds.
    ///
    /// It is followed by a task in the runtime of the first call of the store. If that runtime ends, it is lost until the next
    /// call, and followed in the runtime of that one. The task ends with the last handle on the store.
    pub fn feed(mut self, feed: Box<dyn Feed>) -> Self {
        self.feed = Some(feed);
        self
    }

    #[cfg(test)]
    pub(crate) fn time(mut self, time: Arc<dyn Time>) -> Self {
        self.time = time;
        self
    }

    /// The store, with an empty cache.
    #[must_use]
    pub fn build(self) -> CachedStore<S> {
        let has_feed = self.feed.is_some();
        // What may not be given any more need not be kept.
        let kept = if has_feed { self.limits.max_age } else { self.limits.max_stale.min(self.limits.max_age) };
        let cache = Arc::new(Cache::new(self.limits, self.capacity, kept, self.time));
        let follower = Follower::new(self.feed, Arc::clone(&cache));
        CachedStore::with(self.store, cache, follower, has_feed)
    }
}
