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
        let (hits, misses) = cache.looked_up();
        let [refused_fills, feed_losses] =
            [&cache.counts.refused, &cache.counts.losses].map(|count| count.load(Ordering::Relaxed));
        Self { hits, misses, refused_fills, feed_losses, entries, bytes, feed }
    }
}

#[cfg(feature = "metrics")]
impl CacheStats {
    /// Sets the metrics of a cache in the recorder of the facade [`metrics`](https://docs.rs/metrics) that is installed, version
    /// 0.24. What there is, is said in [the manual](session_core::manual::observing#the-cache). Call it before each scrape, or
    /// every few seconds: a cache that is only read does no work for them.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub fn publish(&self) {
        use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

        let counters = [
            ("session_cache_hits_total", self.hits, "Loads that a copy answered"),
            (
                "session_cache_misses_total",
                self.misses,
                "Loads that a copy would have been good enough for, and that the store answered",
            ),
            (
                "session_cache_refused_fills_total",
                self.refused_fills,
                "Answers of the store of which no copy was kept, because their session had changed meanwhile",
            ),
            ("session_cache_feed_losses_total", self.feed_losses, "How often the feed lost the thread"),
        ];
        for (name, value, help) in counters {
            describe_counter!(name, Unit::Count, help);
            counter!(name).absolute(value);
        }
        let (is_live, lag) = match self.feed {
            FeedState::None | FeedState::Lost => (0.0, f64::NAN),
            FeedState::Live { lag } => (1.0, lag.as_secs_f64()),
        };
        let gauges = [
            ("session_cache_entries", self.entries as f64, Unit::Count, "Copies of sessions"),
            ("session_cache_size_bytes", self.bytes as f64, Unit::Bytes, "What the copies take; an estimate"),
            ("session_cache_feed_live", is_live, Unit::Count, "1 while the feed is followed, else 0"),
            (
                "session_cache_feed_lag_seconds",
                lag,
                Unit::Seconds,
                "How long ago what the feed has told ends; NaN while it is not followed",
            ),
        ];
        for (name, value, unit, help) in gauges {
            describe_gauge!(name, unit, help);
            gauge!(name).set(value);
        }
    }
}
