//! What is told of changes where another server may become the primary.

use session_core::store::{CreateRequest, FeedEvent, FollowedFeed, SessionStore, UpdateOutcome};
use session_core::{DeleteOutcome, SessionId};
use session_redis::RedisStore;
use session_testbed::feeds::{BEAT, assert_every_change_is_told, changed, lost, next_event, told};
use session_testbed::records::{NOW, insert, load, next, record, shop, user};
use session_testbed::servers::{RedisCluster, RedisSentinel};

use crate::deposed::depose;
use crate::support::{eventually, index_key, run};

async fn following(url: &str) -> (RedisStore, FollowedFeed) {
    let store = RedisStore::builder(url, shop()).publish_changes().connect().await.unwrap();
    let mut feed = store.feed().unwrap();
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost]);
    (store, feed)
}

/// What happens on the primary is told, or something may have been missed: no beat hides it.
async fn assert_none_is_missed(feed: &mut FollowedFeed, store: &RedisStore) {
    let session = session_of(&user("alice"));
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

/// Which sessions were written.
fn ids(told: &[FeedEvent]) -> Vec<SessionId> {
    let id = |event: &FeedEvent| match event {
        FeedEvent::Changed { id, .. } | FeedEvent::Ended { id } => Some(*id),
        FeedEvent::Beat { .. } | FeedEvent::Lost => None,
    };
    told.iter().filter_map(id).collect()
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
        insert(&store, &session_of(user)).await;
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
    let _ = told(&mut feed).await;
    let session = session_of(&alice);
    eventually("logins work", async || store.create(CreateRequest::new(&session), NOW).await.is_ok()).await;
    assert!(ids(&told(&mut feed).await).contains(&session.id()));
    run(new, "FLUSHALL").await;
    assert!(told(&mut feed).await.contains(&FeedEvent::Lost));
}

fn session_of(user: &session_core::UserId) -> session_core::store::Record {
    record(Some(user), NOW)
}
