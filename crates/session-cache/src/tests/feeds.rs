//! What a feed tells, and its task.

use session_core::store::{FeedEvent, Freshness, SessionStore};

use super::bed::{Bed, MAX_STALE, MILLI, feed, next, record};
use crate::FeedState;

#[tokio::test]
async fn what_ended_elsewhere_is_over_when_the_feed_says_so() {
    let mut bed = Bed::with_feed();
    let record = bed.copied().await;
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.feed.tell(FeedEvent::Ended { id: record.id() }).await;
    assert!(bed.load(&record.id()).await.is_none());
}

#[tokio::test]
async fn what_changed_elsewhere_is_loaded_and_an_echo_of_what_is_known_costs_nothing() {
    let mut bed = Bed::with_feed();
    let record = bed.copied().await;
    let id = record.id();
    bed.feed.tell(FeedEvent::Changed { id, version: Some(record.version) }).await;
    assert!(bed.has_copy(&id), "the copy has that version");
    let change = next(&record);
    let _ = bed.server.update(&change, record.version, super::bed::NOW).await.unwrap();
    bed.feed.tell(FeedEvent::Changed { id, version: Some(change.version) }).await;
    assert_eq!(bed.load(&id).await.unwrap().version, change.version);
    assert!(bed.has_copy(&id));
    bed.feed.tell(FeedEvent::Changed { id, version: None }).await;
    assert!(!bed.has_copy(&id), "it may be any version");
}

#[tokio::test]
async fn after_a_loss_what_is_there_is_good_for_max_stale() {
    let mut bed = Bed::with_feed();
    bed.follow().await;
    let before = bed.copied().await;
    bed.feed.tell(FeedEvent::Lost).await;
    assert_eq!((bed.store.stats().feed, bed.store.stats().feed_losses), (FeedState::Lost, 1));
    // Loaded while nobody listened. Both end, and nobody hears of it.
    let between = bed.copied().await;
    for record in [&before, &between] {
        let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    }
    bed.clock.advance(MILLI);
    bed.follow().await;
    let after = bed.copied().await;
    bed.clock.advance(MAX_STALE);
    bed.beat().await;
    bed.clock.advance(MILLI);
    assert!(bed.load(&before.id()).await.is_none(), "from before the loss");
    assert!(bed.load(&between.id()).await.is_none(), "from between loss and beat");
    assert!(bed.has_copy(&after.id()), "from after the first beat");
}

/// What was told between the question and the answer may be what was missed.
#[tokio::test]
async fn a_beat_that_was_asked_for_before_a_loss_vouches_for_nothing() {
    let mut bed = Bed::with_feed();
    bed.follow().await;
    let asked = bed.clock.instant();
    bed.clock.advance(MILLI);
    let record = bed.copied().await;
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.clock.advance(MILLI);
    bed.feed.tell(FeedEvent::Lost).await;
    bed.feed.tell(FeedEvent::Beat { asked }).await;
    bed.clock.advance(MAX_STALE);
    bed.beat().await;
    bed.clock.advance(MILLI);
    assert!(bed.load(&record.id()).await.is_none());
}

#[tokio::test]
async fn the_feed_ends_with_the_last_handle() {
    let Bed { feed, store, .. } = Bed::with_feed();
    let clone = store.clone();
    let _ = store.load(&record().id(), Freshness::Cached).await.unwrap();
    drop(store);
    let _ = clone.load(&record().id(), Freshness::Cached).await.unwrap();
    assert_eq!(clone.stats().feed, FeedState::Lost);
    drop(clone);
    feed.dropped().await;
}

#[test]
fn the_feed_moves_on_from_a_runtime_that_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut bed = Bed::with_feed();
    for round in 0..3 {
        let runtime = runtime();
        runtime.block_on(async {
            bed.load(&record().id()).await;
            if round > 0 {
                bed.feed.asked_anew().await;
            }
            bed.beat().await;
            assert!(matches!(bed.store.stats().feed, FeedState::Live { .. }));
        });
        drop(runtime);
        assert_eq!(bed.store.stats().feed, FeedState::Lost, "nobody listens");
        bed.clock.advance(MILLI);
    }
}

#[test]
fn without_a_runtime_a_feed_is_lost_and_the_bound_holds() {
    let (remote, feed) = feed();
    let bed = Bed::with(remote, |builder| builder.feed(feed));
    let work = std::pin::pin!(async {
        let record = bed.copied().await;
        let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
        bed.clock.advance(MAX_STALE + MILLI);
        assert!(bed.load(&record.id()).await.is_none());
        assert_eq!(bed.store.stats().feed, FeedState::Lost);
    });
    let ready = work.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(ready.is_ready());
}
