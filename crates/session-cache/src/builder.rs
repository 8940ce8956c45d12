//! [`CachedStoreBuilder`].

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{Feed, FollowError, SessionStore};

use crate::cache::Cache;
use crate::clock::{System, Time};
use crate::follow::Follower;
use crate::machine::Limits;
use crate::store::CachedStore;

/// How long a copy may be used if nothing else is said.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Below this, almost nothing is read from a copy; beyond the other, a logout elsewhere takes long to be obeyed when all fails.
const SENSIBLE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

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
    /// that has not heard of that. Seconds; less than a tenth of one, or more than ten minutes, is logged as a mistake. Zero keeps
    /// no copies.
    pub fn builder(store: S, max_stale: Duration) -> CachedStoreBuilder<S> {
        let limits = Limits { max_stale, max_age: MAX_AGE.max(max_stale) };
        CachedStoreBuilder { store, limits, capacity: CAPACITY, feed: None, time: Arc::new(System::new()) }
    }
}

impl<S: SessionStore> CachedStoreBuilder<S> {
    /// How long after its load a copy may be used, whatever the feed says: 60 seconds by default, or `max_stale` if that is
    /// longer. A feed does not tell what somebody did to the store by hand, nor what a server dropped because its memory was full.
    /// Without a feed, or while it is lost, the shorter of the two counts.
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

    /// Listens to what the store tells of the writes of other processes. A copy may then be used for longer than `max_stale`, and
    /// what ended elsewhere is known here within milliseconds. Without effect on a store that cannot tell.
    ///
    /// It is followed by a task in the runtime in which the cache is built, or else in that of its first call. If that runtime
    /// ends, it is lost until the next call, and followed in the runtime of that one. The task ends with the last handle on the
    /// store.
    ///
    /// # Errors
    /// [`FollowError`], if the store could tell, but was not opened for that.
    pub fn follow(mut self) -> Result<Self, FollowError> {
        self.feed = self.store.follow()?;
        Ok(self)
    }

    /// The same with a feed of your own, for a store that does not [bring one](SessionStore::follow). **It must be that of this
    /// very store**, of the same server and namespace: another one vouches for what it does not hear of, and then a logout is
    /// obeyed after `max_age`.
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
        if !SENSIBLE.contains(&self.limits.max_stale) {
            tracing::warn!(max_stale = ?self.limits.max_stale, "a cache of sessions with a strange `max_stale`: seconds are usual");
        }
        let cache = Arc::new(Cache::new(self.limits, self.capacity, self.time));
        let follower = Follower::new(self.feed, Arc::clone(&cache));
        follower.ensure();
        CachedStore::with(self.store, cache, follower, has_feed)
    }
}
