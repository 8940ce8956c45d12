//! What goes over the wire: how often, and which scripts.

use std::num::NonZeroU32;

use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};
use session_core::{DeleteOutcome, LimitPolicy};
use session_redis::RedisStore;
use session_testbed::proxy::Proxy;
use session_testbed::servers::Redis;

use crate::support::records::{MINUTE, NOW, alone, created, insert, limit, next, record, user};
use crate::support::{eventually, run};

/// How many round trips `call` takes, as the proxy counts them.
async fn trips<T>(proxy: &Proxy, call: impl Future<Output = T>) -> (u64, T) {
    let before = proxy.round_trips();
    let outcome = call.await;
    (proxy.round_trips() - before, outcome)
}

#[tokio::test]
async fn round_trips() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = RedisStore::connect(&format!("redis://{}", proxy.address())).await.unwrap();
    // A new connection asks for the memory policy, whenever it comes to it.
    eventually("the settings were asked for", async || {
        run(&server, "INFO commandstats").await.text().contains("cmdstat_config|get:calls=")
    })
    .await;
    let (alice, bob) = (user("alice"), user("bob"));
    // Teaches the server the scripts: one more round trip each.
    let first = record(Some(&alice), NOW);
    assert_eq!(trips(&proxy, insert(&store, &first)).await.0, 2, "a script that the server does not know");
    assert_eq!(store.touch(&first.summary.id, Some(&alice), NOW).await.unwrap(), TouchOutcome::Applied);
    assert_eq!(store.update(&next(&first), first.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    store.list_by_user(&alice, NOW).await.unwrap();
    assert_eq!(store.delete(&first.summary.id, Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    store.delete_by_user(&alice, None).await.unwrap();

    let (one, visitor) = (record(Some(&alice), NOW), record(None, NOW));
    let (count, outcome) = trips(&proxy, store.create(alone(&visitor), NOW)).await;
    assert_eq!((count, outcome.unwrap()), (1, created()), "create");
    let replaces = Some(Replacement { id: visitor.summary.id, user: None, version: visitor.version });
    let login = CreateRequest { record: &one, replaces, limit: limit(1, LimitPolicy::EvictOldest) };
    let (count, outcome) = trips(&proxy, store.create(login, NOW)).await;
    assert_eq!((count, outcome.unwrap()), (1, created()), "login that replaces");
    let (count, outcome) = trips(&proxy, store.load(&one.summary.id, Freshness::Latest)).await;
    assert_eq!((count, outcome.unwrap().unwrap().version), (1, one.version), "load");
    let (count, outcome) = trips(&proxy, store.update(&next(&one), one.version, NOW)).await;
    assert_eq!((count, outcome.unwrap()), (1, UpdateOutcome::Applied), "update");
    let (count, outcome) = trips(&proxy, store.touch(&one.summary.id, Some(&alice), NOW + MINUTE)).await;
    assert_eq!((count, outcome.unwrap()), (1, TouchOutcome::Applied), "touch");
    let (count, outcome) = trips(&proxy, store.list_by_user(&alice, NOW)).await;
    assert_eq!((count, outcome.unwrap().len()), (2, 1), "list of one");
    assert_eq!(trips(&proxy, store.list_by_user(&user("nobody"), NOW)).await.0, 1, "list of none");

    let two = record(Some(&alice), NOW);
    let login = CreateRequest { limit: limit(1, LimitPolicy::EvictOldest), ..alone(&two) };
    let (count, outcome) = trips(&proxy, store.create(login, NOW)).await;
    assert_eq!(
        (count, outcome.unwrap()),
        (2, CreateOutcome::Created { evicted: vec![one.summary.id] }),
        "login at the limit"
    );
    let three = record(Some(&alice), NOW);
    let login = CreateRequest { limit: limit(1, LimitPolicy::Reject), ..alone(&three) };
    let (count, outcome) = trips(&proxy, store.create(login, NOW)).await;
    assert_eq!((count, outcome.unwrap()), (2, CreateOutcome::LimitReached), "rejected login");

    assert_ne!(bob.shard(), alice.shard());
    assert_eq!(
        trips(&proxy, store.delete(&two.summary.id, Some(&bob))).await.0,
        0,
        "delete of somebody else's session"
    );
    let (count, outcome) = trips(&proxy, store.delete(&two.summary.id, Some(&alice))).await;
    assert_eq!((count, outcome.unwrap()), (1, DeleteOutcome::Deleted), "delete");
    assert_eq!(trips(&proxy, store.delete_by_user(&alice, None)).await.0, 1, "delete_by_user of none");
    insert(&store, &one).await;
    let (count, outcome) = trips(&proxy, store.delete_by_user(&alice, None)).await;
    assert_eq!((count, outcome.unwrap()), (2, vec![one.summary.id]), "delete_by_user of one");
    let (count, outcome) = trips(&proxy, store.delete_expired(NOW, NonZeroU32::MAX)).await;
    assert_eq!((count, outcome.unwrap()), (0, 0), "delete_expired");
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn scripts_may_be_forgotten_at_any_time() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let forget = async || run(&server, "SCRIPT FLUSH SYNC").await;
    let (one, two) = (record(Some(&alice), NOW), record(Some(&alice), NOW + MINUTE));
    insert(&store, &one).await;
    forget().await;
    insert(&store, &two).await;
    forget().await;
    assert_eq!(store.update(&next(&one), one.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    forget().await;
    assert_eq!(store.touch(&one.summary.id, Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    forget().await;
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 2);
    forget().await;
    assert_eq!(store.delete(&one.summary.id, Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    forget().await;
    assert_eq!(store.delete_by_user(&alice, None).await.unwrap(), [two.summary.id]);
}

#[tokio::test]
async fn a_repeated_call_answers_as_the_first() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let visitor = record(None, NOW);
    insert(&store, &visitor).await;
    let login = record(Some(&alice), NOW);
    let replaces = Some(Replacement { id: visitor.summary.id, user: None, version: visitor.version });
    let admission = CreateRequest { record: &login, replaces, limit: limit(1, LimitPolicy::Reject) };
    for _ in 0..3 {
        assert_eq!(store.create(admission, NOW).await.unwrap(), created());
    }
    let change = next(&login);
    for _ in 0..3 {
        assert_eq!(store.update(&change, login.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    }
    assert_eq!(store.update(&next(&change), login.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
    // `create` again, after the record has moved on: it is another one now.
    assert_eq!(store.create(admission, NOW).await.unwrap(), CreateOutcome::IdTaken);
}
