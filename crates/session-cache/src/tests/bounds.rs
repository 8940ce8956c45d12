//! How long a copy is good, and how many there are.

use std::sync::Arc;
use std::time::Duration;

use session_core::OsEntropy;
use session_core::SessionId;
use session_core::store::{CreateRequest, FeedEvent, Freshness, SessionStore};

use super::bed::{Bed, MAX_STALE, MILLI, NOW, alice, feed, record};
use crate::clock::Manual;
use crate::{CachedStore, FeedState};

#[tokio::test]
async fn a_copy_costs_no_round_trip_and_whoever_needs_the_latest_gets_it() {
    let bed = Bed::without_feed();
    let record = bed.session().await;
    for calls in [&["load"][..], &[], &[]] {
        let loaded = bed.load(&record.id()).await.unwrap();
        assert_eq!((loaded.version, loaded.is_copy), (record.version, calls.is_empty()));
        assert_eq!(bed.calls(), calls);
    }
    let latest = bed.store.load(&record.id(), Freshness::Latest).await.unwrap().unwrap();
    assert!(!latest.is_copy);
    assert_eq!(bed.calls(), ["load"]);
    let stats = bed.store.stats();
    assert_eq!((stats.hits, stats.misses, stats.refused_fills, stats.entries), (2, 1, 0, 1));
}

#[tokio::test]
async fn absence_is_not_kept() {
    let bed = Bed::without_feed();
    let id = SessionId::generate(None, &OsEntropy).unwrap();
    for _ in 0..2 {
        assert!(bed.load(&id).await.is_none());
        assert_eq!(bed.calls(), ["load"]);
    }
}

#[tokio::test]
async fn without_a_feed_a_session_is_given_for_max_stale_after_its_end_and_not_a_moment_longer() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.clock.advance(MAX_STALE);
    assert!(bed.has_copy(&record.id()));
    bed.clock.advance(MILLI);
    assert!(bed.load(&record.id()).await.is_none());
    assert_eq!(bed.store.stats().feed, FeedState::None);
}

#[tokio::test]
async fn a_feed_that_says_nothing_is_none() {
    let bed = Bed::with_feed();
    let record = bed.copied().await;
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.clock.advance(MAX_STALE + MILLI);
    assert!(bed.load(&record.id()).await.is_none());
    assert_eq!(bed.store.stats().feed, FeedState::Lost);
}

#[tokio::test]
async fn a_feed_that_falls_silent_vouches_for_max_stale() {
    let mut bed = Bed::with_feed();
    bed.follow().await;
    let record = bed.copied().await;
    bed.clock.advance(MAX_STALE);
    bed.beat().await;
    assert_eq!(bed.store.stats().feed, FeedState::Live { lag: Duration::ZERO });
    // It is cut, and nobody notices.
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.clock.advance(MAX_STALE);
    assert!(bed.has_copy(&record.id()));
    assert_eq!(bed.store.stats().feed, FeedState::Live { lag: MAX_STALE });
    bed.clock.advance(MILLI);
    assert!(bed.load(&record.id()).await.is_none());
}

#[tokio::test]
async fn no_feed_vouches_for_longer_than_max_age() {
    let (remote, feed) = feed();
    let mut bed = Bed::with(remote, |builder| builder.feed(feed).max_age(3 * MAX_STALE));
    bed.follow().await;
    let record = bed.copied().await;
    for _ in 0..3 {
        assert!(bed.has_copy(&record.id()));
        bed.clock.advance(MAX_STALE);
        bed.beat().await;
    }
    assert!(bed.has_copy(&record.id()));
    bed.clock.advance(MILLI);
    bed.beat().await;
    assert!(!bed.has_copy(&record.id()));
}

/// As by a feed with another clock.
#[tokio::test]
async fn a_beat_from_the_future_is_one_of_now() {
    let mut bed = Bed::with_feed();
    bed.follow().await;
    let record = bed.copied().await;
    let asked = bed.clock.instant() + Duration::from_secs(30);
    bed.feed.tell(FeedEvent::Beat { asked }).await;
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.clock.advance(MAX_STALE + MILLI);
    assert!(bed.load(&record.id()).await.is_none());
}

#[tokio::test]
async fn limits_may_be_anything() {
    for (capacity, max_stale, max_age) in [
        (0, MAX_STALE, None),
        (u64::MAX, Duration::ZERO, None),
        (u64::MAX, Duration::MAX, None),
        (u64::MAX, Duration::MAX, Some(Duration::ZERO)),
        (u64::MAX, MAX_STALE, Some(Duration::MAX)),
        (u64::MAX, MAX_STALE, Some(MILLI)),
    ] {
        for has_feed in [false, true] {
            let (mut remote, channel) = feed();
            let server = Arc::new(session_conformance::ReferenceStore::new());
            let clock = Arc::new(Manual::new());
            let builder = CachedStore::builder(Arc::clone(&server), max_stale).capacity(capacity);
            let mut builder = builder.time(Arc::clone(&clock) as _);
            if has_feed {
                builder = builder.feed(channel);
            }
            if let Some(max_age) = max_age {
                builder = builder.max_age(max_age);
            }
            let (store, session) = (builder.build(), record());
            let _ = server.create(CreateRequest::new(&session), NOW).await.unwrap();
            let load = async || store.load(&session.id(), Freshness::Cached).await.unwrap();
            assert!(load().await.is_some());
            if has_feed {
                remote.tell(FeedEvent::Beat { asked: clock.instant() }).await;
            }
            assert!(load().await.is_some());
            let _ = store.delete(&session.id(), session.user()).await.unwrap();
            assert!(load().await.is_none(), "{capacity} {max_stale:?} {max_age:?}");
        }
    }
}

#[tokio::test]
async fn a_machine_that_slept_has_old_copies() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.clock.suspend(MAX_STALE + MILLI);
    assert!(bed.load(&record.id()).await.is_none());
}

#[tokio::test]
async fn a_beat_from_before_the_sleep_vouches_for_nothing_after_it() {
    let mut bed = Bed::with_feed();
    bed.follow().await;
    let record = bed.copied().await;
    // Asked for, answered, and the machine sleeps with the answer in its socket.
    let asked = bed.clock.instant();
    bed.clock.suspend(Duration::from_secs(20));
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.clock.advance(MILLI);
    bed.feed.tell(FeedEvent::Beat { asked }).await;
    assert!(bed.load(&record.id()).await.is_none());

    // The feed itself goes on.
    let other = bed.copied().await;
    bed.beat().await;
    bed.clock.advance(MAX_STALE + MILLI);
    bed.beat().await;
    assert!(bed.has_copy(&other.id()));
}

#[tokio::test]
async fn the_shortest_sleep_counts() {
    let mut bed = Bed::with_feed();
    bed.follow().await;
    let record = bed.copied().await;
    let asked = bed.clock.instant();
    bed.clock.suspend(60 * MILLI);
    bed.feed.tell(FeedEvent::Beat { asked }).await;
    bed.clock.advance(MAX_STALE - 60 * MILLI);
    assert!(bed.has_copy(&record.id()));
    bed.clock.advance(MILLI);
    assert!(!bed.has_copy(&record.id()));
}

#[tokio::test]
async fn copies_take_no_more_than_the_capacity() {
    let capacity = 1 << 20;
    let bed = Bed::with(feed().0, |builder| builder.capacity(capacity));
    let value = "x".repeat(2_000);
    for _ in 0..2_000 {
        let record =
            session_conformance::RecordBuilder::new(NOW).of(&alice()).value("note", value.clone()).build().unwrap();
        let _ = bed.store.create(CreateRequest::new(&record), NOW).await.unwrap();
    }
    let stats = bed.store.stats();
    assert!(stats.bytes <= capacity, "{stats:?}");
    assert!(stats.entries > 100 && stats.entries * 3_000 <= capacity, "{stats:?}");
}
