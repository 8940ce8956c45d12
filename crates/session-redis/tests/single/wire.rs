//! What goes over the wire: how often, and which scripts.

use std::num::NonZeroU32;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, LimitPolicy};
use session_redis::RedisStore;
use session_testbed::calls::Sessions;
use session_testbed::proxy::Proxy;
use session_testbed::records::{MINUTE, NOW, created, insert, limit, next, record, replacing, shop, user};
use session_testbed::servers::Redis;

use crate::support::{CALLS, eventually, run};

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
    let store = RedisStore::connect(&format!("redis://{}", proxy.address()), shop()).await.unwrap();
    // A new connection asks for the maxmemory-policy at some time.
    eventually("the maxmemory-policy was asked for", async || {
        run(&server, "INFO commandstats").await.text().contains("cmdstat_config|get:calls=")
    })
    .await;
    let (alice, bob) = (user("alice"), user("bob"));
    let first = record(Some(&alice), NOW);
    // Replies come in order: once this one is here, that of the question above is too, and no round trip is open.
    assert!(store.load(&first.id(), Freshness::Latest).await.unwrap().is_none());
    assert_eq!(trips(&proxy, insert(&store, &first)).await.0, 2, "a script that is not loaded yet");
    store.delete_by_user(&alice, None, NOW).await.unwrap();
    Sessions::assert_all_work(&store, CALLS).await;

    let (one, anonymous) = (record(Some(&alice), NOW), record(None, NOW));
    let (count, outcome) = trips(&proxy, store.create(CreateRequest::new(&anonymous), NOW)).await;
    assert_eq!((count, outcome.unwrap()), (1, created()), "create");
    let login = replacing(&one, &anonymous).within(limit(1, LimitPolicy::EvictOldest));
    let (count, outcome) = trips(&proxy, store.create(login, NOW)).await;
    assert_eq!((count, outcome.unwrap()), (1, created()), "login that replaces");
    let (count, outcome) = trips(&proxy, store.load(&one.id(), Freshness::Latest)).await;
    assert_eq!((count, outcome.unwrap().unwrap().version), (1, one.version), "load");
    let (count, outcome) = trips(&proxy, store.update(&next(&one), one.version, NOW)).await;
    assert_eq!((count, outcome.unwrap()), (1, UpdateOutcome::Applied), "update");
    let (count, outcome) = trips(&proxy, store.touch(&one.id(), Some(&alice), NOW + MINUTE)).await;
    assert_eq!((count, outcome.unwrap()), (1, TouchOutcome::Applied), "touch");
    let (count, outcome) = trips(&proxy, store.list_by_user(&alice, NOW)).await;
    assert_eq!((count, outcome.unwrap().sessions.len()), (2, 1), "list of one");
    assert_eq!(trips(&proxy, store.list_by_user(&user("carol"), NOW)).await.0, 1, "list of none");

    let two = record(Some(&alice), NOW);
    let login = CreateRequest::new(&two).within(limit(1, LimitPolicy::EvictOldest));
    let (count, outcome) = trips(&proxy, store.create(login, NOW)).await;
    assert_eq!(
        (count, outcome.unwrap()),
        (2, CreateOutcome::Created { evicted: vec![one.id()] }),
        "login at the limit"
    );
    let three = record(Some(&alice), NOW);
    let login = CreateRequest::new(&three).within(limit(1, LimitPolicy::Reject));
    let (count, outcome) = trips(&proxy, store.create(login, NOW)).await;
    assert_eq!((count, outcome.unwrap()), (2, CreateOutcome::LimitReached), "rejected login");

    assert_ne!(bob.shard(), alice.shard());
    assert_eq!(
        trips(&proxy, store.delete(&two.id(), Some(&bob))).await.0,
        0,
        "delete of a session in another user's shard"
    );
    let (count, outcome) = trips(&proxy, store.delete(&two.id(), Some(&alice))).await;
    assert_eq!((count, outcome.unwrap()), (1, DeleteOutcome::Deleted), "delete");
    assert_eq!(trips(&proxy, store.delete_by_user(&alice, None, NOW)).await.0, 1, "delete_by_user of none");
    let four = record(Some(&alice), NOW);
    insert(&store, &four).await;
    let (count, outcome) = trips(&proxy, store.delete_by_user(&alice, None, NOW)).await;
    assert_eq!((count, outcome.unwrap().ids()), (2, vec![four.id()]), "delete_by_user of one");
    let (count, outcome) = trips(&proxy, store.delete_expired(NOW, NonZeroU32::MAX)).await;
    assert_eq!((count, outcome.unwrap()), (0, 0), "delete_expired");
    assert_eq!(proxy.connections(), 1);
}
