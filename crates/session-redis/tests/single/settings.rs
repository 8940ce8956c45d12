//! Settings of the store and of the server, and what is logged about them.

use std::num::NonZeroU32;
use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, SessionStore, TouchOutcome};
use session_core::{DeleteOutcome, LimitPolicy, OsEntropy, SessionId, StoreErrorKind, VisitorLimit};
use session_redis::{ConnectError, RedisStore};
use session_testbed::Log;
use session_testbed::calls::Sessions;
use session_testbed::records::{MINUTE, NOW, created, insert, limit, load, next, record, shop, user};
use session_testbed::servers::Redis;

use crate::support::{CALLS, run};

#[tokio::test]
async fn sessions_can_be_ended_at_maxmemory() {
    let server = Redis::launch(&[("maxmemory-policy", "noeviction")]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    let (one, two) = (record(Some(&alice), NOW), record(Some(&alice), NOW));
    insert(&store, &one).await;
    insert(&store, &two).await;
    run(&server, "CONFIG SET maxmemory 1").await;
    let full = store.create(CreateRequest::new(&record(Some(&alice), NOW)), NOW).await.unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full);
    let full = store.update(&next(&one), one.version, NOW).await.unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 2);
    assert_eq!(store.touch(&one.id(), Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
    assert_eq!(store.delete(&one.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(store.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [two.id()]);
}

#[tokio::test]
async fn errors_show_no_id_no_user_and_no_password() {
    let server = Redis::launch(&[]).await.unwrap();
    run(&server, "ACL SETUSER app on >hunter2 ~* +@all -evalsha -eval -getrange").await;
    let url = format!("redis://app:hunter2@{}", server.address());
    let store = RedisStore::connect(&url, shop()).await.unwrap();
    let session = record(Some(&user("alice")), NOW);
    let errors = [
        store.load(&session.id(), Freshness::Latest).await.unwrap_err(),
        store.create(CreateRequest::new(&session), NOW).await.unwrap_err(),
        store.delete_by_user(&user("alice"), None, NOW).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Other);
        let source = std::error::Error::source(&error).unwrap();
        let text = format!("{error} {error:?} {source} {source:?} {store:?}");
        for secret in ["alice", "hunter2", &session.id().to_string(), "{session"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("NOPERM"), "{text}");
    }
    let wrong = RedisStore::connect(&format!("redis://app:hunter3@{}", server.address()), shop()).await.unwrap_err();
    let text = format!("{wrong} {wrong:?} {:?}", std::error::Error::source(&wrong));
    assert!(matches!(wrong, ConnectError::Unavailable(_)) && !text.contains("hunter"), "{text}");
}

/// The documentation names these.
#[tokio::test]
async fn the_documented_rights_are_enough() {
    let server = Redis::launch(&[]).await.unwrap();
    let commands = [
        "get",
        "getrange",
        "set",
        "setrange",
        "pexpire",
        "hget",
        "hset",
        "hdel",
        "hgetall",
        "hkeys",
        "hlen",
        "hsetnx",
        "eval",
        "evalsha",
        "hello",
        "wait",
        "scan",
        "dbsize",
        "randomkey",
    ];
    let rights = format!("ACL SETUSER app on >hunter2 resetkeys ~{{shop:* -@all +{}", commands.join(" +"));
    run(&server, &rights).await;
    let builder = RedisStore::builder(&format!("redis://app:hunter2@{}", server.address()), shop());
    let waiting = builder.clone().wait_for_replicas(NonZeroU32::MIN).connect().await.unwrap();
    let store = builder.connect().await.unwrap();
    Sessions::assert_all_work(&store, CALLS).await;
    let one = record(Some(&user("alice")), NOW);
    insert(&store, &one).await;
    let two = record(Some(&user("alice")), NOW);
    let login = CreateRequest::new(&two).within(limit(1, LimitPolicy::EvictOldest));
    assert_eq!(store.create(login, NOW).await.unwrap(), CreateOutcome::Created { evicted: vec![one.id()] });
    // There is no replica, but WAIT was permitted.
    let error = waiting.create(CreateRequest::new(&one), NOW).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error}");

    // A full server: the visitor has ended, but there is no room yet.
    let (limit, mut visitor) = (VisitorLimit::new(1).unwrap(), record(None, NOW));
    visitor.summary.id = limit.generate_id(&OsEntropy).unwrap();
    assert_eq!(store.create(CreateRequest::new(&visitor).among(limit), NOW).await.unwrap(), created());
    run(&server, "CONFIG SET maxmemory 1").await;
    let error = store.create(CreateRequest::new(&record(Some(&user("bob")), NOW)), NOW).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error}");
    assert!(load(&store, &visitor.id()).await.is_none());
}

#[tokio::test]
async fn settings_are_checked() {
    let open = |timeout| RedisStore::builder("redis://127.0.0.1:1", shop()).operation_timeout(timeout).connect_lazy();
    assert!(matches!(open(Duration::ZERO), Err(ConnectError::OperationTimeout)));
    assert!(matches!(open(Duration::from_secs(61)), Err(ConnectError::OperationTimeout)));
    assert!(open(Duration::from_secs(60)).is_ok());
}

#[test]
fn a_store_needs_a_runtime() {
    let store = RedisStore::builder("redis://127.0.0.1:1", shop()).connect_lazy();
    assert!(matches!(store, Err(ConnectError::NoRuntime)));
}

#[tokio::test]
async fn a_server_that_may_evict_sessions_is_reported() {
    for (policy, warns) in [("allkeys-lru", true), ("volatile-ttl", true), ("noeviction", false)] {
        let server = Redis::launch(&[("maxmemory-policy", policy)]).await.unwrap();
        let (log, _guard) = Log::keep();
        let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
        for _ in 0..10 {
            store.load(&SessionId::from_bytes([0; 16]), Freshness::Latest).await.unwrap();
        }
        let text = log.take().join("\n");
        assert_eq!(text.contains("WARN") && text.contains(policy), warns, "{policy}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_hides_its_settings_is_used_all_the_same() {
    let server = Redis::launch(&[("rename-command", "CONFIG \"\"")]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert!(load(&store, &session.id()).await.is_some());
}
