//! What goes over the wire: how often, and which scripts.

use std::num::NonZeroU32;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, LimitPolicy};
use session_redis::RedisStore;
use session_testbed::proxy::Proxy;
use session_testbed::servers::Redis;

use crate::support::records::{MINUTE, NOW, created, insert, limit, next, record, replacing, user};
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
    // A new connection asks for the maxmemory-policy at some time.
    eventually("the maxmemory-policy was asked for", async || {
        run(&server, "INFO commandstats").await.text().contains("cmdstat_config|get:calls=")
    })
    .await;
    let (alice, bob) = (user("alice"), user("bob"));
    // Loads the scripts: one more round trip each.
    let first = record(Some(&alice), NOW);
    assert_eq!(trips(&proxy, insert(&store, &first)).await.0, 2, "a script that is not loaded yet");
    assert_eq!(store.touch(&first.id(), Some(&alice), NOW).await.unwrap(), TouchOutcome::Applied);
    assert_eq!(store.update(&next(&first), first.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    store.list_by_user(&alice, NOW).await.unwrap();
    assert_eq!(store.delete(&first.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    store.delete_by_user(&alice, None).await.unwrap();

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
    assert_eq!((count, outcome.unwrap().len()), (2, 1), "list of one");
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
    assert_eq!(trips(&proxy, store.delete_by_user(&alice, None)).await.0, 1, "delete_by_user of none");
    insert(&store, &one).await;
    let (count, outcome) = trips(&proxy, store.delete_by_user(&alice, None)).await;
    assert_eq!((count, outcome.unwrap()), (2, vec![one.id()]), "delete_by_user of one");
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
    assert_eq!(store.touch(&one.id(), Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    forget().await;
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 2);
    forget().await;
    assert_eq!(store.delete(&one.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    forget().await;
    assert_eq!(store.delete_by_user(&alice, None).await.unwrap(), [two.id()]);
}

#[tokio::test]
async fn a_repeated_call_answers_as_the_first() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let anonymous = record(None, NOW);
    insert(&store, &anonymous).await;
    let login = record(Some(&alice), NOW);
    let request = replacing(&login, &anonymous).within(limit(1, LimitPolicy::Reject));
    for _ in 0..3 {
        assert_eq!(store.create(request, NOW).await.unwrap(), created());
    }
    let change = next(&login);
    for _ in 0..3 {
        assert_eq!(store.update(&change, login.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    }
    assert_eq!(store.update(&next(&change), login.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
    // `create` again, after an update: it is another record now.
    assert_eq!(store.create(request, NOW).await.unwrap(), CreateOutcome::IdTaken);
}
