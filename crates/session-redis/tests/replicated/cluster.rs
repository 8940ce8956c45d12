//! A Cluster of three primaries with a replica each, while all of them live.

use std::num::NonZeroU32;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};
use session_core::{DeleteOutcome, LimitPolicy, SessionId, UserId};
use session_redis::RedisStore;
use session_testbed::servers::RedisCluster;

use crate::support::records::{
    MINUTE, NOW, alone, count, created, exists, increment, insert, limit, next, record, user,
};
use crate::support::{assert_all_expire, cut_clients, eventually, run};

fn login<'a>(record: &'a Record, visitor: &'a Record) -> CreateRequest<'a> {
    let replaces = Replacement { id: visitor.summary.id, user: visitor.user(), version: visitor.version };
    CreateRequest { record, replaces: Some(replaces), limit: None }
}

/// A visitor whose session is not in the shard of `user`.
fn visitor(user: &UserId) -> Record {
    loop {
        let visitor = record(None, NOW);
        if visitor.summary.id.shard() != user.shard() {
            return visitor;
        }
    }
}

/// One Cluster for all these cases: starting one takes seconds. What they do, they do to users and ids of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::launch(1, &[]).await.unwrap();
    let store = Arc::new(RedisStore::connect(&cluster.url()).await.unwrap());
    login_moves_the_session_to_another_slot(&store).await;
    a_login_that_is_refused_leaves_no_new_session(&store).await;
    one_of_many_logins_from_one_session_wins(&store).await;
    a_repeated_login_finishes_what_the_first_began(&store).await;
    a_login_that_is_given_up_leaves_one_session(&store).await;
    users_of_all_shards_are_served(&store).await;
    scripts_may_be_forgotten(&cluster, &store).await;
    lost_connections_lose_no_increment(&cluster, &store).await;
    slots_may_move(&cluster, &store).await;
    every_key_has_a_time_to_live(&cluster).await;
}

async fn login_moves_the_session_to_another_slot(store: &RedisStore) {
    let alice = user("alice");
    let (visitor, new) = (visitor(&alice), record(Some(&alice), NOW));
    insert(store, &visitor).await;
    assert_eq!(store.create(login(&new, &visitor), NOW).await.unwrap(), created());
    assert!(!exists(store, &visitor.summary.id).await && exists(store, &new.summary.id).await);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    // And on to another user: the index of the first one follows.
    let bob = user("bob");
    let newer = record(Some(&bob), NOW);
    assert_eq!(store.create(login(&newer, &new), NOW).await.unwrap(), created());
    assert!(store.list_by_user(&alice, NOW).await.unwrap().is_empty());
    assert_eq!(store.list_by_user(&bob, NOW).await.unwrap().len(), 1);
}

async fn a_login_that_is_refused_leaves_no_new_session(store: &RedisStore) {
    let carol = user("carol");
    let visitor = visitor(&carol);
    let new = record(Some(&carol), NOW);
    assert_eq!(store.create(login(&new, &visitor), NOW).await.unwrap(), CreateOutcome::ReplacedAbsent);
    insert(store, &visitor).await;
    let expired = visitor.deadline();
    assert_eq!(store.create(login(&new, &visitor), expired).await.unwrap(), CreateOutcome::ReplacedAbsent);
    assert_eq!(store.update(&next(&visitor), visitor.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    assert_eq!(store.create(login(&new, &visitor), NOW).await.unwrap(), CreateOutcome::ReplacedChanged);
    assert!(!exists(store, &new.summary.id).await);
    let current = store.load(&visitor.summary.id, Freshness::Latest).await.unwrap().unwrap();
    insert(store, &record(Some(&carol), NOW)).await;
    let full = CreateRequest { limit: limit(1, LimitPolicy::Reject), ..login(&new, &current) };
    assert_eq!(store.create(full, NOW).await.unwrap(), CreateOutcome::LimitReached);
    assert!(!exists(store, &new.summary.id).await && exists(store, &visitor.summary.id).await);
    assert_eq!(store.list_by_user(&carol, NOW).await.unwrap().len(), 1);
}

async fn one_of_many_logins_from_one_session_wins(store: &Arc<RedisStore>) {
    let dave = user("dave");
    for _ in 0..10 {
        let visitor = visitor(&dave);
        insert(&**store, &visitor).await;
        let logins = (0..16).map(|_| {
            let (store, visitor, new) = (Arc::clone(store), visitor.clone(), record(Some(&dave), NOW));
            tokio::spawn(async move { store.create(login(&new, &visitor), NOW).await.unwrap() })
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
        assert!(!exists(&**store, &visitor.summary.id).await);
        assert_eq!(store.delete_by_user(&dave, None).await.unwrap().len(), 1, "the losers took theirs back");
    }
}

async fn a_repeated_login_finishes_what_the_first_began(store: &RedisStore) {
    let erin = user("erin");
    let (visitor, new) = (visitor(&erin), record(Some(&erin), NOW));
    insert(store, &visitor).await;
    // The first died after it had created the new session.
    insert(store, &new).await;
    for _ in 0..3 {
        assert_eq!(store.create(login(&new, &visitor), NOW).await.unwrap(), created());
        assert!(!exists(store, &visitor.summary.id).await && exists(store, &new.summary.id).await);
    }
    let other = Record { version: next(&new).version, ..new.clone() };
    assert_eq!(store.create(login(&other, &visitor), NOW).await.unwrap(), CreateOutcome::IdTaken);
}

async fn a_login_that_is_given_up_leaves_one_session(store: &RedisStore) {
    let frank = user("frank");
    for micros in (0..4000).step_by(100) {
        let (visitor, new) = (visitor(&frank), record(Some(&frank), NOW));
        insert(store, &visitor).await;
        let _ = tokio::time::timeout(Duration::from_micros(micros), store.create(login(&new, &visitor), NOW)).await;
        eventually("one of both is there", async || {
            exists(store, &visitor.summary.id).await != exists(store, &new.summary.id).await
        })
        .await;
    }
}

async fn users_of_all_shards_are_served(store: &RedisStore) {
    for n in 0..100 {
        let user = user(&format!("}}user{{{n}"));
        let (one, two) = (record(Some(&user), NOW), record(Some(&user), NOW + MINUTE));
        insert(store, &one).await;
        let second = CreateRequest { limit: limit(1, LimitPolicy::EvictOldest), ..alone(&two) };
        assert_eq!(store.create(second, NOW).await.unwrap(), CreateOutcome::Created { evicted: vec![one.summary.id] });
        assert_eq!(store.touch(&two.summary.id, Some(&user), NOW + 2 * MINUTE).await.unwrap(), TouchOutcome::Applied);
        assert_eq!(store.delete(&two.summary.id, None).await.unwrap(), DeleteOutcome::Absent);
        assert_eq!(store.delete_by_user(&user, None).await.unwrap(), [two.summary.id]);
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
    assert_eq!(store.delete(&session.summary.id, Some(&grace)).await.unwrap(), DeleteOutcome::Deleted);
}

async fn lost_connections_lose_no_increment(cluster: &RedisCluster, store: &Arc<RedisStore>) {
    let session = record(None, NOW);
    insert(&**store, &session).await;
    let tasks = (0..8).map(|_| {
        let (store, id) = (Arc::clone(store), session.summary.id);
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
    let tasks: Vec<_> = tasks.collect();
    for round in 0..30 {
        cut_clients(&cluster.nodes()[round % 3]).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (mut added, mut unknown) = (0, 0);
    for task in tasks {
        let (more, lost) = task.await.unwrap();
        added += more;
        unknown += lost;
    }
    let total = count(&store.load(&session.summary.id, Freshness::Latest).await.unwrap().unwrap());
    assert!((added..=added + unknown).contains(&total), "{total} after {added} that worked and {unknown} unknown");
}

/// Slots move to another primary while they are in use: no request fails.
async fn slots_may_move(cluster: &RedisCluster, store: &Arc<RedisStore>) {
    let mut sessions = Vec::new();
    for n in 0..50 {
        let user = user(&format!("mover {n}"));
        let (one, two) = (record(Some(&user), NOW), record(Some(&user), NOW));
        insert(&**store, &one).await;
        insert(&**store, &two).await;
        sessions.push((user, one.summary.id));
    }
    let work = {
        let store = Arc::clone(store);
        let waiting = RedisStore::builder(&cluster.url()).wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
        tokio::spawn(async move {
            let mut failed = Vec::new();
            for round in 1..=20 {
                for (user, id) in &sessions {
                    let seen = NOW + Duration::from_secs(round);
                    failed.extend(store.touch(id, Some(user), seen).await.err());
                    failed.extend(store.list_by_user(user, NOW).await.err());
                    let session = record(Some(user), NOW);
                    failed.extend(waiting.create(alone(&session), NOW).await.err());
                    failed.extend(waiting.delete(&session.summary.id, Some(user)).await.err());
                }
            }
            let still_there = how_many_exist(&store, &sessions).await;
            (failed, still_there, sessions.len())
        })
    };
    // Nobody has died: the first nodes are the primaries.
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
    // Among them that of the write that waited: it lives for a second.
    for node in &cluster.nodes()[..3] {
        assert_all_expire(node, "all that").await;
    }
}
