//! What is in the server: one real Redis, looked at from the side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_core::{
    Admission, Admitted, AtLimit, Deleted, Record, Replaces, SessionId, SessionStore, StoreErrorKind, Touched, Updated,
};
use session_redis::{ConnectError, RedisStore};
use support::Server;
use support::records::{ABSOLUTE, IDLE, MINUTE, NOW, alone, created, exists, insert, limit, next, record, user};

const SLACK: Duration = Duration::from_secs(60);

/// Every key has a time to live, and the longest is `expected` and the slack, give or take what the test takes.
async fn longest_life(server: &Server, expected: Duration, after: &str) {
    let keys = server.keys().await;
    for (key, ttl) in &keys {
        assert!(*ttl > 0, "{} has no time to live after {after}", String::from_utf8_lossy(key));
    }
    let longest = keys.iter().map(|(_, ttl)| *ttl).max().expect("no key");
    let expected = i64::try_from((expected + SLACK).as_millis()).unwrap();
    assert!((expected - 5_000..=expected).contains(&longest), "{longest} ms instead of {expected} after {after}");
}

#[tokio::test]
async fn every_key_has_a_time_to_live_after_every_operation() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let visitor = record(None, NOW);
    insert(&store, &visitor).await;
    longest_life(&server, IDLE, "create").await;

    let login = record(Some(&alice), NOW);
    let replaces = Some(Replaces { id: visitor.id, user: None, version: visitor.version });
    assert_eq!(store.create(Admission { replaces, ..alone(&login) }, NOW).await.unwrap(), created());
    assert_eq!(server.keys().await.len(), 2, "the session and the index; the visitor is gone");
    longest_life(&server, IDLE, "login").await;

    // The idle deadline moves with the activity, until the absolute one is earlier.
    let later = NOW + 10 * MINUTE;
    assert_eq!(store.touch(&login.id, Some(&alice), later, later).await.unwrap(), Touched::Applied);
    longest_life(&server, IDLE, "touch").await;
    let mut end = later;
    while end < NOW + ABSOLUTE - 15 * MINUTE {
        end = end + 15 * MINUTE;
        assert_eq!(store.touch(&login.id, Some(&alice), end, end).await.unwrap(), Touched::Applied);
    }
    let left = (NOW + ABSOLUTE).since(end);
    let session = server.keys().await.into_iter().find(|(key, _)| key.ends_with(login.id.to_string().as_bytes()));
    let ttl = Duration::from_millis(u64::try_from(session.unwrap().1).unwrap());
    assert!(ttl <= left + SLACK && ttl + Duration::from_secs(5) > left + SLACK, "{ttl:?}, {left:?}");

    // A longer lifetime by an update, in the index too.
    let mut longer = next(&store.load(&login.id).await.unwrap().unwrap());
    let before = login.version;
    longer.lifetime.idle = 4 * ABSOLUTE;
    longer.lifetime.absolute = 4 * ABSOLUTE;
    assert_eq!(store.update(&longer, before, end).await.unwrap(), Updated::Applied);
    longest_life(&server, longer.deadline().since(end), "update").await;

    let forever =
        Record { lifetime: session_core::Lifetime { idle: Duration::MAX, absolute: Duration::MAX }, ..next(&longer) };
    assert_eq!(store.update(&forever, longer.version, end).await.unwrap(), Updated::Applied);
    assert!(server.keys().await.iter().all(|(_, ttl)| *ttl > 1 << 52));
    assert_eq!(store.delete(&login.id, Some(&alice)).await.unwrap(), Deleted::Deleted);
    assert_eq!(server.keys().await, []);
}

#[tokio::test]
async fn an_expired_record_is_stored_with_the_slack_as_its_life() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let old = record(Some(&user("alice")), NOW);
    assert_eq!(store.create(alone(&old), NOW + 2 * ABSOLUTE).await.unwrap(), created());
    longest_life(&server, Duration::ZERO, "create").await;
}

/// How many scripts the server runs during `call`.
async fn scripts<T>(server: &Server, call: impl Future<Output = T>) -> (u64, T) {
    let before = server.calls("evalsha").await + server.calls("eval").await;
    let outcome = call.await;
    (server.calls("evalsha").await + server.calls("eval").await - before, outcome)
}

#[tokio::test]
async fn round_trips() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    // Teaches the server the scripts.
    let first = record(Some(&alice), NOW);
    insert(&store, &first).await;
    assert_eq!(store.touch(&first.id, Some(&alice), NOW, NOW).await.unwrap(), Touched::Applied);
    assert_eq!(store.update(&next(&first), first.version, NOW).await.unwrap(), Updated::Applied);
    store.list_by_user(&alice, NOW).await.unwrap();
    assert_eq!(store.delete(&first.id, Some(&alice)).await.unwrap(), Deleted::Deleted);
    store.delete_by_user(&alice, None).await.unwrap();

    let (gets, evals) = (server.calls("get").await, server.calls("evalsha").await + server.calls("eval").await);
    store.load(&first.id).await.unwrap();
    assert_eq!(server.calls("get").await - gets, 1, "load");
    assert_eq!(server.calls("evalsha").await + server.calls("eval").await - evals, 0, "load");

    let one = record(Some(&alice), NOW);
    let visitor = record(None, NOW);
    assert_eq!(scripts(&server, insert(&store, &visitor)).await.0, 1, "create");
    let replaces = Some(Replaces { id: visitor.id, user: None, version: visitor.version });
    let login = Admission { record: &one, replaces, limit: limit(1, AtLimit::EvictOldest) };
    assert_eq!(scripts(&server, store.create(login, NOW)).await.0, 1, "login");
    assert_eq!(scripts(&server, store.update(&next(&one), one.version, NOW)).await.0, 1, "update");
    assert_eq!(scripts(&server, store.touch(&one.id, Some(&alice), NOW, NOW)).await.0, 1, "touch");
    assert_eq!(scripts(&server, store.list_by_user(&alice, NOW)).await.0, 2, "list of one");
    assert_eq!(scripts(&server, store.list_by_user(&user("nobody"), NOW)).await.0, 1, "list of none");
    let two = record(Some(&alice), NOW);
    let login = Admission { limit: limit(1, AtLimit::EvictOldest), ..alone(&two) };
    let (calls, outcome) = scripts(&server, store.create(login, NOW)).await;
    assert_eq!((calls, outcome.unwrap()), (2, Admitted::Created { evicted: vec![one.id] }), "login at the limit");
    let three = record(Some(&alice), NOW);
    let login = Admission { limit: limit(1, AtLimit::Reject), ..alone(&three) };
    let (calls, outcome) = scripts(&server, store.create(login, NOW)).await;
    assert_eq!((calls, outcome.unwrap()), (2, Admitted::LimitReached), "rejected login");
    let bob = user("bob");
    assert_ne!(bob.shard(), alice.shard());
    assert_eq!(scripts(&server, store.delete(&two.id, Some(&bob))).await.0, 0, "delete of somebody else's session");
    assert_eq!(scripts(&server, store.delete_by_user(&alice, None)).await.0, 2, "delete_by_user");
    let (calls, outcome) = scripts(&server, store.delete(&two.id, Some(&alice))).await;
    assert_eq!((calls, outcome.unwrap()), (1, Deleted::Absent), "delete");
}

#[tokio::test]
async fn scripts_may_be_forgotten_at_any_time() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let forget = async || server.run::<()>("SCRIPT FLUSH SYNC").await;
    let (one, two) = (record(Some(&alice), NOW), record(Some(&alice), NOW + MINUTE));
    insert(&store, &one).await;
    forget().await;
    insert(&store, &two).await;
    forget().await;
    assert_eq!(store.update(&next(&one), one.version, NOW).await.unwrap(), Updated::Applied);
    forget().await;
    assert_eq!(store.touch(&one.id, Some(&alice), NOW + MINUTE, NOW).await.unwrap(), Touched::Applied);
    forget().await;
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 2);
    forget().await;
    assert_eq!(store.delete(&one.id, Some(&alice)).await.unwrap(), Deleted::Deleted);
    forget().await;
    assert_eq!(store.delete_by_user(&alice, None).await.unwrap(), [two.id]);
}

#[tokio::test]
async fn a_repeated_call_answers_as_the_first() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let visitor = record(None, NOW);
    insert(&store, &visitor).await;
    let login = record(Some(&alice), NOW);
    let replaces = Some(Replaces { id: visitor.id, user: None, version: visitor.version });
    let admission = Admission { record: &login, replaces, limit: limit(1, AtLimit::Reject) };
    for _ in 0..3 {
        assert_eq!(store.create(admission, NOW).await.unwrap(), created());
    }
    let change = next(&login);
    for _ in 0..3 {
        assert_eq!(store.update(&change, login.version, NOW).await.unwrap(), Updated::Applied);
    }
    assert_eq!(store.update(&next(&change), login.version, NOW).await.unwrap(), Updated::Conflict);
    // `create` again, after the record has moved on: it is another one now.
    assert_eq!(store.create(admission, NOW).await.unwrap(), Admitted::Occupied);
}

#[tokio::test]
async fn the_index_cleans_itself() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let index = format!("{{session:{:04x}}}:u:alice", alice.shard());
    for hour in 0..5 {
        let now = NOW + hour * 60 * MINUTE;
        assert_eq!(store.create(alone(&record(Some(&alice), now)), now).await.unwrap(), created());
        assert_eq!(server.run::<u32>(&format!("HLEN {index}")).await, 1, "after {hour} hours");
    }
    // Within the slack an entry stays: the key of its session is still there, and revocation must find it.
    let now = NOW + 4 * 60 * MINUTE + IDLE;
    let last = record(Some(&alice), now);
    let login = Admission { limit: limit(1, AtLimit::Reject), ..alone(&last) };
    assert_eq!(store.create(login, now).await.unwrap(), created(), "what is expired does not count");
    assert_eq!(server.run::<u32>(&format!("HLEN {index}")).await, 2);
    assert_eq!(store.delete_by_user(&alice, None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn sessions_that_redis_evicted_do_not_count() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let (one, two, three) = (record(Some(&alice), NOW), record(Some(&alice), NOW), record(Some(&alice), NOW));
    let login = |record| Admission { limit: limit(2, AtLimit::Reject), ..alone(record) };
    assert_eq!(store.create(login(&one), NOW).await.unwrap(), created());
    assert_eq!(store.create(login(&two), NOW).await.unwrap(), created());
    assert_eq!(store.create(login(&three), NOW).await.unwrap(), Admitted::LimitReached);
    server.run::<()>(&format!("DEL {{session:{:04x}}}:s:{}", alice.shard(), one.id)).await;
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    assert_eq!(store.create(login(&three), NOW).await.unwrap(), created());
}

#[tokio::test]
async fn a_lost_index_comes_back_with_the_next_activity() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let session = record(Some(&alice), NOW);
    insert(&store, &session).await;
    server.run::<()>(&format!("DEL {{session:{:04x}}}:u:alice", alice.shard())).await;
    assert_eq!(store.touch(&session.id, Some(&alice), NOW + MINUTE, NOW + MINUTE).await.unwrap(), Touched::Applied);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 1);
    longest_life(&server, IDLE, "touch").await;
    // Without an index, `delete` still knows whose session it is.
    server.run::<()>(&format!("DEL {{session:{:04x}}}:u:alice", alice.shard())).await;
    assert_eq!(store.delete(&session.id, None).await.unwrap(), Deleted::Absent);
    assert_eq!(store.delete(&session.id, Some(&alice)).await.unwrap(), Deleted::Deleted);
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_left_as_it_is() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let session = record(Some(&alice), NOW);
    insert(&store, &session).await;
    let key = format!("{{session:{:04x}}}:s:{}", alice.shard(), session.id);
    server.run::<()>(&format!("SETRANGE {key} 0 \u{7f}")).await;
    let before: Vec<u8> = server.run(&format!("GET {key}")).await;

    let kind = |error: session_core::StoreError| error.kind();
    let later = NOW + MINUTE;
    assert_eq!(store.load(&session.id).await.map_err(kind).unwrap_err(), StoreErrorKind::Corrupt);
    assert_eq!(
        store.touch(&session.id, Some(&alice), later, later).await.map_err(kind).unwrap_err(),
        StoreErrorKind::Corrupt
    );
    let change = next(&session);
    assert_eq!(store.update(&change, session.version, NOW).await.map_err(kind).unwrap_err(), StoreErrorKind::Corrupt);
    assert_eq!(store.create(alone(&session), NOW).await.map_err(kind).unwrap_err(), StoreErrorKind::Corrupt);
    assert_eq!(store.list_by_user(&alice, NOW).await.map_err(kind).unwrap_err(), StoreErrorKind::Corrupt);
    assert_eq!(server.run::<Vec<u8>>(&format!("GET {key}")).await, before);
    assert_eq!(store.delete_by_user(&alice, None).await.unwrap(), [session.id]);
}

#[tokio::test]
async fn sessions_end_although_the_memory_is_used_up() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let alice = user("alice");
    let (one, two) = (record(Some(&alice), NOW), record(Some(&alice), NOW));
    insert(&store, &one).await;
    insert(&store, &two).await;
    server.run::<()>("CONFIG SET maxmemory 1").await;
    let full = store.create(alone(&record(Some(&alice), NOW)), NOW).await.unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full);
    let full = store.update(&next(&one), one.version, NOW).await.unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 2);
    assert_eq!(store.touch(&one.id, Some(&alice), NOW + MINUTE, NOW).await.unwrap(), Touched::Applied);
    assert_eq!(store.delete(&one.id, Some(&alice)).await.unwrap(), Deleted::Deleted);
    assert_eq!(store.delete_by_user(&alice, None).await.unwrap(), [two.id]);
}

#[tokio::test]
async fn an_id_of_another_shard_is_refused() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut session = record(Some(&user("alice")), NOW);
    session.id = SessionId::from_bytes([0xff; 16]);
    assert_eq!(store.create(alone(&session), NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
    assert_eq!(store.update(&session, session.version, NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
    assert!(!exists(&store, &session.id).await);
}

#[tokio::test]
async fn errors_show_no_id_no_user_and_no_password() {
    let server = Server::start(&[]).await;
    server.run::<()>("ACL SETUSER app on >hunter2 ~* +@all -evalsha -eval -get").await;
    let url = format!("redis://app:hunter2@{}", server.address());
    let store = RedisStore::connect(&url).await.unwrap();
    let session = record(Some(&user("alice")), NOW);
    let errors = [
        store.load(&session.id).await.unwrap_err(),
        store.create(alone(&session), NOW).await.unwrap_err(),
        store.delete_by_user(&user("alice"), None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Other);
        let source = std::error::Error::source(&error).unwrap();
        let text = format!("{error} {error:?} {source} {source:?} {store:?}");
        for secret in ["alice", "hunter2", &session.id.to_string(), "{session"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("redis"), "{text}");
    }
    let wrong = RedisStore::connect(&format!("redis://app:hunter3@{}", server.address())).await.unwrap_err();
    let text = format!("{wrong} {wrong:?} {:?}", std::error::Error::source(&wrong));
    assert!(matches!(wrong, ConnectError::Unavailable(_)) && !text.contains("hunter"), "{text}");
}

#[tokio::test]
async fn settings_are_checked() {
    let open = |prefix: &str, timeout| {
        RedisStore::builder("redis://127.0.0.1:1").key_prefix(prefix).operation_timeout(timeout).connect_lazy()
    };
    assert!(matches!(open("a{b", Duration::from_secs(1)), Err(ConnectError::KeyPrefix)));
    assert!(matches!(open("ab", Duration::ZERO), Err(ConnectError::OperationTimeout)));
    assert!(matches!(open("ab", Duration::from_secs(61)), Err(ConnectError::OperationTimeout)));
    assert!(open("ab", Duration::from_secs(60)).is_ok());
}

#[test]
fn a_store_needs_a_runtime() {
    let store = RedisStore::builder("redis://127.0.0.1:1").connect_lazy();
    assert!(matches!(store, Err(ConnectError::NoRuntime)));
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_server_that_may_evict_sessions_is_reported() {
    for (policy, warns) in [("allkeys-lru", true), ("volatile-ttl", true), ("noeviction", false)] {
        let server = Server::start(&["--maxmemory-policy", policy]).await;
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        // The runtime of the test has one thread, so what its tasks log comes here.
        let _guard = tracing::subscriber::set_default(subscriber);
        let store = RedisStore::connect(&server.url()).await.unwrap();
        for _ in 0..10 {
            store.load(&SessionId::from_bytes([0; 16])).await.unwrap();
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.contains("WARN") && text.contains(policy), warns, "{policy}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_tell_its_settings_is_used_all_the_same() {
    let server = Server::start(&["--rename-command", "CONFIG", ""]).await;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert!(exists(&store, &session.id).await);
}
