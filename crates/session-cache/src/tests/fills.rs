//! Loads that are under way while something happens to their session.

use session_conformance::RecordBuilder;
use session_core::store::{FeedEvent, Freshness, SessionStore};
use session_core::{OsEntropy, SessionId, StoreErrorKind};

use super::bed::{Bed, NOW, next};

/// What happens to a session while a load of it is under way.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    /// It ends on another node, and the feed says so.
    EndsElsewhere,
    /// It changes on another node, and the feed says so, with the version or without.
    ChangesElsewhere,
    ChangesElsewhereSomehow,
    /// This node ends it; the answer may be lost.
    EndsHere,
    EndsHereUnanswered,
    AllOfTheUserEnd,
    /// This node changes it; the answer may be lost.
    ChangesHere,
    ChangesHereUnanswered,
}

#[tokio::test]
async fn a_load_that_began_before_leaves_no_copy() {
    for meanwhile in [
        Meanwhile::EndsElsewhere,
        Meanwhile::ChangesElsewhere,
        Meanwhile::ChangesElsewhereSomehow,
        Meanwhile::EndsHere,
        Meanwhile::EndsHereUnanswered,
        Meanwhile::AllOfTheUserEnd,
        Meanwhile::ChangesHere,
        Meanwhile::ChangesHereUnanswered,
    ] {
        let mut bed = Bed::with_feed();
        let record = bed.session().await;
        let (id, user, change) = (record.id(), record.user(), next(&record));
        // It has read the session, and its reply is on its way.
        let load = bed.load_under_way(&id, Freshness::Cached).await;
        match meanwhile {
            Meanwhile::EndsElsewhere => {
                let _ = bed.server.delete(&id, user).await.unwrap();
                bed.feed.tell(FeedEvent::Ended { id }).await;
            }
            Meanwhile::ChangesElsewhere | Meanwhile::ChangesElsewhereSomehow => {
                let _ = bed.server.update(&change, record.version, NOW).await.unwrap();
                let version = matches!(meanwhile, Meanwhile::ChangesElsewhere).then_some(change.version);
                bed.feed.tell(FeedEvent::Changed { id, version }).await;
            }
            Meanwhile::EndsHere
            | Meanwhile::EndsHereUnanswered
            | Meanwhile::AllOfTheUserEnd
            | Meanwhile::ChangesHere
            | Meanwhile::ChangesHereUnanswered => {
                let (store, record) = (bed.store.clone(), record.clone());
                // Replies come in their order: this one would be the second. It overtakes the first.
                bed.stop_holding();
                bed.lose_replies(matches!(meanwhile, Meanwhile::EndsHereUnanswered | Meanwhile::ChangesHereUnanswered));
                let failed = match meanwhile {
                    Meanwhile::AllOfTheUserEnd => store.delete_by_user(user.unwrap(), None, NOW).await.is_err(),
                    Meanwhile::ChangesHere | Meanwhile::ChangesHereUnanswered => {
                        store.update(&change, record.version, NOW).await.is_err()
                    }
                    Meanwhile::EndsHere
                    | Meanwhile::EndsHereUnanswered
                    | Meanwhile::EndsElsewhere
                    | Meanwhile::ChangesElsewhere
                    | Meanwhile::ChangesElsewhereSomehow => store.delete(&id, user).await.is_err(),
                };
                assert_eq!(
                    failed,
                    matches!(meanwhile, Meanwhile::EndsHereUnanswered | Meanwhile::ChangesHereUnanswered)
                );
                bed.lose_replies(false);
            }
        }
        let copy_of_change = bed.copy_version(&id);
        bed.release(1);
        assert_eq!(
            load.await.unwrap().map(|record| record.version),
            Some(record.version),
            "its caller gets its answer"
        );
        bed.stop_holding();
        assert_eq!(bed.store.stats().refused_fills, 1, "{meanwhile:?}");
        assert_eq!(bed.copy_version(&id), copy_of_change, "{meanwhile:?}");
        let expected = bed.server.load(&id, Freshness::Latest).await.unwrap().map(|record| record.version);
        assert_eq!(bed.load(&id).await.map(|record| record.version), expected, "{meanwhile:?}");
    }
}

#[tokio::test]
async fn a_load_that_read_the_change_leaves_a_copy() {
    let mut bed = Bed::with_feed();
    let record = bed.session().await;
    let change = next(&record);
    let _ = bed.server.update(&change, record.version, NOW).await.unwrap();
    let load = bed.load_under_way(&record.id(), Freshness::Cached).await;
    bed.feed.tell(FeedEvent::Changed { id: record.id(), version: Some(change.version) }).await;
    bed.release(1);
    assert!(load.await.unwrap().is_some());
    assert!(bed.has_copy(&record.id()));
}

#[tokio::test]
async fn a_load_from_before_all_of_a_user_ended_replaces_no_copy_from_after_it() {
    let bed = Bed::without_feed();
    let (kept, other) = (bed.session().await, bed.session().await);
    let load = bed.load_under_way(&kept.id(), Freshness::Cached).await;
    bed.stop_holding();
    let _ = bed.store.delete_by_user(kept.user().unwrap(), Some(&kept.id()), NOW).await.unwrap();
    assert!(bed.load(&kept.id()).await.is_some() && bed.has_copy(&kept.id()));
    bed.release(1);
    assert!(load.await.unwrap().is_some());
    assert!(bed.has_copy(&kept.id()) && !bed.has_copy(&other.id()));
    assert_eq!(bed.store.stats().refused_fills, 1);
}

#[tokio::test]
async fn an_end_is_final_even_if_a_server_has_not_heard_of_it() {
    let mut bed = Bed::with_feed();
    let record = bed.copied().await;
    bed.feed.tell(FeedEvent::Ended { id: record.id() }).await;
    // A primary that was deposed, and does not know.
    for _ in 0..3 {
        assert!(bed.load(&record.id()).await.is_some(), "absence is the store's word");
        assert!(!bed.has_copy(&record.id()));
    }
}

/// Ids are public, and anybody can send as many as there are.
#[tokio::test]
async fn what_was_made_up_pushes_out_nothing_that_ended() {
    let mut bed = Bed::with_feed();
    let (told, deleted, found_gone) = (bed.copied().await, bed.copied().await, bed.copied().await);
    bed.feed.tell(FeedEvent::Ended { id: told.id() }).await;
    let _ = bed.store.delete(&deleted.id(), deleted.user()).await.unwrap();
    let _ = bed.server.delete(&found_gone.id(), found_gone.user()).await.unwrap();
    assert!(bed.store.load(&found_gone.id(), Freshness::Latest).await.unwrap().is_none());
    for _ in 0..100 {
        // In the same stripe.
        let made_up = SessionId::generate(told.user(), &OsEntropy).unwrap();
        assert!(bed.load(&made_up).await.is_none());
    }
    // By a server that was deposed.
    for record in [told, deleted, found_gone] {
        bed.forge(Some(record.clone()));
        assert!(bed.load(&record.id()).await.is_some());
        assert!(!bed.has_copy(&record.id()));
    }
}

#[tokio::test]
async fn what_was_not_found_leaves_no_copy_either() {
    let bed = Bed::without_feed();
    let record = bed.session().await;
    let _ = bed.server.delete(&record.id(), record.user()).await.unwrap();
    assert!(bed.load(&record.id()).await.is_none());
    bed.forge(Some(record.clone()));
    assert!(bed.load(&record.id()).await.is_some());
    assert!(!bed.has_copy(&record.id()));
}

#[tokio::test]
async fn a_load_that_is_given_up_leaves_nothing_behind() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let load = bed.load_under_way(&session_core::SessionId::from_bytes([9; 16]), Freshness::Cached).await;
    load.abort();
    let _ = load.await;
    bed.stop_holding();
    assert!(bed.has_copy(&record.id()));
    assert_eq!(bed.store.under_way(), 0);
}

/// A server that does not answer, and a session that everybody wants.
#[tokio::test]
async fn so_many_loads_at_once_are_not_all_kept_in_mind() {
    let bed = Bed::without_feed();
    let record = bed.session().await;
    bed.hold_replies();
    let id = record.id();
    let mut loads: Vec<_> = (0..5_000).map(|_| bed.store.load(&id, Freshness::Cached)).collect();
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(loads.iter_mut().all(|load| load.as_mut().poll(context).is_pending()));
    assert!(bed.store.under_way() < 2_000);
    // One that is not kept in mind says nothing of what happened meanwhile.
    let late = loads.pop().unwrap();
    bed.stop_holding();
    let change = next(&record);
    let _ = bed.store.update(&change, record.version, NOW).await.unwrap();
    bed.release(5_000);
    assert_eq!(late.await.unwrap().unwrap().version, record.version);
    assert_eq!(bed.load(&id).await.unwrap().version, change.version);
    drop(loads);
    assert_eq!(bed.store.under_way(), 0);
    bed.load(&id).await;
    assert!(bed.has_copy(&id));
}

#[tokio::test]
async fn what_cannot_be_read_or_is_of_another_session_leaves_no_copy() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    let id = record.id();
    bed.forge(Some(RecordBuilder::new(NOW).build().unwrap()));
    let other = bed.store.load(&id, Freshness::Latest).await.unwrap().unwrap();
    assert_ne!(other.id(), id);
    bed.forge(None);
    assert_eq!(bed.copy_version(&id), Some(record.version), "of what it is, nothing was learnt");
    assert!(!bed.has_copy(&other.id()));

    bed.fail(StoreErrorKind::Corrupt);
    assert!(bed.store.load(&id, Freshness::Latest).await.is_err());
    assert!(!bed.has_copy(&id), "somebody has changed it");
}

#[tokio::test]
async fn a_store_that_is_down_takes_no_copy_away() {
    let bed = Bed::without_feed();
    let record = bed.copied().await;
    bed.fail(StoreErrorKind::Unavailable);
    assert!(bed.store.load(&record.id(), Freshness::Latest).await.is_err());
    assert!(bed.has_copy(&record.id()));
}
