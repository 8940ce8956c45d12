//! A server that dies, freezes, or loses replies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{Admission, Deleted, Replaces, SessionId, SessionStore, StoreErrorKind, Touched, Updated};
use session_redis::{ConnectError, RedisStore};
use support::proxy::Proxy;
use support::records::{MINUTE, NOW, alone, count, created, exists, increment, insert, next, record, user};
use support::{Server, eventually, free_port};

const TIMEOUT: Duration = Duration::from_millis(300);
/// How much later than its time limit an operation may answer on a busy machine.
const MARGIN: Duration = Duration::from_millis(300);

async fn open(url: &str) -> RedisStore {
    RedisStore::builder(url).operation_timeout(TIMEOUT).connect().await.unwrap()
}

/// The sessions can be read again, within two seconds.
async fn back_within_two_seconds(store: &RedisStore, id: &SessionId) {
    let start = Instant::now();
    eventually("the store works again", async || store.load(id).await.is_ok()).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_unavailable_at_once_and_back_at_once() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let store = open(&server.url()).await;
    let session = record(None, NOW);
    insert(&store, &session).await;
    server.kill();
    for _ in 0..20 {
        let start = Instant::now();
        let error = store.load(&session.id).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(start.elapsed() < TIMEOUT, "{:?}", start.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.restart().await;
    back_within_two_seconds(&store, &session.id).await;
    assert!(exists(&store, &session.id).await, "unavailable is not absent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_between_requests_is_not_noticed() {
    let server = Server::start(&[]).await;
    let store = open(&server.url()).await;
    let session = record(None, NOW);
    insert(&store, &session).await;
    for _ in 0..20 {
        server.run::<()>("CLIENT KILL TYPE normal SKIPME yes").await;
        assert!(exists(&store, &session.id).await);
        server.run::<()>("CLIENT KILL TYPE normal SKIPME yes").await;
        assert_eq!(store.touch(&session.id, None, NOW + MINUTE, NOW).await.unwrap(), Touched::Applied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_costs_each_request_its_time_limit_and_no_more() {
    let server = Server::start(&[]).await;
    let store = Arc::new(open(&server.url()).await);
    let alice = user("alice");
    let session = record(Some(&alice), NOW);
    insert(&*store, &session).await;
    for frozen_for in [Duration::from_millis(500), Duration::from_secs(3)] {
        server.freeze();
        let start = Instant::now();
        while start.elapsed() < frozen_for {
            let requests = (0..16).map(|_| {
                let (store, id) = (Arc::clone(&store), session.id);
                tokio::spawn(async move {
                    let start = Instant::now();
                    let error = store.load(&id).await.unwrap_err();
                    assert!(matches!(error.kind(), StoreErrorKind::Timeout | StoreErrorKind::Unavailable), "{error}");
                    assert!(start.elapsed() < TIMEOUT + MARGIN, "{:?}", start.elapsed());
                })
            });
            for request in requests.collect::<Vec<_>>() {
                request.await.unwrap();
            }
        }
        server.thaw();
        back_within_two_seconds(&store, &session.id).await;
        assert!(exists(&*store, &session.id).await);
        assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_a_timeout() {
    // Connections are accepted by the operating system, and nobody reads from them.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let start = Instant::now();
    let error = RedisStore::builder(&url).operation_timeout(TIMEOUT).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unavailable(error) if error.kind() == StoreErrorKind::Timeout), "{error}");
    assert!(start.elapsed() < TIMEOUT + MARGIN, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_may_start_before_the_server() {
    let port = free_port();
    let url = format!("redis://127.0.0.1:{port}");
    assert!(matches!(RedisStore::connect(&url).await, Err(ConnectError::Unavailable(_))));
    let store = RedisStore::builder(&url).operation_timeout(TIMEOUT).connect_lazy().unwrap();
    let session = record(None, NOW);
    assert_eq!(store.create(alone(&session), NOW).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    let _server = Server::start_on(port, &[]).await;
    back_within_two_seconds(&store, &session.id).await;
    insert(&store, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_asked_for_again() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port).await;
    let store = open(&proxy.url()).await;
    let alice = user("alice");
    let visitor = record(None, NOW);
    insert(&store, &visitor).await;

    let login = record(Some(&alice), NOW);
    let replaces = Some(Replaces { id: visitor.id, user: None, version: visitor.version });
    // Teaches the server the scripts: "no such script" is not the reply that is to be lost.
    let pupil = record(None, NOW);
    insert(&store, &pupil).await;
    assert_eq!(store.update(&next(&pupil), pupil.version, NOW).await.unwrap(), Updated::Applied);
    assert_eq!(store.touch(&pupil.id, None, NOW, NOW).await.unwrap(), Touched::Applied);
    assert_eq!(store.delete(&pupil.id, None).await.unwrap(), Deleted::Deleted);

    proxy.cut_next_reply();
    assert_eq!(store.create(Admission { replaces, ..alone(&login) }, NOW).await.unwrap(), created());
    let change = next(&login);
    proxy.cut_next_reply();
    assert_eq!(store.update(&change, login.version, NOW).await.unwrap(), Updated::Applied);
    proxy.cut_next_reply();
    assert_eq!(store.touch(&login.id, Some(&alice), NOW + MINUTE, NOW).await.unwrap(), Touched::Applied);
    proxy.cut_next_reply();
    assert_eq!(store.load(&login.id).await.unwrap().unwrap().version, change.version);
    proxy.cut_next_reply();
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    proxy.cut_next_reply();
    // Gone, by whichever of the two executions.
    assert_eq!(store.delete(&login.id, Some(&alice)).await.unwrap(), Deleted::Absent);
    assert!(!exists(&store, &login.id).await);
}

/// The reply of an update is lost, and before it is repeated somebody else updates: it must not look like a conflict,
/// because core would then apply the change a second time.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_may_have_been_executed_is_not_a_conflict() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port).await;
    let here = Arc::new(RedisStore::connect(&proxy.url()).await.unwrap());
    let there = open(&server.url()).await;
    let first = record(None, NOW);
    insert(&there, &first).await;
    let second = next(&first);
    assert_eq!(there.update(&second, first.version, NOW).await.unwrap(), Updated::Applied);

    let third = next(&second);
    proxy.cut_next_reply();
    proxy.set_open(false);
    let update = {
        let (here, third, expected) = (Arc::clone(&here), third.clone(), second.version);
        tokio::spawn(async move { here.update(&third, expected, NOW).await })
    };
    eventually("it is executed", async || there.load(&first.id).await.unwrap().unwrap().version == third.version).await;
    assert_eq!(there.update(&next(&third), third.version, NOW).await.unwrap(), Updated::Applied);
    proxy.set_open(true);
    let error = update.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    // On a sound connection a conflict is a conflict.
    assert_eq!(here.update(&next(&third), third.version, NOW).await.unwrap(), Updated::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_increment_is_lost_when_replies_are() {
    let server = Server::start(&[]).await;
    let proxy = Arc::new(Proxy::start(server.port).await);
    let session = record(None, NOW);
    let direct = open(&server.url()).await;
    insert(&direct, &session).await;
    let stores = [Arc::new(open(&proxy.url()).await), Arc::new(open(&proxy.url()).await), Arc::new(direct)];
    let cutter = {
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                proxy.cut_next_reply();
            }
        })
    };
    let tasks = (0..12).map(|task| {
        let (store, id) = (Arc::clone(&stores[task % 3]), session.id);
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
    let total = count(&stores[2].load(&session.id).await.unwrap().unwrap());
    assert!((added..=added + unknown).contains(&total), "{total} after {added} that worked and {unknown} unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_requests_leave_the_connection_in_step() {
    let server = Server::start(&[]).await;
    let store = Arc::new(open(&server.url()).await);
    let mut sessions = Vec::new();
    for _ in 0..64 {
        let session = record(None, NOW);
        insert(&*store, &session).await;
        sessions.push(session.id);
    }
    for round in 0..50 {
        let tasks = sessions.iter().enumerate().map(|(i, id)| {
            let (store, id) = (Arc::clone(&store), *id);
            tokio::spawn(async move {
                // Some are dropped before they are sent, some before the reply, some not at all.
                let limit = Duration::from_micros((i as u64 * 7 + round) % 400);
                if let Ok(loaded) = tokio::time::timeout(limit, store.load(&id)).await {
                    assert_eq!(loaded.unwrap().unwrap().id, id);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    for id in &sessions {
        assert_eq!(store.load(id).await.unwrap().unwrap().id, *id);
    }
}
