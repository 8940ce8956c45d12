//! Replies that are lost on the way, and callers that do not wait for theirs.

use std::sync::Arc;
use std::time::Duration;

use session_core::store::{CreateRequest, Freshness, Replacement, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::servers::Redis;

use crate::faults::{open, url};
use crate::support::eventually;
use crate::support::records::{MINUTE, NOW, alone, count, created, exists, increment, insert, next, record, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_asked_for_again() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = open(&url(&proxy)).await;
    let alice = user("alice");
    let visitor = record(None, NOW);
    insert(&store, &visitor).await;

    let login = record(Some(&alice), NOW);
    let replaces = Some(Replacement { id: visitor.summary.id, user: None, version: visitor.version });
    // Teaches the server the scripts: "no such script" is not the reply that is to be lost.
    let pupil = record(None, NOW);
    insert(&store, &pupil).await;
    assert_eq!(store.update(&next(&pupil), pupil.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_eq!(store.touch(&pupil.summary.id, None, NOW).await.unwrap(), TouchOutcome::Applied);
    assert_eq!(store.delete(&pupil.summary.id, None).await.unwrap(), DeleteOutcome::Deleted);

    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.create(CreateRequest { replaces, ..alone(&login) }, NOW).await.unwrap(), created());
    let change = next(&login);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.update(&change, login.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.touch(&login.summary.id, Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.load(&login.summary.id, Freshness::Latest).await.unwrap().unwrap().version, change.version);
    proxy.cut_one_reply(1, Mode::Pass);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    proxy.cut_one_reply(1, Mode::Pass);
    // Gone, by whichever of the two executions.
    assert_eq!(store.delete(&login.summary.id, Some(&alice)).await.unwrap(), DeleteOutcome::Absent);
    assert!(!exists(&store, &login.summary.id).await);
}

/// The reply of an update is lost, and before it is repeated somebody else updates: it must not look like a conflict,
/// because core would then apply the change a second time.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_may_have_been_executed_is_not_a_conflict() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let here = Arc::new(RedisStore::connect(&url(&proxy)).await.unwrap());
    let there = open(&server.url()).await;
    let first = record(None, NOW);
    insert(&there, &first).await;
    let second = next(&first);
    assert_eq!(there.update(&second, first.version, NOW).await.unwrap(), UpdateOutcome::Applied);

    let third = next(&second);
    proxy.cut_one_reply(0, Mode::BlackHole);
    let update = {
        let (here, third, expected) = (Arc::clone(&here), third.clone(), second.version);
        tokio::spawn(async move { here.update(&third, expected, NOW).await })
    };
    eventually("it is executed", async || {
        there.load(&first.summary.id, Freshness::Latest).await.unwrap().unwrap().version == third.version
    })
    .await;
    assert_eq!(there.update(&next(&third), third.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    proxy.set(Mode::Pass);
    let error = update.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    // On a sound connection a conflict is a conflict.
    assert_eq!(here.update(&next(&third), third.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_increment_is_lost_when_replies_are() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Arc::new(Proxy::start(server.address()).await.unwrap());
    let session = record(None, NOW);
    let id = session.summary.id;
    let direct = open(&server.url()).await;
    insert(&direct, &session).await;
    let stores = [Arc::new(open(&url(&proxy)).await), Arc::new(open(&url(&proxy)).await), Arc::new(direct)];
    let cutter = {
        let (proxy, victims) = (Arc::clone(&proxy), stores[..2].to_vec());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                // Replies to requests are to be cut, not those that a connection begins with.
                for store in &victims {
                    while store.load(&id, Freshness::Latest).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                proxy.cut_one_reply(1, Mode::Pass);
            }
        })
    };
    let tasks = (0..12).map(|task| {
        let (store, id) = (Arc::clone(&stores[task % 3]), session.summary.id);
        tokio::spawn(async move {
            let (mut added, mut unknown) = (0, 0);
            for _ in 0..20 {
                match increment(&*store, &id).await {
                    true => added += 1,
                    false => unknown += 1,
                }
            }
            (added, unknown)
        })
    });
    let (mut added, mut unknown) = (0, 0);
    for task in tasks.collect::<Vec<_>>() {
        let (more, lost) = task.await.unwrap();
        added += more;
        unknown += lost;
    }
    cutter.abort();
    let total = count(&stores[2].load(&session.summary.id, Freshness::Latest).await.unwrap().unwrap());
    assert!((added..=added + unknown).contains(&total), "{total} after {added} that worked and {unknown} unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_requests_leave_the_connection_in_step() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = Arc::new(open(&server.url()).await);
    let mut sessions = Vec::new();
    for _ in 0..64 {
        let session = record(None, NOW);
        insert(&*store, &session).await;
        sessions.push(session.summary.id);
    }
    for round in 0..50 {
        let tasks = sessions.iter().enumerate().map(|(i, id)| {
            let (store, id) = (Arc::clone(&store), *id);
            tokio::spawn(async move {
                // Some are dropped before they are sent, some before the reply, some not at all.
                let limit = Duration::from_micros((i as u64 * 7 + round) % 400);
                if let Ok(loaded) = tokio::time::timeout(limit, store.load(&id, Freshness::Latest)).await {
                    assert_eq!(loaded.unwrap().unwrap().summary.id, id);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    for id in &sessions {
        assert_eq!(store.load(id, Freshness::Latest).await.unwrap().unwrap().summary.id, *id);
    }
}
