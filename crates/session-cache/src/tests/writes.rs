//! What this process writes, it knows.

use std::time::Duration;

use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};
use session_core::{DeleteOutcome, LimitPolicy, Policy, StoreErrorKind};

use super::bed::{Bed, NOW, alice, next, record};

#[tokio::test]
async fn what_is_created_is_there_and_what_it_replaces_or_evicts_is_gone() {
    let bed = Bed::without_feed();
    let (oldest, replaced) = (bed.copied().await, bed.copied().await);
    let limit = Policy::standard().to_builder().session_limit(1, LimitPolicy::EvictOldest).build().unwrap();
    let login = record();
    let request = CreateRequest::new(&login).replacing(Replacement::of(&replaced)).within(limit.session_limit());
    let created = bed.store.create(request, NOW).await.unwrap();
    assert_eq!(created, CreateOutcome::Created { evicted: vec![oldest.id()] });
    assert!(bed.has_copy(&login.id()));
    for gone in [oldest, replaced] {
        assert!(bed.load(&gone.id()).await.is_none());
        assert!(!bed.has_copy(&gone.id()));
    }
}

#[tokio::test]
async fn a_login_without_an_answer_leaves_no_copy_that_it_may_have_ended() {
    let bed = Bed::without_feed();
    let (oldest, replaced) = (bed.copied().await, bed.copied().await);
    let limit = Policy::standard().to_builder().session_limit(1, LimitPolicy::EvictOldest).build().unwrap();
    let login = record();
    let request = CreateRequest::new(&login).replacing(Replacement::of(&replaced)).within(limit.session_limit());
    bed.lose_replies(true);
    assert!(bed.store.create(request, NOW).await.is_err());
    bed.lose_replies(false);
    for gone in [&oldest, &replaced] {
        assert!(bed.load(&gone.id()).await.is_none());
    }
}

#[tokio::test]
async fn a_login_that_was_refused_changes_nothing() {
    let bed = Bed::without_feed();
    let (here, replaced) = (bed.copied().await, bed.copied().await);
    let reject = Policy::standard().to_builder().session_limit(1, LimitPolicy::Reject).build().unwrap();
    let login = record();
    let request = CreateRequest::new(&login).within(reject.session_limit());
    assert_eq!(bed.store.create(request, NOW).await.unwrap(), CreateOutcome::LimitReached);
    assert!(bed.has_copy(&here.id()) && !bed.has_copy(&login.id()));
    // It changed on another node, so the copy is outdated.
    let _ = bed.server.update(&next(&replaced), replaced.version, NOW).await.unwrap();
    let request = CreateRequest::new(&login).replacing(Replacement::of(&replaced));
    assert_eq!(bed.store.create(request, NOW).await.unwrap(), CreateOutcome::ReplacedChanged);
    assert!(!bed.has_copy(&replaced.id()));
    // It ended there.
    let _ = bed.server.delete(&here.id(), here.user()).await.unwrap();
    let request = CreateRequest::new(&login).replacing(Replacement::of(&here));
    assert_eq!(bed.store.create(request, NOW).await.unwrap(), CreateOutcome::ReplacedAbsent);
    assert!(!bed.has_copy(&here.id()));
}

#[tokio::test]
async fn an_update_is_the_copy() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let change = next(&record);
    assert_eq!(bed.store.update(&change, record.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    bed.calls();
    let loaded = bed.load(&record.id()).await.unwrap();
    assert_eq!((loaded.version, bed.calls().len()), (change.version, 0));
}

#[tokio::test]
async fn a_conflict_shows_that_the_copy_is_outdated() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let elsewhere = next(&record);
    let _ = bed.server.update(&elsewhere, record.version, NOW).await.unwrap();
    let here = next(&record);
    assert_eq!(bed.store.update(&here, record.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
    assert_eq!(bed.load(&record.id()).await.unwrap().version, elsewhere.version);
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    assert_eq!(bed.store.update(&next(&elsewhere), elsewhere.version, NOW).await.unwrap(), UpdateOutcome::Absent);
    assert!(bed.load(&record.id()).await.is_none());
}

#[tokio::test]
async fn an_update_without_an_answer_may_have_been_done() {
    for is_dropped in [false, true] {
        let bed = Bed::without_feed();
        let record = bed.copied().await;
        let change = next(&record);
        if is_dropped {
            bed.hold_replies();
            let mut update = bed.store.update(&change, record.version, NOW);
            let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
            assert!(update.as_mut().poll(context).is_pending());
            drop(update);
            bed.stop_holding();
        } else {
            bed.lose_replies(true);
            assert!(bed.store.update(&change, record.version, NOW).await.is_err());
            bed.lose_replies(false);
        }
        assert_eq!(bed.load(&record.id()).await.unwrap().version, change.version, "dropped: {is_dropped}");
        assert_eq!(bed.store.under_way(), 0);
    }
}

#[tokio::test]
async fn a_write_whose_session_ends_before_its_answer_leaves_no_copy() {
    let mut bed = Bed::with_feed();
    let record = bed.copied().await;
    let change = next(&record);
    bed.hold_replies();
    let (store, written, expected) = (bed.store.clone(), change.clone(), record.version);
    let update = tokio::spawn(async move { store.update(&written, expected, NOW).await.unwrap() });
    while bed.server_version(&record.id()).await != Some(change.version) {
        tokio::task::yield_now().await;
    }
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    bed.feed.tell(session_core::store::FeedEvent::Ended { id: record.id() }).await;
    bed.release(1);
    assert_eq!(update.await.unwrap(), UpdateOutcome::Applied);
    bed.stop_holding();
    assert!(bed.load(&record.id()).await.is_none());
}

#[tokio::test]
async fn a_logout_here_is_over_here_at_once_answered_or_not() {
    for is_lost in [false, true] {
        let bed = Bed::without_feed();
        let record = bed.copied().await;
        bed.lose_replies(is_lost);
        let deleted = bed.store.delete(&record.id(), record.user()).await;
        assert_eq!(deleted.ok(), (!is_lost).then_some(DeleteOutcome::Deleted));
        bed.lose_replies(false);
        assert!(bed.load(&record.id()).await.is_none());
    }
}

#[tokio::test]
async fn all_of_a_user_end_here_at_once_answered_or_not() {
    for is_lost in [false, true] {
        let bed = Bed::without_feed();
        let (one, other, kept) = (bed.copied().await, bed.copied().await, bed.copied().await);
        bed.lose_replies(is_lost);
        let deleted = bed.store.delete_by_user(&alice(), Some(&kept.id()), NOW).await;
        assert_eq!(deleted.is_err(), is_lost);
        bed.lose_replies(false);
        for gone in [&one, &other] {
            assert!(bed.load(&gone.id()).await.is_none());
        }
        assert!(bed.load(&kept.id()).await.is_some());
        assert!(bed.has_copy(&kept.id()));
    }
}

#[tokio::test]
async fn the_session_of_another_user_stays() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    assert_eq!(bed.store.delete(&record.id(), None).await.unwrap(), DeleteOutcome::Absent);
    assert!(bed.load(&record.id()).await.is_some());
    assert!(bed.has_copy(&record.id()), "and may be copied again");
}

#[tokio::test]
async fn a_touch_moves_the_copy_and_makes_it_no_newer() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let seen = NOW + Duration::from_secs(60);
    bed.clock.advance(super::bed::MAX_STALE);
    assert_eq!(bed.store.touch(&record.id(), record.user(), seen).await.unwrap(), TouchOutcome::Applied);
    bed.calls();
    assert_eq!(bed.load(&record.id()).await.unwrap().summary.last_seen, seen);
    assert_eq!(bed.calls().len(), 0);
    // Late, and earlier.
    let _ = bed.store.touch(&record.id(), record.user(), NOW).await.unwrap();
    assert_eq!(bed.load(&record.id()).await.unwrap().summary.last_seen, seen);
    bed.clock.advance(super::bed::MILLI);
    assert!(!bed.has_copy(&record.id()), "its load is as long ago as before");
}

#[tokio::test]
async fn a_load_from_before_a_touch_moves_nothing_back() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let seen = NOW + Duration::from_secs(60);
    let load = bed.load_under_way(&record.id(), Freshness::Latest).await;
    bed.stop_holding();
    let _ = bed.store.touch(&record.id(), record.user(), seen).await.unwrap();
    bed.release(1);
    assert_eq!(load.await.unwrap().unwrap().summary.last_seen, NOW);
    assert_eq!(bed.load(&record.id()).await.unwrap().summary.last_seen, seen);
}

#[tokio::test]
async fn a_touch_that_finds_nothing_ends_the_copy_and_one_that_fails_does_not() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    bed.fail(StoreErrorKind::Unavailable);
    assert!(bed.store.touch(&record.id(), record.user(), NOW).await.is_err());
    bed.heal();
    assert!(bed.has_copy(&record.id()));
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    assert_eq!(bed.store.touch(&record.id(), record.user(), NOW).await.unwrap(), TouchOutcome::Absent);
    assert!(bed.load(&record.id()).await.is_none());
}
