//! What was ended stays ended, whatever arrives late.

use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, SessionStore};
use session_core::{DeleteOutcome, LimitPolicy};
use session_redis::RedisStore;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::{NOW, created, insert, limit, load, next, record, replacing, shop, user};
use session_testbed::servers::Redis;

use crate::faults::url;
use crate::support::{eventually, run, session_key};

/// The login of `session` comes once more, and is refused; nothing shows it.
async fn is_ended(store: &RedisStore, session: &Record, how: &str) {
    let late = store.create(CreateRequest::new(session), NOW).await.unwrap();
    assert_eq!(late, CreateOutcome::IdTaken, "a login that is late, after {how}");
    assert!(load(store, &session.id()).await.is_none(), "{how}");
    if let Some(user) = session.user() {
        let listing = store.list_by_user(user, NOW).await.unwrap();
        assert!(listing.unreadable.is_empty() && listing.sessions.iter().all(|it| it.id != session.id()), "{how}");
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_not_created_again() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    let sessions = [(); 5].map(|()| record(Some(&alice), NOW));
    let [deleted, changed, revoked, evicted, never] = &sessions;
    for session in [deleted, changed, revoked] {
        insert(&store, session).await;
    }
    assert_eq!(store.delete(&deleted.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    is_ended(&store, deleted, "a logout").await;
    // The version of its end is not that of its beginning.
    let _ = store.update(&next(changed), changed.version, NOW).await.unwrap();
    assert_eq!(store.delete(&changed.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    is_ended(&store, changed, "an update and a logout").await;
    assert_eq!(store.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [revoked.id()]);
    is_ended(&store, revoked, "logout everywhere").await;
    // Before it was there: a login whose outcome is not known.
    assert_eq!(store.delete(&never.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Absent);
    is_ended(&store, never, "a logout that came first").await;

    insert(&store, evicted).await;
    let new = record(Some(&alice), NOW);
    let login = CreateRequest::new(&new).within(limit(1, LimitPolicy::EvictOldest));
    let outcome = store.create(login, NOW).await.unwrap();
    assert_eq!(outcome, CreateOutcome::Created { evicted: vec![evicted.id()] });
    is_ended(&store, evicted, "an eviction").await;

    let (anonymous, login) = (record(None, NOW), record(Some(&alice), NOW));
    insert(&store, &anonymous).await;
    assert_eq!(store.create(replacing(&login, &anonymous), NOW).await.unwrap(), created());
    is_ended(&store, &anonymous, "a login in exchange").await;
    // The login itself may be repeated.
    assert_eq!(store.create(replacing(&login, &anonymous), NOW).await.unwrap(), created());

    let ttl = run(&server, &format!("PTTL {}", session_key(&alice, &deleted.id()))).await.number().unwrap();
    assert!((60_000..=120_000).contains(&ttl), "{ttl} ms: longer than an operation can take, and not for ever");
}

/// At the limit, too, where the ids of the index are counted.
#[tokio::test]
async fn what_was_ended_takes_no_place() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    for _ in 0..3 {
        let session = record(Some(&alice), NOW);
        let login = CreateRequest::new(&session).within(limit(1, LimitPolicy::Reject));
        assert_eq!(store.create(login, NOW).await.unwrap(), created());
        assert_eq!(store.delete(&session.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    }
}

/// The reply to a login is lost, all sessions are ended, then the driver repeats the login.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_driver_repeats_does_not_undo_a_logout_everywhere() {
    let server = Redis::launch(&[]).await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let (store, direct) = (
        RedisStore::connect(&url(&proxy), shop()).await.unwrap(),
        RedisStore::connect(&server.url(), shop()).await.unwrap(),
    );
    let alice = user("alice");
    // Teaches the script.
    insert(&store, &record(Some(&alice), NOW)).await;
    store.delete_by_user(&alice, None, NOW).await.unwrap();
    let new = record(Some(&alice), NOW);
    proxy.cut_one_reply(0, Mode::BlackHole);
    let login = {
        let new = new.clone();
        tokio::spawn(async move { store.create(CreateRequest::new(&new), NOW).await })
    };
    eventually("it is executed", async || load(&direct, &new.id()).await.is_some()).await;
    assert_eq!(direct.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [new.id()]);
    proxy.reply_cut().await;
    proxy.set(Mode::Pass);
    assert_eq!(login.await.unwrap().unwrap(), CreateOutcome::IdTaken);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(direct.load(&new.id(), Freshness::Latest).await.unwrap().is_none());
}
