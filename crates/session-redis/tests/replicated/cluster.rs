//! A Cluster of three primaries with a replica each, all of them up.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::process::Command;
use std::time::Duration;

use session_core::store::{Count, CreateOutcome, CreateRequest, Freshness, Record, SessionStore, UpdateOutcome};
use session_core::{SessionId, UserId};
use session_redis::RedisStore;
use session_testbed::records::{NOW, created, insert, load, next, record, replacing, shop, user};
use session_testbed::servers::{Redis, RedisCluster};

use crate::support::{cut_clients, index_key, run};

/// One Cluster for all these cases: starting one takes seconds. Each case has users and ids of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_use() {
    let cluster = RedisCluster::launch(1, &[]).await.unwrap();
    let store = RedisStore::connect(&cluster.url(), shop()).await.unwrap();
    a_repeated_login_finishes_what_the_first_began(&store).await;
    a_page_goes_from_primary_to_primary(&cluster, &store).await;
    lost_connections_lose_no_increment(&cluster, &store).await;
    slots_may_move(&cluster, &store).await;
    a_slot_may_take_its_time_to_move(&cluster, &store).await;
}

async fn a_repeated_login_finishes_what_the_first_began(store: &RedisStore) {
    let erin = user("erin");
    let mut sessions = std::iter::repeat_with(|| record(None, NOW));
    let anonymous = sessions.find(|session| session.id().shard() != erin.shard()).unwrap();
    let new = record(Some(&erin), NOW);
    insert(store, &anonymous).await;
    // The first attempt died after it had created the new session.
    insert(store, &new).await;
    for _ in 0..3 {
        assert_eq!(store.create(replacing(&new, &anonymous), NOW).await.unwrap(), created());
        assert!(load(store, &anonymous.id()).await.is_none() && load(store, &new.id()).await.is_some());
    }
    let other = next(&new);
    assert_eq!(store.create(replacing(&other, &anonymous), NOW).await.unwrap(), CreateOutcome::IdTaken);
}

/// Few sessions are on one page: each primary is asked once. Of many, each is on some page.
async fn a_page_goes_from_primary_to_primary(cluster: &RedisCluster, store: &RedisStore) {
    let mut ids = BTreeSet::new();
    for n in 0..60 {
        let session = record(Some(&user(&format!("paged {n}"))), NOW);
        insert(store, &session).await;
        ids.insert(session.id());
    }
    let of_primaries = &cluster.nodes()[..3];
    let before = scans(of_primaries).await;
    let page = store.list_all(None, NonZeroU32::new(1000).unwrap(), NOW).await.unwrap();
    assert!(page.next.is_none());
    let scanned =
        scans(of_primaries).await.iter().zip(before).map(|(after, before)| after - before).collect::<Vec<_>>();
    assert_eq!(scanned, [1, 1, 1]);
    let (mut seen, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = store.list_all(cursor.as_ref(), NonZeroU32::new(8).unwrap(), NOW).await.unwrap();
        seen.extend(page.listing.sessions.iter().map(|session| session.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(ids.is_subset(&seen), "{} of {} are missing", ids.difference(&seen).count(), ids.len());
    assert_eq!(store.count(NOW).await.unwrap(), Count::exact(seen.len() as u64));
}

async fn scans(nodes: &[Redis]) -> Vec<u64> {
    let mut scans = Vec::new();
    for node in nodes {
        let stats = run(node, "INFO commandstats").await;
        let calls = stats.text().lines().find_map(|line| line.strip_prefix("cmdstat_scan:calls=")?.split(',').next());
        scans.push(calls.map_or(0, |calls| calls.parse().unwrap()));
    }
    scans
}

/// Of increments by several tasks, those that were acknowledged count once, and the others at most once.
async fn lost_connections_lose_no_increment(cluster: &RedisCluster, store: &RedisStore) {
    let session = record(None, NOW);
    insert(store, &session).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, id) = (store.clone(), session.id());
            tokio::spawn(async move {
                let mut added = 0;
                for _ in 0..20 {
                    added += u64::from(increment(&store, &id).await);
                }
                added
            })
        })
        .collect();
    for round in 0..30 {
        cut_clients(&cluster.nodes()[round % 3]).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut added = 0;
    for task in tasks {
        added += task.await.unwrap();
    }
    let total = count(&load(store, &session.id()).await.unwrap());
    assert!((added..=8 * 20).contains(&total), "{total} after {added} that were acknowledged");
}

/// Increments as core does it: reads, changes, writes, and starts again on a conflict. `false` if it is not known
/// whether the update was applied.
async fn increment(store: &RedisStore, id: &SessionId) -> bool {
    loop {
        let Ok(stored) = store.load(id, Freshness::Latest).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let stored = stored.expect("the session is gone");
        let mut change = next(&stored);
        change.data.insert("n".into(), (count(&stored) + 1).to_string().into());
        match store.update(&change, stored.version, NOW).await {
            Ok(UpdateOutcome::Applied) => return true,
            Ok(UpdateOutcome::Conflict) => {}
            Ok(UpdateOutcome::Absent) => panic!("the session is gone"),
            Err(_) => return false,
        }
    }
}

fn count(record: &Record) -> u64 {
    record.data.get(b"n").map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap())
}

/// Slots move to another primary while they are in use: no request fails.
async fn slots_may_move(cluster: &RedisCluster, store: &RedisStore) {
    let mut sessions = Vec::new();
    for n in 0..50 {
        let user = user(&format!("mover {n}"));
        let session = record(Some(&user), NOW);
        insert(store, &session).await;
        sessions.push((user, session.id()));
    }
    let waiting =
        RedisStore::builder(&cluster.url(), shop()).wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
    let work = tokio::spawn(use_sessions(store.clone(), waiting, sessions));
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
    work.await.unwrap();
}

/// While some keys of a user are on one node and the others on another, no login of the user can be executed: they
/// wait.
async fn a_slot_may_take_its_time_to_move(cluster: &RedisCluster, store: &RedisStore) {
    for waits in [None, NonZeroU32::new(1)] {
        let user = user(&format!("slow-mover-{}", waits.is_some()));
        let index = index_key(&user);
        insert(store, &record(Some(&user), NOW)).await;
        let from = cluster.primary_of(&index).await.unwrap();
        let mut primaries = Vec::new();
        for node in cluster.nodes() {
            if run(node, "ROLE").await.list()[0].text() == "master" {
                primaries.push(node);
            }
        }
        let to = primaries.iter().find(|node| node.port() != from.port()).unwrap();
        let slot = run(from, &format!("CLUSTER KEYSLOT {index}")).await.number().unwrap();
        let (from_id, to_id) = (run(from, "CLUSTER MYID").await, run(to, "CLUSTER MYID").await);
        run(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", from_id.text())).await;
        run(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", to_id.text())).await;
        let builder = RedisStore::builder(&cluster.url(), shop()).operation_timeout(Duration::from_secs(2));
        let builder = if let Some(replicas) = waits { builder.wait_for_replicas(replicas) } else { builder };
        let other = builder.connect().await.unwrap();
        let logins: Vec<_> = (0..4)
            .map(|_| {
                let (other, new) = (other.clone(), record(Some(&user), NOW));
                tokio::spawn(async move { other.create(CreateRequest::new(&new), NOW).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        run(from, &format!("MIGRATE 127.0.0.1 {} {index} 0 2000", to.port())).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        for key in run(from, &format!("CLUSTER GETKEYSINSLOT {slot} 100")).await.list() {
            run(from, &format!("MIGRATE 127.0.0.1 {} {} 0 2000", to.port(), key.text())).await;
        }
        for node in [*to, from].into_iter().chain(primaries.iter().copied()) {
            run(node, &format!("CLUSTER SETSLOT {slot} NODE {}", to_id.text())).await;
        }
        for login in logins {
            assert_eq!(login.await.unwrap().unwrap(), created());
        }
        assert_eq!(store.list_by_user(&user, NOW).await.unwrap().sessions.len(), 5);
    }
}

async fn use_sessions(store: RedisStore, waiting: RedisStore, sessions: Vec<(UserId, SessionId)>) {
    for round in 1..=20 {
        for (user, id) in &sessions {
            let _ = store.touch(id, Some(user), NOW + Duration::from_secs(round)).await.unwrap();
            assert_eq!(store.list_by_user(user, NOW).await.unwrap().sessions.len(), 1);
            let session = record(Some(user), NOW);
            let _ = waiting.create(CreateRequest::new(&session), NOW).await.unwrap();
            let _ = waiting.delete(&session.id(), Some(user)).await.unwrap();
        }
    }
    for (_, id) in &sessions {
        assert!(load(&store, id).await.is_some());
    }
}
