//! A Cluster of three primaries with a replica each, all of them up.

use std::num::NonZeroU32;
use std::process::Command;
use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, LimitPolicy, SessionId, UserId};
use session_redis::RedisStore;
use session_testbed::servers::RedisCluster;

use crate::support::records::{
    MINUTE, NOW, assert_counted, created, exists, increment, insert, limit, next, record, replacing, user,
};
use crate::support::{assert_all_expire, cut_clients, eventually, run};

/// An anonymous session that is not in the shard of `user`.
fn anonymous(user: &UserId) -> Record {
    let mut sessions = std::iter::repeat_with(|| record(None, NOW));
    sessions.find(|session| session.id().shard() != user.shard()).unwrap()
}

/// One Cluster for all these cases: starting one takes seconds. Each case has users and ids of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::launch(1, &[]).await.unwrap();
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    login_moves_the_session_to_another_slot(&store).await;
    a_login_that_is_refused_leaves_no_new_session(&store).await;
    one_of_many_logins_from_one_session_wins(&store).await;
    a_repeated_login_finishes_what_the_first_began(&store).await;
    a_cancelled_login_leaves_one_session(&store).await;
    users_of_all_shards_are_served(&store).await;
    scripts_may_be_forgotten(&cluster, &store).await;
    lost_connections_lose_no_increment(&cluster, &store).await;
    slots_may_move(&cluster, &store).await;
    every_key_has_a_time_to_live(&cluster).await;
}

async fn login_moves_the_session_to_another_slot(store: &RedisStore) {
    let alice = user("alice");
    let (anonymous, new) = (anonymous(&alice), record(Some(&alice), NOW));
    insert(store, &anonymous).await;
    assert_eq!(store.create(replacing(&new, &anonymous), NOW).await.unwrap(), created());
    assert!(!exists(store, &anonymous.id()).await && exists(store, &new.id()).await);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    // And on to another user: the index of the first one is updated, too.
    let bob = user("bob");
    let newer = record(Some(&bob), NOW);
    assert_eq!(store.create(replacing(&newer, &new), NOW).await.unwrap(), created());
    assert!(store.list_by_user(&alice, NOW).await.unwrap().is_empty());
    assert_eq!(store.list_by_user(&bob, NOW).await.unwrap().len(), 1);
}

async fn a_login_that_is_refused_leaves_no_new_session(store: &RedisStore) {
    let carol = user("carol");
    let anonymous = anonymous(&carol);
    let new = record(Some(&carol), NOW);
    assert_eq!(store.create(replacing(&new, &anonymous), NOW).await.unwrap(), CreateOutcome::ReplacedAbsent);
    insert(store, &anonymous).await;
    let expired = anonymous.deadline();
    assert_eq!(store.create(replacing(&new, &anonymous), expired).await.unwrap(), CreateOutcome::ReplacedAbsent);
    assert_eq!(store.update(&next(&anonymous), anonymous.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_eq!(store.create(replacing(&new, &anonymous), NOW).await.unwrap(), CreateOutcome::ReplacedChanged);
    assert!(!exists(store, &new.id()).await);
    let current = store.load(&anonymous.id(), Freshness::Latest).await.unwrap().unwrap();
    insert(store, &record(Some(&carol), NOW)).await;
    let full = replacing(&new, &current).within(limit(1, LimitPolicy::Reject));
    assert_eq!(store.create(full, NOW).await.unwrap(), CreateOutcome::LimitReached);
    assert!(!exists(store, &new.id()).await && exists(store, &anonymous.id()).await);
    assert_eq!(store.list_by_user(&carol, NOW).await.unwrap().len(), 1);
}

async fn one_of_many_logins_from_one_session_wins(store: &RedisStore) {
    let dave = user("dave");
    for _ in 0..10 {
        let anonymous = anonymous(&dave);
        insert(store, &anonymous).await;
        let logins = (0..16).map(|_| {
            let (store, anonymous, new) = (store.clone(), anonymous.clone(), record(Some(&dave), NOW));
            tokio::spawn(async move { store.create(replacing(&new, &anonymous), NOW).await.unwrap() })
        });
        let mut won = 0;
        for login in logins.collect::<Vec<_>>() {
            match login.await.unwrap() {
                CreateOutcome::Created { .. } => won += 1,
                CreateOutcome::ReplacedAbsent => {}
                other @ (CreateOutcome::IdTaken | CreateOutcome::LimitReached | CreateOutcome::ReplacedChanged) => {
                    panic!("{other:?}")
                }
            }
        }
        assert_eq!(won, 1);
        assert!(!exists(store, &anonymous.id()).await);
        assert_eq!(store.delete_by_user(&dave, None).await.unwrap().len(), 1, "the others rolled back");
    }
}

async fn a_repeated_login_finishes_what_the_first_began(store: &RedisStore) {
    let erin = user("erin");
    let (anonymous, new) = (anonymous(&erin), record(Some(&erin), NOW));
    insert(store, &anonymous).await;
    // The first attempt died after it had created the new session.
    insert(store, &new).await;
    for _ in 0..3 {
        assert_eq!(store.create(replacing(&new, &anonymous), NOW).await.unwrap(), created());
        assert!(!exists(store, &anonymous.id()).await && exists(store, &new.id()).await);
    }
    let other = Record { version: next(&new).version, ..new.clone() };
    assert_eq!(store.create(replacing(&other, &anonymous), NOW).await.unwrap(), CreateOutcome::IdTaken);
}

async fn a_cancelled_login_leaves_one_session(store: &RedisStore) {
    let frank = user("frank");
    for micros in (0..4000).step_by(100) {
        let (anonymous, new) = (anonymous(&frank), record(Some(&frank), NOW));
        insert(store, &anonymous).await;
        let _ =
            tokio::time::timeout(Duration::from_micros(micros), store.create(replacing(&new, &anonymous), NOW)).await;
        eventually("one of the two is there", async || {
            exists(store, &anonymous.id()).await != exists(store, &new.id()).await
        })
        .await;
    }
}

async fn users_of_all_shards_are_served(store: &RedisStore) {
    for n in 0..100 {
        let user = user(&format!("}}user{{{n}"));
        let (one, two) = (record(Some(&user), NOW), record(Some(&user), NOW + MINUTE));
        insert(store, &one).await;
        let second = CreateRequest::new(&two).within(limit(1, LimitPolicy::EvictOldest));
        assert_eq!(store.create(second, NOW).await.unwrap(), CreateOutcome::Created { evicted: vec![one.id()] });
        assert_eq!(store.touch(&two.id(), Some(&user), NOW + 2 * MINUTE).await.unwrap(), TouchOutcome::Applied);
        assert_eq!(store.delete(&two.id(), None).await.unwrap(), DeleteOutcome::Absent);
        assert_eq!(store.delete_by_user(&user, None).await.unwrap(), [two.id()]);
    }
}

async fn scripts_may_be_forgotten(cluster: &RedisCluster, store: &RedisStore) {
    let grace = user("grace");
    let session = record(Some(&grace), NOW);
    insert(store, &session).await;
    for node in cluster.nodes() {
        run(node, "SCRIPT FLUSH SYNC").await;
    }
    assert_eq!(store.update(&next(&session), session.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_eq!(store.delete(&session.id(), Some(&grace)).await.unwrap(), DeleteOutcome::Deleted);
}

async fn lost_connections_lose_no_increment(cluster: &RedisCluster, store: &RedisStore) {
    let session = record(None, NOW);
    insert(store, &session).await;
    let tasks = (0..8).map(|_| tokio::spawn(increment(store.clone(), session.id()))).collect();
    for round in 0..30 {
        cut_clients(&cluster.nodes()[round % 3]).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_counted(store, &session.id(), tasks).await;
}

/// Slots move to another primary while they are in use: no request fails.
async fn slots_may_move(cluster: &RedisCluster, store: &RedisStore) {
    let mut sessions = Vec::new();
    for n in 0..50 {
        let user = user(&format!("mover {n}"));
        let (one, two) = (record(Some(&user), NOW), record(Some(&user), NOW));
        insert(store, &one).await;
        insert(store, &two).await;
        sessions.push((user, one.id()));
    }
    let work = {
        let store = store.clone();
        let waiting = RedisStore::builder(&cluster.url()).wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
        tokio::spawn(async move {
            let mut failed = Vec::new();
            for round in 1..=20 {
                for (user, id) in &sessions {
                    let seen = NOW + Duration::from_secs(round);
                    failed.extend(store.touch(id, Some(user), seen).await.err());
                    failed.extend(store.list_by_user(user, NOW).await.err());
                    let session = record(Some(user), NOW);
                    failed.extend(waiting.create(CreateRequest::new(&session), NOW).await.err());
                    failed.extend(waiting.delete(&session.id(), Some(user)).await.err());
                }
            }
            let still_there = how_many_exist(&store, &sessions).await;
            (failed, still_there, sessions.len())
        })
    };
    // There was no failover: the first nodes are the primaries.
    let mut ids = Vec::new();
    for primary in &cluster.nodes()[..2] {
        ids.push(run(primary, "CLUSTER MYID").await.text().to_owned());
    }
    let address = cluster.nodes()[0].address().to_string();
    let moved = tokio::task::spawn_blocking(move || {
        let reshard = ["--cluster", "reshard", &address, "--cluster-from", &ids[0], "--cluster-to", &ids[1]];
        Command::new("redis-cli").args(reshard).args(["--cluster-slots", "1000", "--cluster-yes"]).output().unwrap()
    });
    let moved = moved.await.unwrap();
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stdout));
    let (failed, still_there, expected) = work.await.unwrap();
    assert!(failed.is_empty(), "{} requests failed, the first: {}", failed.len(), failed[0]);
    assert_eq!(still_there, expected);
}

async fn how_many_exist(store: &RedisStore, sessions: &[(UserId, SessionId)]) -> usize {
    let mut there = 0;
    for (_, id) in sessions {
        there += usize::from(exists(store, id).await);
    }
    there
}

async fn every_key_has_a_time_to_live(cluster: &RedisCluster) {
    let waiting = RedisStore::builder(&cluster.url()).wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
    let session = record(Some(&user("heidi")), NOW);
    insert(&waiting, &session).await;
    // Including the key that is written for WAIT, which lives for a second.
    for node in &cluster.nodes()[..3] {
        assert_all_expire(node, "all that").await;
    }
}
