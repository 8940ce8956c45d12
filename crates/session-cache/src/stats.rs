//! [`CacheStats`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::cache::Cache;

/// What a cache did since it was made, and what it has now: for metrics. [`CachedStore::stats`](crate::CachedStore::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Loads that a copy answered.
    pub hits: u64,
    /// Loads that a copy would have been good enough for, and that the store answered.
    pub misses: u64,
    /// Answers of the store of which no copy was kept, because something was heard of their session meanwhile.
    pub refused_fills: u64,
    /// How many outages the feed had: its copies from before were then good for `max_stale` only.
    pub feed_losses: u64,
    /// How many copies there are.
    pub entries: u64,
    /// What they take, in bytes; an estimate.
    pub bytes: u64,
    /// Whether the feed is followed.
    pub feed: FeedState,
}

/// Whether a feed is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// The cache has none: a copy is good for `max_stale`.
    None,
    /// It has one that cannot be followed now, or not yet: the same holds. It costs speed and nothing else, so readiness must not
    /// depend on it; the log says why.
    Lost,
    /// It is followed.
    Live {
        /// How long ago what it has told ends. Grows to about a quarter of `max_stale` between two beats; above `max_stale`, it
        /// vouches for nothing, and counts as lost.
        lag: Duration,
    },
}

impl CacheStats {
    pub(crate) fn of(cache: &Cache, has_feed: bool) -> Self {
        let (entries, bytes) = cache.size();
        let feed = match cache.lag() {
            _ if !has_feed => FeedState::None,
            Some(lag) if lag <= cache.limits.max_stale => FeedState::Live { lag },
            Some(_) | None => FeedState::Lost,
        };
        let [hits, misses, refused_fills, feed_losses] =
            [&cache.counts.hits, &cache.counts.misses, &cache.counts.refused, &cache.counts.losses]
                .map(|count| count.load(Ordering::Relaxed));
        Self { hits, misses, refused_fills, feed_losses, entries, bytes, feed }
    }
}
