//! What a server tells of changes, and what happens when it cannot.

use std::time::Instant;

use session_core::store::{CreateOutcome, CreateRequest, FeedEvent, FollowError, FollowedFeed, SessionStore};
use session_core::{DeleteOutcome, LimitPolicy, OsEntropy, StoreErrorKind, VisitorLimit};
use session_redis::{ConnectError, RedisStore};
use session_testbed::Log;
use session_testbed::feeds::{assert_every_change_is_told, changed, ended, lost, next_event, told};
use session_testbed::records::{MINUTE, NOW, insert, limit, load, next, record, replacing, shop, user};
use session_testbed::servers::{Redis, Release, VALKEY};

use crate::support::{eventually, run};

/// A store that publishes, and what follows it already.
async fn following(url: &str) -> (RedisStore, FollowedFeed) {
    let store = RedisStore::builder(url, shop()).publish_changes().connect().await.unwrap();
    let mut feed = store.feed().unwrap();
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost], "what was read before may be outdated");
    (store, feed)
}

#[tokio::test]
async fn every_change_is_told() {
    for release in [Release::Installed, Release::Pinned(VALKEY)] {
        let server = Redis::launch_release(release, &[]).await.unwrap();
        let (store, mut feed) = following(&server.url()).await;
        assert_every_change_is_told(&store, &mut feed).await;

        // Buried all the same; and who owns another's session has no say in it.
        let alice = user("alice");
        let session = record(Some(&alice), NOW);
        assert_eq!(store.delete(&session.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Absent);
        assert_eq!(told(&mut feed).await, [ended(session.id())]);
        let of_nobody = record(None, NOW);
        insert(&store, &of_nobody).await;
        let anonymous = store.delete(&session.id(), None).await.unwrap();
        assert_eq!(anonymous, DeleteOutcome::Absent);
        assert_eq!(told(&mut feed).await.first(), Some(&changed(&of_nobody)));

        // On a full server, visitors end for a user.
        let (limit, mut visitor) = (VisitorLimit::new(1).unwrap(), record(None, NOW));
        visitor.summary.id = limit.generate_id(&OsEntropy).unwrap();
        let visit = store.create(CreateRequest::new(&visitor).among(limit), NOW).await.unwrap();
        assert!(matches!(visit, CreateOutcome::Created { .. }));
        run(&server, "CONFIG SET maxmemory 1").await;
        let error = store.create(CreateRequest::new(&session), NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Full);
        assert!(told(&mut feed).await.ends_with(&[changed(&visitor), ended(visitor.id())]));
    }
}

#[tokio::test]
async fn who_does_not_publish_tells_nobody_and_cannot_follow() {
    let server = Redis::launch(&[]).await.unwrap();
    let (_, mut feed) = following(&server.url()).await;
    let silent = RedisStore::connect(&server.url(), shop()).await.unwrap();
    insert(&silent, &record(None, NOW)).await;
    assert_eq!(told(&mut feed).await, []);
    assert_eq!(silent.feed().unwrap_err(), FollowError::NotPublished);
}

#[tokio::test]
async fn what_breaks_the_connection_is_lost_and_then_told_again() {
    let server = Redis::launch(&[("appendonly", "yes")]).await.unwrap();
    let (store, mut feed) = following(&server.url()).await;
    let alice = user("alice");
    for round in 0..4 {
        match round {
            0 => drop(run(&server, "CLIENT KILL TYPE pubsub").await),
            1 => {
                server.kill9().await.unwrap();
                server.start().await.unwrap();
            }
            2 => drop(run(&server, "CLIENT KILL TYPE normal SKIPME yes").await),
            // Not the connection, but what is heard on it.
            _ => drop(run(&server, "PUBLISH {shop:changes} ?").await),
        }
        if round != 2 {
            lost(&mut feed).await;
        }
        let _ = told(&mut feed).await;
        let session = record(Some(&alice), NOW);
        while store.create(CreateRequest::new(&session), NOW).await.is_err() {}
        assert_eq!(told(&mut feed).await, [changed(&session)], "round {round}");
    }
}

/// When the server was asked for the next beat.
async fn next_beat(feed: &mut FollowedFeed) -> Instant {
    loop {
        if let FeedEvent::Beat { asked } = next_event(feed).await {
            return asked;
        }
    }
}

/// Neither side hears that the network drops everything.
#[tokio::test]
async fn a_server_that_does_not_answer_is_lost() {
    let server = Redis::launch(&[]).await.unwrap();
    let (_, mut feed) = following(&server.url()).await;
    server.pause().await.unwrap();
    lost(&mut feed).await;
    let resumed = Instant::now();
    server.resume().await.unwrap();
    assert!(next_beat(&mut feed).await > resumed);
}

/// Others write to another server by then: no beat says that all was told.
#[tokio::test]
async fn a_server_that_has_become_a_replica_gives_no_beat() {
    let (server, other) = (Redis::launch(&[]).await.unwrap(), Redis::launch(&[]).await.unwrap());
    let (_, mut feed) = following(&server.url()).await;
    run(&server, &format!("REPLICAOF 127.0.0.1 {}", other.port())).await;
    lost(&mut feed).await;
    // It has been asked again.
    let connections = async || {
        let stats = run(&server, "INFO stats").await;
        let count = stats.text().lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().parse::<u64>().unwrap()
    };
    let before = connections().await;
    // Each look is a connection, too.
    let mut looks = 0;
    while connections().await < before + looks + 3 {
        looks += 1;
    }
    let promoted = Instant::now();
    run(&server, "REPLICAOF NO ONE").await;
    assert!(next_beat(&mut feed).await > promoted);
}

/// What the documentation says that the application needs for this.
const RIGHTS: &str = "+publish +subscribe &{shop:changes}";

/// A user who may do all but this.
async fn restricted(server: &Redis, rights: &str) -> String {
    run(server, &format!("ACL SETUSER app on >of-app resetchannels ~{{shop:* +@all -publish -subscribe {rights}"))
        .await;
    format!("redis://app:of-app@{}", server.address())
}

#[tokio::test]
async fn the_documented_rights_are_enough_and_without_them_the_store_is_not_opened() {
    let (server, renamed) =
        (Redis::launch(&[]).await.unwrap(), Redis::launch(&[("rename-command", "PUBLISH \"\"")]).await.unwrap());
    let open = |url: &str| RedisStore::builder(url, shop()).publish_changes().connect();
    for rights in ["+publish", "&{shop:changes}", "+publish &{shop:other}"] {
        let url = restricted(&server, rights).await;
        let error = open(&url).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unavailable(_)));
        let text = error.to_string();
        println!("{text}");
        assert!(
            text.contains("does not permit this user PUBLISH on the channel {shop:changes} (+publish &{shop:changes})"),
            "{text}"
        );
        RedisStore::connect(&url, shop()).await.unwrap();
        run(&server, "ACL DELUSER app").await;
    }
    let text = open(&renamed.url()).await.unwrap_err().to_string();
    assert!(text.contains("refuses PUBLISH on the channel {shop:changes}"), "{text}");

    let (log, _guard) = Log::keep();
    let store = open(&restricted(&server, "+publish &{shop:changes}").await).await.unwrap();
    let mut feed = store.feed().unwrap();
    assert_eq!(next_event(&mut feed).await, FeedEvent::Lost);
    let text = log.take().concat();
    assert!(
        text.contains("does not permit this user SUBSCRIBE on the channel {shop:changes} (+subscribe &{shop:changes})"),
        "{text}"
    );
    restricted(&server, RIGHTS).await;
    let _ = told(&mut feed).await;
    assert_every_change_is_told(&store, &mut feed).await;
}

/// What cannot be told is not done: nobody has it half.
#[tokio::test]
async fn a_right_that_is_taken_away_leaves_nothing_half_done() {
    let server = Redis::launch(&[("enable-debug-command", "yes")]).await.unwrap();
    let store =
        RedisStore::builder(&restricted(&server, RIGHTS).await, shop()).publish_changes().connect().await.unwrap();
    let alice = user("alice");
    let (one, two, new) = (record(Some(&alice), NOW), record(Some(&alice), NOW), record(Some(&alice), NOW));
    for session in [&one, &two] {
        insert(&store, session).await;
    }
    let read = load(&store, &one.id()).await.unwrap();
    let (values, mut later) = (next(&read), next(&read));
    later.summary.last_seen = NOW + MINUTE;
    run(&server, "ACL SETUSER app resetchannels").await;
    let before = run(&server, "DEBUG DIGEST").await;
    let login = CreateRequest::new(&new);
    let errors = [
        store.create(login, NOW).await.map(drop),
        store.create(login.within(limit(1, LimitPolicy::EvictOldest)), NOW).await.map(drop),
        store.create(replacing(&new, &one), NOW).await.map(drop),
        store.update(&values, read.version, NOW).await.map(drop),
        store.update(&later, read.version, NOW + MINUTE).await.map(drop),
        store.delete(&one.id(), Some(&alice)).await.map(drop),
        store.delete_by_user(&alice, None, NOW).await.map(drop),
    ];
    for (number, error) in errors.into_iter().enumerate() {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Other, "{number}: {error}");
    }
    assert_eq!(run(&server, "DEBUG DIGEST").await, before);
}

#[tokio::test]
async fn resp2_tells_of_nothing_and_says_so() {
    let server = Redis::launch(&[]).await.unwrap();
    let of_resp2 = format!("{}?protocol=resp2", server.url());
    let store = RedisStore::builder(&of_resp2, shop()).publish_changes().connect().await.unwrap();
    let error = store.feed().unwrap_err();
    assert!(error.to_string().contains("RESP2"), "{error}");

    let (log, _guard) = Log::keep();
    let server = Redis::launch(&[("rename-command", "HELLO \"\"")]).await.unwrap();
    let store = RedisStore::builder(&server.url(), shop()).publish_changes().connect().await.unwrap();
    let mut feed = store.feed().unwrap();
    assert_eq!(next_event(&mut feed).await, FeedEvent::Lost);
    eventually("it is logged", async || {
        log.take().concat().contains("does not know RESP3 (HELLO), by which changes are told")
    })
    .await;
}
