//! A primary with replicas, and the sentinels that choose another one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{Deleted, SessionId, SessionStore, StoreErrorKind, Touched, Updated};
use session_redis::RedisStore;
use support::records::{MINUTE, NOW, alone, created, exists, insert, next, record, user};
use support::{Sentinels, Server, eventually};

const TIMEOUT: Duration = Duration::from_millis(600);
/// How much later than its time limit an operation may answer on a busy machine.
const MARGIN: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn a_write_counts_only_once_the_replica_has_it() {
    let primary = Server::start(&["--repl-diskless-sync-delay", "0"]).await;
    let of = primary.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &of]).await;
    eventually("the replica is connected", async || {
        primary.run::<String>("INFO replication").await.contains("state=online")
    })
    .await;
    let builder = RedisStore::builder(&primary.url()).operation_timeout(TIMEOUT);
    let store = builder.wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
    let alice = user("alice");
    let (one, two) = (record(Some(&alice), NOW), record(Some(&alice), NOW));

    assert_eq!(store.create(alone(&one), NOW).await.unwrap(), created());
    insert(&store, &two).await;
    let change = next(&one);
    assert_eq!(store.update(&change, one.version, NOW).await.unwrap(), Updated::Applied);
    assert!(primary.keys().await.iter().all(|(_, ttl)| *ttl > 0), "the fence has a time to live, too");

    // Errors are the same as without waiting.
    primary.run::<()>("CONFIG SET maxmemory 1").await;
    let full = store.create(alone(&record(None, NOW)), NOW).await.unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full, "{full}");
    primary.run::<()>("CONFIG SET maxmemory 0").await;
    primary.run::<()>("SCRIPT FLUSH").await;
    assert_eq!(store.update(&next(&two), two.version, NOW).await.unwrap(), Updated::Applied);

    replica.freeze();
    let timed_out = |started: Instant, error: session_core::StoreError| {
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error}");
        assert!(started.elapsed() < TIMEOUT + MARGIN, "{:?}", started.elapsed());
    };
    let start = Instant::now();
    timed_out(start, store.update(&next(&change), change.version, NOW).await.unwrap_err());
    let start = Instant::now();
    timed_out(start, store.delete(&one.id, Some(&alice)).await.unwrap_err());
    // Executed all the same; and its repetition, which finds nothing to delete, is not good news either.
    assert!(!exists(&store, &one.id).await);
    let start = Instant::now();
    timed_out(start, store.delete(&one.id, Some(&alice)).await.unwrap_err());
    let start = Instant::now();
    timed_out(start, store.create(alone(&record(None, NOW)), NOW).await.unwrap_err());
    let start = Instant::now();
    timed_out(start, store.delete_by_user(&alice, None).await.unwrap_err());
    assert!(store.list_by_user(&alice, NOW).await.unwrap().is_empty());
    let start = Instant::now();
    timed_out(start, store.delete_by_user(&alice, None).await.unwrap_err());
    // What does not wait goes on.
    let start = Instant::now();
    let two = record(Some(&alice), NOW);
    insert(&RedisStore::connect(&primary.url()).await.unwrap(), &two).await;
    assert_eq!(store.touch(&two.id, Some(&alice), NOW + MINUTE, NOW).await.unwrap(), Touched::Applied);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    assert!(start.elapsed() < MARGIN, "{:?}", start.elapsed());

    replica.thaw();
    eventually("writes work again", async || store.delete(&two.id, Some(&alice)).await.is_ok()).await;
    assert_eq!(store.delete(&one.id, Some(&alice)).await.unwrap(), Deleted::Absent);
}

/// Logs 200 sessions out, the second half of them while the replicas lag behind, and kills the primary. Returns how many
/// logouts were acknowledged, and how many of those were undone by the failover.
async fn logouts_undone(wait: Option<NonZeroU32>) -> (usize, usize) {
    let mut set = Sentinels::start().await;
    let mut builder = RedisStore::builder(&set.url()).operation_timeout(TIMEOUT);
    if let Some(replicas) = wait {
        builder = builder.wait_for_replicas(replicas);
    }
    let store = Arc::new(builder.connect().await.unwrap());
    let alice = user("alice");
    let mut sessions = Vec::new();
    for _ in 0..200 {
        let session = record(Some(&alice), NOW);
        insert(&*store, &session).await;
        sessions.push(session.id);
    }
    let primary = set.primary().await;
    let replicas: Vec<usize> = (0..3).filter(|server| *server != primary).collect();
    for replica in &replicas {
        eventually("the replicas have all", async || set.servers[*replica].run::<u32>("DBSIZE").await >= 201).await;
    }
    let log_out = async |ids: &[SessionId]| {
        let tasks = ids.iter().map(|id| {
            let (store, alice, id) = (Arc::clone(&store), alice.clone(), *id);
            tokio::spawn(async move { store.delete(&id, Some(&alice)).await.ok().map(|_| id) })
        });
        let mut done = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            done.extend(task.await.unwrap());
        }
        done
    };
    let mut acknowledged = log_out(&sessions[..100]).await;
    replicas.iter().for_each(|replica| set.servers[*replica].freeze());
    // Else what is sent from now on would wait in the sockets of the frozen replicas.
    set.servers[primary].run::<u32>("CLIENT KILL TYPE replica").await;
    acknowledged.extend(log_out(&sessions[100..]).await);
    set.servers[primary].kill();
    replicas.iter().for_each(|replica| set.servers[*replica].thaw());
    let probe = record(None, NOW);
    let resumed = async || set.primary().await != primary && store.create(alone(&probe), NOW).await.is_ok();
    eventually("service resumes", resumed).await;
    let mut undone = 0;
    for id in &acknowledged {
        // The sentinels may move clients once more.
        let loaded = loop {
            match store.load(id).await {
                Ok(loaded) => break loaded,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        undone += usize::from(loaded.is_some());
    }
    (acknowledged.len(), undone)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_undoes_no_logout_that_waited_for_a_replica() {
    let (acknowledged, undone) = logouts_undone(Some(NonZeroU32::MIN)).await;
    assert!(acknowledged >= 100, "{acknowledged}");
    assert_eq!(undone, 0, "of {acknowledged}");
    // What the option is for, and proof that this test would notice.
    let (acknowledged, undone) = logouts_undone(None).await;
    assert_eq!(acknowledged, 200);
    assert!(undone > 0, "the replicas did not lag behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_becomes_a_replica_is_left() {
    let set = Sentinels::start().await;
    let store = RedisStore::builder(&set.url()).operation_timeout(TIMEOUT).connect().await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    let old = set.primary().await;
    set.sentinels[0].run::<()>("SENTINEL FAILOVER mymaster").await;
    let seen = NOW + MINUTE;
    eventually("the sentinels have chosen another, and writes reach it", async || {
        set.primary().await != old && store.touch(&session.id, None, seen, NOW).await.is_ok()
    })
    .await;
    eventually("the old primary follows", async || {
        set.servers[old].run::<String>("INFO replication").await.contains("role:slave")
    })
    .await;
    let later = seen + MINUTE;
    eventually("writes go on", async || {
        store.touch(&session.id, None, later, NOW).await.is_ok_and(|touched| touched == Touched::Applied)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_unavailable_and_not_absent() {
    let server = Server::start(&[]).await;
    let store = RedisStore::builder(&server.url()).operation_timeout(TIMEOUT).connect().await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    server.run::<()>("REPLICAOF 127.0.0.1 1").await;
    for _ in 0..5 {
        let error = store.touch(&session.id, None, NOW + MINUTE, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    server.run::<()>("REPLICAOF NO ONE").await;
    eventually("writes work", async || store.touch(&session.id, None, NOW + MINUTE, NOW).await.is_ok()).await;
}
