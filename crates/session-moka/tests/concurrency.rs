//! Concurrent operations on the table and its cache, and on two stripes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::{HOUR, exchange, in_shard, insert, session, with_id};
use session_core::DeleteOutcome;
use session_core::store::{Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome};
use session_moka::MokaStore;
use session_testbed::records::{NOW, created, next, user};

/// Half of the tasks move their session from stripe 1 to stripe 2 and back, the other half the other way round.
#[test]
fn logins_across_two_stripes_in_both_directions_do_not_deadlock() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let store = MokaStore::new();
    let tasks: Vec<_> = (0..64_u16)
        .map(|task| {
            let store = store.clone();
            runtime.spawn(async move {
                let mut old = with_id(in_shard(1 + task % 2), None, NOW, HOUR);
                assert_eq!(insert(&store, &old, NOW).await.unwrap(), created());
                for turn in 1..2000_u16 {
                    let new = with_id(in_shard(1 + (task + turn) % 2), None, NOW, HOUR);
                    assert_eq!(exchange(&store, &old, &new, NOW).await, created());
                    old = new;
                }
            })
        })
        .collect();
    let (done, finished) = mpsc::channel();
    runtime.spawn(async move {
        for task in tasks {
            task.await.unwrap();
        }
        done.send(()).unwrap();
    });
    // Not a timer of the runtime, whose threads may all be deadlocked. They are not joined then.
    let outcome = finished.recv_timeout(Duration::from_secs(60));
    runtime.shutdown_background();
    outcome.expect("a deadlock, or a failed task");
    assert_eq!(store.session_count(), 64);
}

/// The cache never shows what was overwritten before the load began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_never_shows_less_than_what_was_acknowledged() {
    let store = MokaStore::new();
    let record = session(Some(&user("alice")), NOW, HOUR);
    let id = record.id();
    assert_eq!(insert(&store, &record, NOW).await.unwrap(), created());
    let (acknowledged, seen) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicU64::new(0)));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..62)
        .map(|_| {
            let (store, done) = (store.clone(), Arc::clone(&done));
            let (acknowledged, seen) = (Arc::clone(&acknowledged), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut before = (0, NOW);
                while !done.load(Ordering::SeqCst) {
                    let least = (acknowledged.load(Ordering::SeqCst), seen.load(Ordering::SeqCst));
                    let loaded = store.load(&id, Freshness::Latest).await.unwrap().unwrap();
                    let now = (loaded.version.number, loaded.summary.last_seen);
                    assert!(now.0 >= least.0 && now.1 >= NOW + Duration::from_millis(least.1));
                    assert!(now.0 >= before.0 && now.1 >= before.1, "a load went back in time");
                    before = now;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let touching = {
        let (store, seen) = (store.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            for millis in 1..=5_000 {
                let at = NOW + Duration::from_millis(millis);
                assert_eq!(store.touch(&id, None, at).await.unwrap(), TouchOutcome::Applied);
                seen.store(millis, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        })
    };
    let mut stored = record;
    for _ in 0..5_000 {
        let next = next(&stored);
        assert_eq!(store.update(&next, stored.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        acknowledged.store(next.version.number, Ordering::SeqCst);
        stored = next;
        tokio::task::yield_now().await;
    }
    touching.await.unwrap();
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    let last = store.load(&id, Freshness::Latest).await.unwrap().unwrap();
    assert_eq!((last.version.number, last.summary.last_seen), (5_001, NOW + Duration::from_secs(5)));
}

/// A deleted session stays deleted, whatever loads are about to put into the cache.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_never_brings_a_session_back() {
    let store = MokaStore::new();
    let alice = user("alice");
    for round in 0..200 {
        let record = session(Some(&alice), NOW, HOUR);
        assert_eq!(insert(&store, &record, NOW).await.unwrap(), created());
        // In half of the rounds it is cached already, in the other half a concurrent load caches it.
        for _ in 0..round % 2 * 16 {
            assert!(store.load(&record.id(), Freshness::Latest).await.unwrap().is_some());
        }
        let readers: Vec<_> = (0..64)
            .map(|_| {
                let (store, id) = (store.clone(), record.id());
                tokio::spawn(async move {
                    let mut was_gone = false;
                    for _ in 0..20 {
                        let gone = store.load(&id, Freshness::Latest).await.unwrap().is_none();
                        assert!(gone || !was_gone, "a session came back");
                        was_gone = gone;
                    }
                })
            })
            .collect();
        match round % 3 {
            0 => assert_eq!(store.delete(&record.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted),
            1 => assert_eq!(store.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [record.id()]),
            _ => assert_eq!(exchange(&store, &record, &session(None, NOW, HOUR), NOW).await, created()),
        }
        assert!(store.load(&record.id(), Freshness::Latest).await.unwrap().is_none());
        for reader in readers {
            reader.await.unwrap();
        }
        assert!(store.load(&record.id(), Freshness::Latest).await.unwrap().is_none());
    }
}

/// 100 000 sessions are more than the cache holds. Its evictions end none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_session_vanishes_among_100_000_others() {
    let store = MokaStore::new();
    let alice = user("alice");
    let mine = session(Some(&alice), NOW, HOUR);
    assert_eq!(insert(&store, &mine, NOW).await.unwrap(), created());
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let (store, mine) = (store.clone(), mine.id());
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for n in 0..25_000 {
                    let owner = user(&format!("{task}-{n}"));
                    let record = session(Some(&owner), NOW, HOUR);
                    assert_eq!(insert(&store, &record, NOW).await.unwrap(), created());
                    for _ in 0..9 {
                        assert!(store.load(&record.id(), Freshness::Latest).await.unwrap().is_some());
                    }
                    if n % 100 == 0 {
                        assert!(store.load(&mine, Freshness::Latest).await.unwrap().is_some());
                    }
                    ids.push((owner, record));
                }
                ids
            })
        })
        .collect();
    let mut others: Vec<(session_core::UserId, Record)> = Vec::new();
    for task in tasks {
        others.extend(task.await.unwrap());
    }
    assert_eq!(store.session_count(), 100_001);
    let last_moment = NOW + HOUR - Duration::from_millis(1);
    for (owner, record) in &others {
        let loaded = store.load(&record.id(), Freshness::Latest).await.unwrap().unwrap();
        assert!(loaded.version == record.version && loaded.data.same_as(&record.data));
        assert_eq!(store.list_by_user(owner, last_moment).await.unwrap().sessions.len(), 1);
    }
    assert!(store.load(&mine.id(), Freshness::Latest).await.unwrap().is_some());
}
