//! What is told of changes where another server may become the primary.

use std::time::Instant;

use session_core::store::{CreateRequest, Feed, FeedEvent, FollowedFeed, SessionStore};
use session_redis::RedisStore;
use session_testbed::Log;
use session_testbed::feeds::{BEAT, assert_every_change_is_told, changed, lost, next_event, told};
use session_testbed::records::{NOW, insert, record, shop, user};
use session_testbed::servers::{Redis, RedisSentinel};

use crate::deposed::{depose, mistake};
use crate::support::{eventually, run, session_key};

pub(crate) async fn following(url: &str) -> (RedisStore, FollowedFeed) {
    let store = RedisStore::builder(url, shop()).publish_changes().connect().await.unwrap();
    let mut feed = store.feed().unwrap();
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost]);
    (store, feed)
}

/// What happens on the primary is told, or something may have been missed: no beat hides it.
async fn assert_none_is_missed(feed: &mut FollowedFeed, store: &RedisStore) {
    let session = record(Some(&user("alice")), NOW);
    eventually("logins work", async || store.create(CreateRequest::new(&session), NOW).await.is_ok()).await;
    let told = told(feed).await;
    assert!(told.contains(&changed(&session)) || told.contains(&FeedEvent::Lost), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_noticed() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let (store, mut feed) = following(&set.url()).await;
    assert_every_change_is_told(&store, &mut feed).await;
    let old = set.primary().await.unwrap();
    old.pause().await.unwrap();
    let new = async {
        loop {
            let new = set.primary().await.unwrap();
            if new.port() != old.port() {
                return new;
            }
        }
    };
    let (new, ()) = tokio::join!(new, lost(&mut feed));
    // Not by the sentinels: whoever writes to the new primary.
    let writer = RedisStore::builder(&new.url(), shop()).publish_changes().connect().await.unwrap();
    old.resume().await.unwrap();
    for _ in 0..20 {
        assert_none_is_missed(&mut feed, &writer).await;
    }
    eventually("the store has come there, too", async || {
        let session = record(Some(&user("alice")), NOW);
        let key = session_key(&user("alice"), &session.id());
        store.create(CreateRequest::new(&session), NOW).await.is_ok()
            && run(set.primary().await.unwrap(), &format!("EXISTS {key}")).await.number() == Some(1)
    })
    .await;
    let _ = told(&mut feed).await;
    assert_none_is_missed(&mut feed, &store).await;
    assert!(!told(&mut feed).await.contains(&FeedEvent::Lost), "it is followed again");
}

/// The feed reaches the primary that was replaced, and it believes that it is still one.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_primary_gives_no_beat() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let (_, mut feed) = following(&set.url()).await;
    let new = depose(&set, set.primary().await.unwrap()).await;
    let writer = RedisStore::builder(&new.url(), shop()).publish_changes().connect().await.unwrap();
    for _ in 0..50 {
        assert_none_is_missed(&mut feed, &writer).await;
    }
    assert!(!told(&mut feed).await.contains(&FeedEvent::Lost), "it is followed again");
}

/// What it read before from the one that was replaced may be outdated, and is vouched for no longer.
#[tokio::test(flavor = "multi_thread")]
async fn the_feed_begins_anew_when_the_store_comes_to_another_primary() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let (store, mut feed) = following(&set.url()).await;
    let mut old = set.primary().await.unwrap();
    let mut lagged = false;
    // The feed is faster than the store, but not always.
    while !lagged {
        let new = depose(&set, old).await;
        lost(&mut feed).await;
        let _ = told(&mut feed).await;
        let mut events = Vec::new();
        let session = loop {
            let session = record(Some(&user("alice")), NOW);
            let written = store.create(CreateRequest::new(&session), NOW).await.is_ok();
            events.extend(told(&mut feed).await);
            if written
                && run(new, &format!("EXISTS {}", session_key(&user("alice"), &session.id()))).await.number() == Some(1)
            {
                break session;
            }
            lagged |= written;
        };
        assert!(events.contains(&changed(&session)) || events.contains(&FeedEvent::Lost), "{events:?}");
        assert!(!lagged || events.contains(&FeedEvent::Lost), "{events:?}");
        old = new;
    }
}

/// The sentinel that leads a failover sends clients to the new primary before the others have heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_one_sentinel_is_enough_to_give_no_beat() {
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let (_, mut feed) = following(&set.url()).await;
    let old = set.primary().await.unwrap();
    let new = set.nodes().iter().find(|node| node.port() != old.port()).unwrap();
    run(new, "REPLICAOF NO ONE").await;
    let leader = &set.sentinels()[0];
    mistake(leader, new).await;
    let named = Instant::now();
    loop {
        match next_event(&mut feed).await {
            FeedEvent::Beat { asked } => assert!(asked < named, "others write to the new primary already"),
            FeedEvent::Lost => break,
            FeedEvent::Changed { .. } | FeedEvent::Ended { .. } => {}
        }
    }
    mistake(leader, old).await;
    let agreed = Instant::now();
    loop {
        if let FeedEvent::Beat { asked } = next_event(&mut feed).await {
            assert!(asked > agreed);
            break;
        }
    }
}

/// The next line of the log that has this in it. The feed is read until then, and gives no beat that was asked for later than now.
async fn silent_until_logged(feed: &mut FollowedFeed, log: &Log, part: &str) -> (String, Vec<FeedEvent>) {
    let (begin, mut told) = (Instant::now(), Vec::new());
    loop {
        if let Some(line) = log.take().into_iter().find(|line| line.contains(part)) {
            return (line, told);
        }
        assert!(begin.elapsed().as_secs() < 60, "not logged: {part}; {told:?}");
        match tokio::time::timeout(BEAT, feed.next(BEAT)).await {
            Ok(FeedEvent::Beat { asked }) => assert!(asked < begin, "a beat in spite of it: {part}"),
            Ok(event) => told.push(event),
            Err(_) => {}
        }
    }
}

/// It costs beats, and no more than that.
#[tokio::test]
async fn a_sentinel_that_is_down_costs_beats_but_no_changes() {
    let (log, _guard) = Log::keep();
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let (store, mut feed) = following(&set.url()).await;
    let sentinel = &set.sentinels()[1];
    // On a busy machine, the others may not answer in time, either.
    let mut rounds = 0;
    loop {
        let _ = log.take();
        sentinel.pause().await.unwrap();
        let session = record(Some(&user("alice")), NOW);
        insert(&store, &session).await;
        let (line, mut events) = silent_until_logged(&mut feed, &log, "does not answer in time").await;
        println!("{line}");
        assert!(line.contains("sentinel 127.0.0.1:"), "{line}");
        sentinel.resume().await.unwrap();
        events.extend(told(&mut feed).await);
        if !line.contains("cannot follow") && !log.take().concat().contains("no answer in time") {
            assert_eq!(events, [changed(&session)]);
            return;
        }
        rounds += 1;
        assert!(rounds < 10, "the primary is lost each time");
    }
}

#[tokio::test]
async fn the_url_names_every_sentinel() {
    let (log, _guard) = Log::keep();
    let set = RedisSentinel::launch(&[]).await.unwrap();
    let two: Vec<_> = set.sentinels()[..2].iter().map(|sentinel| sentinel.address().to_string()).collect();
    let url = format!("redis+sentinel://{}/{}", two.join(","), set.service());
    let store = RedisStore::builder(&url, shop()).publish_changes().connect().await.unwrap();
    let mut feed = store.feed().unwrap();
    let (line, events) = silent_until_logged(&mut feed, &log, "the URL names").await;
    println!("{line}");
    assert!(line.contains("WARN") && line.contains("the URL names 2 of 3 sentinels: name all of them"), "{line}");
    assert!(events.iter().all(|event| *event == FeedEvent::Lost), "{events:?}");

    let locked = &set.sentinels()[2];
    run(locked, "ACL SETUSER default -sentinel|myid").await;
    let of_all = RedisStore::builder(&set.url(), shop()).publish_changes().connect().await.unwrap();
    let mut feed = of_all.feed().unwrap();
    let (line, _) = silent_until_logged(&mut feed, &log, "(NOPERM): grant it by ACL SETUSER").await;
    println!("{line}");
    assert!(
        line.contains(&format!("sentinel {}: does not permit this user SENTINEL GET-", locked.address())),
        "{line}"
    );
    run(locked, "ACL SETUSER default +@all").await;
    let _ = told(&mut feed).await;

    // Another one, which may lead the next failover.
    let primary = set.primary().await.unwrap();
    let fourth = [("sentinel", &*format!("monitor {} 127.0.0.1 {} 2", set.service(), primary.port()))];
    let fourth = Redis::launch_sentinel(&fourth).await.unwrap();
    run(&fourth, "SENTINEL DEBUG PUBLISH-PERIOD 500 INFO-PERIOD 500").await;
    let (line, _) = silent_until_known(&mut feed, &log).await;
    println!("{line}");
}

/// Beats end when the fourth sentinel is known to the others.
async fn silent_until_known(feed: &mut FollowedFeed, log: &Log) -> (String, Instant) {
    loop {
        let _ = tokio::time::timeout(BEAT, feed.next(BEAT)).await;
        if let Some(line) = log.take().into_iter().find(|line| line.contains("the URL names 3 of 4 sentinels")) {
            return (line, Instant::now());
        }
    }
}
