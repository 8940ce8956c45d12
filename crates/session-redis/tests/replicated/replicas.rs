//! Writes that wait for replicas, and a primary that becomes a replica.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, StoreError, StoreErrorKind};
use session_redis::RedisStore;
use session_testbed::records::{MINUTE, NOW, created, insert, load, next, record, shop, user};
use session_testbed::servers::{Redis, RedisSentinel};

use crate::support::{assert_all_expire, eventually, run};

const TIMEOUT: Duration = Duration::from_millis(600);
/// How much later than its time limit an operation may answer on a busy machine.
const MARGIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_write_counts_only_once_the_replica_has_it() {
    let primary = Redis::launch(&[]).await.unwrap();
    let replica = Redis::launch(&[("replicaof", &format!("127.0.0.1 {}", primary.port()))]).await.unwrap();
    eventually("the replica is connected", async || {
        run(&primary, "INFO replication").await.text().contains("state=online")
    })
    .await;
    let builder = RedisStore::builder(&primary.url(), shop()).operation_timeout(TIMEOUT);
    let store = builder.wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
    // After its first copy a replica is slow for a moment.
    let probe = record(None, NOW);
    eventually("the replica keeps up", async || store.create(CreateRequest::new(&probe), NOW).await.is_ok()).await;
    let alice = user("alice");
    let (one, two) = (record(Some(&alice), NOW), record(Some(&alice), NOW));

    assert_eq!(store.create(CreateRequest::new(&one), NOW).await.unwrap(), created());
    insert(&store, &two).await;
    let change = next(&one);
    assert_eq!(store.update(&change, one.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_all_expire(&primary, "a write that waited").await;

    // Errors are the same as without waiting.
    run(&primary, "CONFIG SET maxmemory 1").await;
    let full = store.create(CreateRequest::new(&record(None, NOW)), NOW).await.unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full, "{full}");
    run(&primary, "CONFIG SET maxmemory 0").await;
    run(&primary, "SCRIPT FLUSH").await;
    assert_eq!(store.update(&next(&two), two.version, NOW).await.unwrap(), UpdateOutcome::Applied);

    replica.pause().await.unwrap();
    times_out(store.update(&next(&change), change.version, NOW)).await;
    times_out(store.delete(&one.id(), Some(&alice))).await;
    // Executed all the same. Its repetition finds nothing to delete, and that is not confirmed either.
    assert!(load(&store, &one.id()).await.is_none());
    times_out(store.delete(&one.id(), Some(&alice))).await;
    times_out(store.create(CreateRequest::new(&record(None, NOW)), NOW)).await;
    times_out(store.delete_by_user(&alice, None, NOW)).await;
    assert!(store.list_by_user(&alice, NOW).await.unwrap().sessions.is_empty());
    times_out(store.delete_by_user(&alice, None, NOW)).await;
    // What does not wait is not affected.
    let start = Instant::now();
    let two = record(Some(&alice), NOW);
    insert(&RedisStore::connect(&primary.url(), shop()).await.unwrap(), &two).await;
    assert_eq!(store.touch(&two.id(), Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 1);
    assert!(start.elapsed() < MARGIN, "{:?}", start.elapsed());

    replica.resume().await.unwrap();
    eventually("writes work again", async || store.delete(&two.id(), Some(&alice)).await.is_ok()).await;
    assert_eq!(store.delete(&one.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Absent);
}

async fn times_out<T: std::fmt::Debug>(call: impl Future<Output = Result<T, StoreError>>) {
    let start = Instant::now();
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error}");
    assert!(start.elapsed() < TIMEOUT + MARGIN, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_becomes_a_replica_is_left() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let store = RedisStore::builder(&set.url(), shop()).operation_timeout(TIMEOUT).connect().await.unwrap();
    // The replicas have to have it. After their first copy they are slow for a moment.
    let builder = RedisStore::builder(&set.url(), shop()).wait_for_replicas(NonZeroU32::new(2).unwrap());
    let waiting = builder.connect().await.unwrap();
    let session = record(None, NOW);
    eventually("all have it", async || waiting.create(CreateRequest::new(&session), NOW).await.is_ok()).await;
    let old = set.primary().await.unwrap();
    run(&set.sentinels()[0], &format!("SENTINEL FAILOVER {}", set.service())).await;
    let seen = NOW + MINUTE;
    eventually("the sentinels have chosen another, and writes reach it", async || {
        set.primary().await.unwrap().port() != old.port() && store.touch(&session.id(), None, seen).await.is_ok()
    })
    .await;
    eventually("the old primary follows", async || {
        let info = old.command(&["INFO", "replication"]).await;
        info.is_ok_and(|info| info.text().contains("role:slave"))
    })
    .await;
    let later = seen + MINUTE;
    eventually("writes go on", async || {
        store.touch(&session.id(), None, later).await.is_ok_and(|touched| touched == TouchOutcome::Applied)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_unavailable_and_not_absent() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::builder(&server.url(), shop()).operation_timeout(TIMEOUT).connect().await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    run(&server, "REPLICAOF 127.0.0.1 1").await;
    for _ in 0..5 {
        let error = store.touch(&session.id(), None, NOW + MINUTE).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    run(&server, "REPLICAOF NO ONE").await;
    eventually("writes work", async || store.touch(&session.id(), None, NOW + MINUTE).await.is_ok()).await;
}

/// A sentinel that does not answer is skipped.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_sentinel_does_not_keep_the_store_from_the_primary() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    // The first of the URL.
    set.sentinels()[0].pause().await.unwrap();
    let builder = RedisStore::builder(&set.url(), shop()).operation_timeout(Duration::from_secs(20));
    let store = builder.connect().await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert!(load(&store, &session.id()).await.is_some());
}
