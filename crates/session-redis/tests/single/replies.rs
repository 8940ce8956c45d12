//! Replies that are lost on the way, and callers that are cancelled before theirs arrives.

use std::sync::Arc;
use std::time::Duration;

use session_core::store::{Freshness, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::servers::Redis;

use crate::faults::{open, url};
use crate::support::eventually;
use crate::support::records::{
    MINUTE, NOW, assert_counted, created, exists, increment, insert, next, record, replacing, user,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_repeated_when_its_reply_is_lost() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = open(&url(&proxy)).await;
    let alice = user("alice");
    let anonymous = record(None, NOW);
    insert(&store, &anonymous).await;

    let login = record(Some(&alice), NOW);
    // Loads the scripts: NOSCRIPT is not the reply that is to be lost.
    let other = record(None, NOW);
    insert(&store, &other).await;
    assert_eq!(store.update(&next(&other), other.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_eq!(store.touch(&other.id(), None, NOW).await.unwrap(), TouchOutcome::Applied);
    assert_eq!(store.delete(&other.id(), None).await.unwrap(), DeleteOutcome::Deleted);

    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.create(replacing(&login, &anonymous), NOW).await.unwrap(), created());
    let change = next(&login);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.update(&change, login.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.touch(&login.id(), Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.load(&login.id(), Freshness::Latest).await.unwrap().unwrap().version, change.version);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    proxy.cut_one_reply(1, Mode::Pass);
    // Deleted by the first of the two executions.
    assert_eq!(store.delete(&login.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Absent);
    assert!(!exists(&store, &login.id()).await);
}

/// The reply to an update is lost, and another update comes before it is repeated: that must not be reported as a
/// conflict, because core would then apply the change a second time.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_may_have_been_executed_is_not_a_conflict() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let here = RedisStore::connect(&url(&proxy)).await.unwrap();
    let there = open(&server.url()).await;
    let first = record(None, NOW);
    insert(&there, &first).await;
    let second = next(&first);
    assert_eq!(there.update(&second, first.version, NOW).await.unwrap(), UpdateOutcome::Applied);

    let third = next(&second);
    proxy.cut_one_reply(0, Mode::BlackHole);
    let update = {
        let (here, third, expected) = (here.clone(), third.clone(), second.version);
        tokio::spawn(async move { here.update(&third, expected, NOW).await })
    };
    eventually("it is executed", async || {
        there.load(&first.id(), Freshness::Latest).await.unwrap().unwrap().version == third.version
    })
    .await;
    assert_eq!(there.update(&next(&third), third.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    proxy.set(Mode::Pass);
    let error = update.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    // Without a disconnect, a conflict is a conflict.
    assert_eq!(here.update(&next(&third), third.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_increment_is_lost_when_replies_are() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Arc::new(Proxy::start(server.address()).await.unwrap());
    let session = record(None, NOW);
    let id = session.id();
    let direct = open(&server.url()).await;
    insert(&direct, &session).await;
    let stores = [open(&url(&proxy)).await, open(&url(&proxy)).await, direct];
    let cutter = {
        let (proxy, proxied) = (Arc::clone(&proxy), stores[..2].to_vec());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                // Only replies to requests are to be cut, not those of the handshake.
                for store in &proxied {
                    while store.load(&id, Freshness::Latest).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                proxy.cut_one_reply(1, Mode::Pass);
            }
        })
    };
    let tasks = (0..12).map(|task| tokio::spawn(increment(stores[task % 3].clone(), id))).collect();
    assert_counted(&stores[2], &id, tasks).await;
    cutter.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_requests_leave_requests_and_replies_in_step() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = open(&server.url()).await;
    let mut sessions = Vec::new();
    for _ in 0..64 {
        let session = record(None, NOW);
        insert(&store, &session).await;
        sessions.push(session.id());
    }
    for round in 0..50 {
        let tasks = sessions.iter().enumerate().map(|(i, id)| {
            let (store, id) = (store.clone(), *id);
            tokio::spawn(async move {
                // Some are cancelled before they are sent, some before the reply, some not at all.
                let limit = Duration::from_micros((i as u64 * 7 + round) % 400);
                if let Ok(loaded) = tokio::time::timeout(limit, store.load(&id, Freshness::Latest)).await {
                    assert_eq!(loaded.unwrap().unwrap().id(), id);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    for id in &sessions {
        assert_eq!(store.load(id, Freshness::Latest).await.unwrap().unwrap().id(), *id);
    }
}
