//! The metrics of a cache.

use std::time::Duration;

use session_cache::CachedStore;
use session_conformance::ReferenceStore;
use session_core::store::{Freshness, SessionStore as _};
use session_testbed::records::{NOW, insert, record};

use crate::bed::Metrics;

#[tokio::test]
async fn what_a_cache_did_is_published() {
    let store = CachedStore::builder(ReferenceStore::new(), Duration::from_secs(60)).build();
    let visitor = record(None, NOW);
    insert(store.store(), &visitor).await;
    let (metrics, ()) = Metrics::of(|| store.stats().publish());
    let published = || {
        metrics::with_local_recorder(metrics.recorder(), || store.stats().publish());
        metrics.take()
    };
    for _ in 0..3 {
        assert!(store.load(&visitor.id(), Freshness::Cached).await.unwrap().is_some());
    }
    let mut values = published();
    assert!(values.remove("session_cache_feed_lag_seconds").is_some_and(f64::is_nan), "there is no feed");
    let bytes = values.remove("session_cache_size_bytes");
    assert!(bytes.is_some_and(|bytes| bytes > 100.0), "{bytes:?}");
    let expected =
        [("session_cache_hits_total", 2.0), ("session_cache_misses_total", 1.0), ("session_cache_entries", 1.0)];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value)).into());
}
