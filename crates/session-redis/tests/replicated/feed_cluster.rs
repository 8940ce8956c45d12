//! What the primaries of a Cluster tell of changes, and that nothing is vouched for when there may be others.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, FeedEvent, FollowedFeed, SessionStore, UpdateOutcome};
use session_core::{DeleteOutcome, SessionId, UserId};
use session_redis::RedisStore;
use session_testbed::feeds::{BEAT, lost, next_event, told};
use session_testbed::records::{NOW, insert, load, next, record, user};
use session_testbed::servers::{Redis, RedisCluster};

use crate::feed::following;
use crate::support::{eventually, index_key, run};

/// Which sessions were written.
fn ids(told: &[FeedEvent]) -> Vec<SessionId> {
    let id = |event: &FeedEvent| match event {
        FeedEvent::Changed { id, .. } | FeedEvent::Ended { id } => Some(*id),
        FeedEvent::Beat { .. } | FeedEvent::Lost => None,
    };
    told.iter().filter_map(id).collect()
}

/// Logs the user in. That is told, or something may have been missed: no beat hides it.
async fn assert_login_is_not_missed(feed: &mut FollowedFeed, store: &RedisStore, user: &UserId) {
    let session = record(Some(user), NOW);
    eventually("logins work", async || store.create(CreateRequest::new(&session), NOW).await.is_ok()).await;
    let told = told(feed).await;
    assert!(ids(&told).contains(&session.id()) || told.contains(&FeedEvent::Lost), "{told:?}");
}

/// Logs the user in, and that is told.
async fn assert_login_is_told(feed: &mut FollowedFeed, store: &RedisStore, user: &UserId) {
    let session = record(Some(user), NOW);
    eventually("logins work", async || store.create(CreateRequest::new(&session), NOW).await.is_ok()).await;
    let told = told(feed).await;
    assert!(ids(&told).contains(&session.id()), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_primary_of_a_cluster_tells() {
    let cluster = RedisCluster::launch(1, &[]).await.unwrap();
    let (store, mut feed) = following(&cluster.url()).await;
    // On several primaries.
    let users: Vec<_> = (0..20).map(|n| user(&format!("user {n}"))).collect();
    for user in &users {
        let session = record(Some(user), NOW);
        insert(&store, &session).await;
        assert!(ids(&told(&mut feed).await).contains(&session.id()), "create");
        let read = load(&store, &session.id()).await.unwrap();
        assert_eq!(store.update(&next(&read), read.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        assert!(ids(&told(&mut feed).await).contains(&session.id()), "update");
        assert_eq!(store.delete(&session.id(), Some(user)).await.unwrap(), DeleteOutcome::Deleted);
        assert!(ids(&told(&mut feed).await).contains(&session.id()), "delete");
        insert(&store, &record(Some(user), NOW)).await;
        let ended = store.delete_by_user(user, None, NOW).await.unwrap().ids();
        assert_eq!(ended.len(), 1);
        assert!(ids(&told(&mut feed).await).contains(&ended[0]), "delete_by_user");
    }
    assert!(ids(&told(&mut feed).await).is_empty());
    // Between the question that a beat is about and its answer, there was another: a server may answer before it tells of what
    // it has done in the same moment.
    let asked = loop {
        if let FeedEvent::Beat { asked } = next_event(&mut feed).await {
            break asked;
        }
    };
    assert!(asked.elapsed() >= BEAT);

    let alice = user("alice");
    let old = cluster.primary_of(&index_key(&alice)).await.unwrap();
    old.kill9().await.unwrap();
    lost(&mut feed).await;
    let new = cluster.primary_of(&index_key(&alice)).await.unwrap();
    assert_ne!(new.port(), old.port());
    // It is a replica now. Before, somebody might have read from it.
    old.start().await.unwrap();
    let _ = told(&mut feed).await;
    assert_login_is_told(&mut feed, &store, &alice).await;
    run(new, "FLUSHALL").await;
    assert!(told(&mut feed).await.contains(&FeedEvent::Lost));
    assert_login_is_not_missed(&mut feed, &store, &alice).await;
}

/// Has a replica take over, once the others may vote again.
async fn take_over(replica: &Redis, way: &str) {
    eventually("it has taken over", async || {
        run(replica, way).await;
        let begin = Instant::now();
        // A failover that gets no votes is given up after five seconds.
        while begin.elapsed() < Duration::from_secs(6) {
            if run(replica, "ROLE").await.list()[0].text() == "master" {
                return true;
            }
        }
        false
    })
    .await;
}

/// From then on the replica may take over at any time, and is heard of when others write to it already.
#[tokio::test(flavor = "multi_thread")]
async fn a_vote_for_a_failover_is_noticed() {
    let cluster = RedisCluster::launch(1, &[("enable-debug-command", "yes")]).await.unwrap();
    let (store, mut feed) = following(&cluster.url()).await;
    let alice = user("alice");
    let old = cluster.primary_of(&index_key(&alice)).await.unwrap();
    let new = cluster.replica_of(old).await.unwrap();
    // The votes do not arrive there.
    run(new, "DEBUG DROP-CLUSTER-PACKET-FILTER 6").await;
    run(new, "CLUSTER FAILOVER FORCE").await;
    lost(&mut feed).await;
    assert_eq!(run(new, "ROLE").await.list()[0].text(), "slave", "it has not taken over yet");
    run(new, "DEBUG DROP-CLUSTER-PACKET-FILTER -1").await;

    // Back and forth, in each way that there is.
    let mut pair = [old, new];
    for way in ["CLUSTER FAILOVER", "CLUSTER FAILOVER FORCE", "CLUSTER FAILOVER TAKEOVER", "CLUSTER FAILOVER"] {
        cluster.settled().await.unwrap();
        let _ = told(&mut feed).await;
        take_over(pair[1], way).await;
        for _ in 0..20 {
            assert_login_is_not_missed(&mut feed, &store, &alice).await;
        }
        pair.reverse();
        assert_login_is_told(&mut feed, &store, &alice).await;
    }
}

/// A primary that joins a Cluster of those without replicas, and the port of its bus.
async fn joined(cluster: &RedisCluster) -> Redis {
    let bus = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string();
    let settings = [
        ("cluster-enabled", "yes"),
        ("cluster-config-file", "nodes.conf"),
        ("cluster-node-timeout", "2000"),
        ("cluster-port", &*bus),
        // When its last slot is gone, it stays a primary.
        ("cluster-allow-replica-migration", "no"),
    ];
    let node = Redis::launch(&settings).await.unwrap();
    run(&cluster.nodes()[0], &format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port())).await;
    eventually("all know the new node", async || {
        let mut agree = run(&node, "CLUSTER INFO").await.text().contains("cluster_state:ok");
        for other in cluster.nodes().iter().chain([&node]) {
            let nodes = run(other, "CLUSTER NODES").await;
            agree &= nodes.text().lines().count() == 4 && !nodes.text().contains("handshake");
        }
        agree
    })
    .await;
    node
}

/// What is written to a slot that is on its way goes to a primary that may have no slots of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_slots_tells() {
    let cluster = RedisCluster::launch(0, &[]).await.unwrap();
    let (store, mut feed) = following(&cluster.url()).await;
    let alice = user("alice");
    let index = index_key(&alice);
    let from = cluster.primary_of(&index).await.unwrap();
    let to = joined(&cluster).await;
    assert!(told(&mut feed).await.contains(&FeedEvent::Lost), "a slot may go there at any time");
    let slot = run(from, &format!("CLUSTER KEYSLOT {index}")).await.number().unwrap();
    let (from_id, to_id) = (run(from, "CLUSTER MYID").await, run(&to, "CLUSTER MYID").await);
    for way in [[from, &to], [&to, from], [from, &to], [&to, from]] {
        assert_login_is_not_missed(&mut feed, &store, &alice).await;
        let [(source, source_id), (target, target_id)] =
            way.map(|node| (node, if node.port() == to.port() { to_id.text() } else { from_id.text() }));
        run(target, &format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}")).await;
        run(source, &format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}")).await;
        while let [key, ..] = run(source, &format!("CLUSTER GETKEYSINSLOT {slot} 10")).await.list() {
            run(source, &format!("MIGRATE 127.0.0.1 {} {} 0 2000", target.port(), key.text())).await;
        }
        let _ = told(&mut feed).await;
        let ended = store.delete_by_user(&alice, None, NOW).await.unwrap().ids();
        assert_eq!(ended.len(), 1, "it is where the slot is going");
        assert!(ids(&told(&mut feed).await).contains(&ended[0]));
        for node in [target, source].into_iter().chain(cluster.nodes()) {
            run(node, &format!("CLUSTER SETSLOT {slot} NODE {target_id}")).await;
        }
    }

    // It leaves, and is still there for who does not ask.
    for node in cluster.nodes() {
        run(node, &format!("CLUSTER FORGET {}", to_id.text())).await;
    }
    lost(&mut feed).await;
    let _ = told(&mut feed).await;
    assert_login_is_told(&mut feed, &store, &alice).await;
}

/// The nodes do not know how clients reach them: at the address of the one that is asked.
#[tokio::test(flavor = "multi_thread")]
async fn primaries_without_an_address_are_told_apart_by_their_ports() {
    let cluster = RedisCluster::launch(0, &[("cluster-preferred-endpoint-type", "unknown-endpoint")]).await.unwrap();
    let (_, mut feed) = following(&cluster.url()).await;
    // Not by the store, whose client may not find them.
    for node in cluster.nodes() {
        let slots = run(node, "CLUSTER SLOTS").await;
        let mine = slots.list().iter().find(|range| range.list()[2].list()[1].number() == Some(i64::from(node.port())));
        let range = mine.unwrap().list();
        let (first, last) = (range[0].number().unwrap(), range[1].number().unwrap());
        let mut users = (0..).map(|n| user(&format!("user {n}")));
        let session = loop {
            let session = record(users.next().as_ref(), NOW);
            let shard = format!("{{shop:{:04x}}}:s:{}", session.id().shard(), session.id());
            let slot = run(node, &format!("CLUSTER KEYSLOT {shard}")).await.number().unwrap();
            if (first..=last).contains(&slot) {
                run(node, &format!("SET {shard} x")).await;
                break session;
            }
        };
        assert!(ids(&told(&mut feed).await).contains(&session.id()));
    }
}
