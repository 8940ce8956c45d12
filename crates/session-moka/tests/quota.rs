//! The quota: exact under concurrency, and never at the expense of a live session.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use common::{HOUR, exchange, insert, session};
use session_core::store::{CreateOutcome, CreateRequest, Freshness, SessionStore};
use session_core::{DeleteOutcome, LimitPolicy, StoreErrorKind};
use session_moka::MokaStore;
use session_testbed::records::{NOW, created, limit, user};
use tokio::sync::Barrier;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_concurrent_creates_exactly_as_many_succeed_as_fit() {
    for _ in 0..50 {
        let store = MokaStore::builder().max_sessions(10).build();
        let start = Arc::new(Barrier::new(64));
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (store, start) = (store.clone(), Arc::clone(&start));
                tokio::spawn(async move {
                    let record = session(None, NOW, HOUR);
                    start.wait().await;
                    let answer = insert(&store, &record, NOW).await;
                    (record.id(), answer)
                })
            })
            .collect();
        let mut stored = 0;
        for task in tasks {
            let (id, answer) = task.await.unwrap();
            let loaded = store.load(&id, Freshness::Latest).await.unwrap();
            match answer {
                Ok(outcome) => {
                    assert_eq!(outcome, created());
                    assert!(loaded.is_some());
                    stored += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Full);
                    assert!(!error.is_retryable());
                    assert!(loaded.is_none());
                }
            }
        }
        assert_eq!((stored, store.session_count()), (10, 10));
    }
}

/// A login that replaces a session takes its place in one step: no concurrent call can take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_the_quota_a_login_takes_the_place_of_the_session_it_replaces() {
    let store = MokaStore::builder().max_sessions(32).build();
    let mut anonymous = Vec::new();
    for _ in 0..32 {
        let record = session(None, NOW, HOUR);
        assert_eq!(insert(&store, &record, NOW).await.unwrap(), created());
        anonymous.push(record);
    }
    let mut tasks = Vec::new();
    for (n, old) in anonymous.into_iter().enumerate() {
        let logging_in = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut old = old;
            for turn in 0..100 {
                let next = session(Some(&user(&format!("{n}-{turn}"))), NOW, HOUR);
                assert_eq!(exchange(&logging_in, &old, &next, NOW).await, created());
                old = next;
            }
        }));
        let intruding = store.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..100 {
                let error = insert(&intruding, &session(None, NOW, HOUR), NOW).await.unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Full);
                assert!(intruding.session_count() <= 32);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.session_count(), 32);
}

#[tokio::test]
async fn at_the_quota_a_login_that_evicts_succeeds() {
    let store = MokaStore::builder().max_sessions(3).build();
    let alice = user("alice");
    let (first, second) = (session(Some(&alice), NOW, HOUR), session(Some(&alice), NOW + HOUR / 2, HOUR));
    for record in [&first, &second, &session(None, NOW, HOUR)] {
        assert_eq!(insert(&store, record, NOW).await.unwrap(), created());
    }
    let third = session(Some(&alice), NOW, HOUR);
    let rejected = CreateRequest::new(&third).within(limit(2, LimitPolicy::Reject));
    assert_eq!(store.create(rejected, NOW).await.unwrap(), CreateOutcome::LimitReached);
    let evicting = CreateRequest::new(&third).within(limit(2, LimitPolicy::EvictOldest));
    assert_eq!(store.create(evicting, NOW).await.unwrap(), CreateOutcome::Created { evicted: vec![first.id()] });
    assert_eq!(store.session_count(), 3);
    // Idempotent: a repetition has the same answer, and counts once.
    assert_eq!(insert(&store, &third, NOW).await.unwrap(), created());
    assert_eq!(store.session_count(), 3);
}

#[tokio::test]
async fn at_the_quota_expired_sessions_make_room_and_live_ones_stay() {
    let store = MokaStore::builder().max_sessions(3).build();
    let (short, long) = (session(None, NOW, HOUR / 2), session(None, NOW, HOUR));
    let touched = session(None, NOW, HOUR / 2);
    for record in [&short, &long, &touched] {
        assert_eq!(insert(&store, record, NOW).await.unwrap(), created());
    }
    assert_eq!(insert(&store, &session(None, NOW, HOUR), NOW).await.unwrap_err().kind(), StoreErrorKind::Full);
    let later = NOW + HOUR / 4;
    let _ = store.touch(&touched.id(), None, later).await.unwrap();
    let deadline = NOW + HOUR / 2;
    assert_eq!(insert(&store, &session(None, deadline, HOUR), deadline).await.unwrap(), created());
    assert!(store.load(&short.id(), Freshness::Latest).await.unwrap().is_none());
    assert!(store.load(&long.id(), Freshness::Latest).await.unwrap().is_some());
    assert!(store.load(&touched.id(), Freshness::Latest).await.unwrap().is_some());
    let error = insert(&store, &session(None, deadline, HOUR), deadline).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    // What is deleted makes room too; what is deleted twice, once.
    assert_eq!(store.delete(&long.id(), None).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(store.delete(&long.id(), None).await.unwrap(), DeleteOutcome::Absent);
    assert_eq!(insert(&store, &session(None, deadline, HOUR), deadline).await.unwrap(), created());
    assert!(insert(&store, &session(None, deadline, HOUR), deadline).await.is_err());
}

/// An id that is taken by an expired session is free, and the session that takes it counts once.
#[tokio::test]
async fn an_expired_session_is_overwritten_in_its_place() {
    for quota in [1, 2] {
        let store = MokaStore::builder().max_sessions(quota).build();
        let old = session(None, NOW, HOUR);
        assert_eq!(insert(&store, &old, NOW).await.unwrap(), created());
        // It is cached.
        for _ in 0..16 {
            assert!(store.load(&old.id(), Freshness::Latest).await.unwrap().is_some());
        }
        let deadline = NOW + HOUR;
        let new = common::with_id(old.id(), None, deadline, HOUR);
        assert_eq!(insert(&store, &new, deadline).await.unwrap(), created());
        assert_eq!(store.session_count(), 1);
        assert!(store.load(&old.id(), Freshness::Latest).await.unwrap().unwrap().version == new.version);
    }
}

#[tokio::test]
async fn a_session_outside_the_shard_of_its_user_is_refused() {
    let store = MokaStore::new();
    let (alice, bob) = (user("alice"), user("bob"));
    assert_ne!(alice.shard(), bob.shard());
    let astray = common::with_id(session(Some(&bob), NOW, HOUR).id(), Some(&alice), NOW, HOUR);
    let error = insert(&store, &astray, NOW).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other);
    assert_eq!(store.session_count(), 0);
}
