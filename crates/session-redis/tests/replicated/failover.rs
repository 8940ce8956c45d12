//! `kill -9` of a primary in use: service resumes, and no acknowledged logout is undone.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, Freshness, SessionStore, TouchOutcome};
use session_core::{DeleteOutcome, SessionId, UserId};
use session_redis::RedisStore;
use session_testbed::records::{MINUTE, NOW, insert, record, shop, user};
use session_testbed::servers::{Redis, RedisCluster, RedisSentinel};

use crate::support::{eventually, index_key, run};

const TIMEOUT: Duration = Duration::from_millis(600);
/// How many sessions there are to log out.
const STOCK: usize = 2000;
const WORKERS: usize = 8;

/// Servers that fail over.
enum Set {
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
}

impl Set {
    fn url(&self) -> String {
        match self {
            Self::Sentinel(set) => set.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// The primary of the sessions of `user`, as soon as there is one.
    async fn primary_of(&self, user: &UserId) -> &Redis {
        match self {
            Self::Sentinel(set) => set.primary().await.unwrap(),
            Self::Cluster(cluster) => cluster.primary_of(&index_key(user)).await.unwrap(),
        }
    }

    fn nodes(&self) -> &[Redis] {
        match self {
            Self::Sentinel(set) => set.nodes(),
            Self::Cluster(cluster) => cluster.nodes(),
        }
    }

    async fn replicas_of(&self, primary: &Redis) -> Vec<&Redis> {
        let mut replicas = Vec::new();
        for node in self.nodes() {
            let role = run(node, "ROLE").await;
            if role.list()[0].text() == "slave" && role.list()[2].number() == Some(i64::from(primary.port())) {
                replicas.push(node);
            }
        }
        replicas
    }
}

/// Logs sessions of one user out, one after the other, in several tasks. Meanwhile the replicas are cut off for a
/// moment, and in that moment the primary is killed. None of the
/// logouts that were acknowledged is undone.
async fn log_out_during_failover(set: &Set, wait: NonZeroU32) {
    let builder = RedisStore::builder(&set.url(), shop()).operation_timeout(TIMEOUT).wait_for_replicas(wait);
    let store = builder.connect().await.unwrap();
    let alice = user("alice");
    let plain = RedisStore::connect(&set.url(), shop()).await.unwrap();
    let mut stock = Vec::new();
    for _ in 0..STOCK {
        let session = record(Some(&alice), NOW);
        insert(&plain, &session).await;
        stock.push(session.id());
    }
    let primary = set.primary_of(&alice).await;
    let replicas = set.replicas_of(primary).await;
    for replica in &replicas {
        let same = async || run(replica, "DBSIZE").await == run(primary, "DBSIZE").await;
        eventually("the replicas have all", same).await;
    }

    let done = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = stock
        .chunks(STOCK / WORKERS)
        .map(|ids| tokio::spawn(log_out(store.clone(), alice.clone(), ids.to_vec(), Arc::clone(&done))))
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for replica in &replicas {
        replica.pause().await.unwrap();
    }
    // Otherwise what is sent from now on would wait in the sockets of the paused replicas.
    run(primary, "CLIENT KILL TYPE replica").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    primary.kill9().await.unwrap();
    let death = Instant::now();
    for replica in &replicas {
        replica.resume().await.unwrap();
    }
    let new = set.primary_of(&alice).await;
    assert_ne!(new.port(), primary.port());
    // It becomes a replica: without it there would be too few to wait for.
    primary.start().await.unwrap();
    let probe = record(Some(&alice), NOW);
    eventually("logins are acknowledged", async || store.create(CreateRequest::new(&probe), NOW).await.is_ok()).await;
    let touch = async || store.touch(&probe.id(), Some(&alice), NOW + MINUTE).await;
    eventually("the session is there", async || touch().await.is_ok_and(|it| it == TouchOutcome::Applied)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    done.store(true, Ordering::SeqCst);

    let (mut acknowledged, mut resumed) = (Vec::new(), None);
    for worker in workers {
        for (id, at) in worker.await.unwrap() {
            acknowledged.push(id);
            if let Some(after) = at.checked_duration_since(death) {
                resumed = Some(resumed.unwrap_or(after).min(after));
            }
        }
    }
    for id in &acknowledged {
        // There may have been another failover.
        eventually("it is gone", async || store.load(id, Freshness::Latest).await.is_ok_and(|stored| stored.is_none()))
            .await;
    }
    println!("{} logouts; resumed after {:?}", acknowledged.len(), resumed.expect("logouts are acknowledged again"));
    assert!(acknowledged.len() > 100, "too few logouts to tell");
}

/// Logs each session out, retrying until it is acknowledged, and returns when that was.
async fn log_out(
    store: RedisStore,
    alice: UserId,
    ids: Vec<SessionId>,
    done: Arc<AtomicBool>,
) -> Vec<(SessionId, Instant)> {
    let mut acknowledged = Vec::new();
    for id in ids {
        while !done.load(Ordering::SeqCst) {
            match store.delete(&id, Some(&alice)).await {
                // Absent: an earlier attempt deleted it, and its reply was lost.
                Ok(DeleteOutcome::Deleted | DeleteOutcome::Absent) => {
                    acknowledged.push((id, Instant::now()));
                    break;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acknowledged
}

/// Both replicas, as either may be chosen.
#[tokio::test(flavor = "multi_thread")]
async fn sentinel_undoes_no_logout_that_waited_for_the_replicas() {
    let set = Set::Sentinel(RedisSentinel::launch(&[]).await.unwrap());
    log_out_during_failover(&set, NonZeroU32::new(2).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_undoes_no_logout_that_waited_for_the_replica() {
    let set = Set::Cluster(RedisCluster::launch(1, &[]).await.unwrap());
    log_out_during_failover(&set, NonZeroU32::MIN).await;
}

/// A node that is frozen rather than dead closes no connection, and the store is not notified of its replacement.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_of_a_cluster_is_left_for_its_replica() {
    let cluster = RedisCluster::launch(1, &[("cluster-require-full-coverage", "no")]).await.unwrap();
    let store = RedisStore::builder(&cluster.url(), shop()).operation_timeout(TIMEOUT).connect().await.unwrap();
    let (alice, bob) = (user("alice"), user("bob"));
    let frozen = cluster.primary_of(&index_key(&alice)).await.unwrap();
    assert_ne!(cluster.primary_of(&index_key(&bob)).await.unwrap().port(), frozen.port());
    let (of_alice, of_bob) = (record(Some(&alice), NOW), record(Some(&bob), NOW));
    insert(&store, &of_bob).await;
    // The replica has to have it.
    let waiting =
        RedisStore::builder(&cluster.url(), shop()).wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
    eventually("it is there twice", async || waiting.create(CreateRequest::new(&of_alice), NOW).await.is_ok()).await;
    frozen.pause().await.unwrap();

    let (rounds, held_up) = (AtomicU32::new(0), AtomicU32::new(0));
    // At the same time: replies of the other nodes must not hide that this one does not answer.
    let found = async || {
        let (found, other) = tokio::join!(
            store.load(&of_alice.summary.id, Freshness::Latest),
            store.load(&of_bob.summary.id, Freshness::Latest)
        );
        rounds.fetch_add(1, Ordering::SeqCst);
        held_up.fetch_add(u32::from(other.is_err()), Ordering::SeqCst);
        found.is_ok_and(|stored| stored.is_some())
    };
    let index = index_key(&alice);
    let (new, back) = tokio::join!(cluster.primary_of(&index), eventually("the replica is found", found));
    assert_ne!(new.unwrap().port(), frozen.port());
    println!("Cluster, frozen primary: back after {back:?}; on the others {held_up:?} of {rounds:?} requests failed");
    assert!(held_up.into_inner() < rounds.into_inner(), "the other nodes do not depend on it");
}
