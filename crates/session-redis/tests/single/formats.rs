//! What another version has stored.

use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::store::{CreateOutcome, CreateRequest, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{DeleteOutcome, EventKind, LimitPolicy, ManualClock, Policy, SessionManager, Termination};
use session_redis::RedisStore;
use session_testbed::records::{MINUTE, NOW, created, insert, limit, next, record, shop, user};
use session_testbed::servers::Redis;
use tokio::sync::broadcast;

use crate::support::{index_key, run, session_key, with_session};

/// An entry of the index that this version does not know, of a session that it does.
#[tokio::test]
async fn an_index_entry_of_another_form_blocks_nobody_and_stays() {
    for form in ["x", "\u{2}123456789012345678", "\u{1}12345678901234567", "a much longer entry, with more in it"] {
        let server = Redis::launch(&[]).await.unwrap();
        let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
        let alice = user("alice");
        let (other, index) = (record(Some(&alice), NOW), index_key(&alice));
        insert(&store, &other).await;
        let id = other.id().to_string();
        server.command(&["HSET", &index, &id, form]).await.unwrap();
        let entry = async || run(&server, &format!("HGET {index} {id}")).await.text().to_owned();

        let [one, two] = [(); 2].map(|()| record(Some(&alice), NOW));
        let login = |record| CreateRequest::new(record).within(limit(1, LimitPolicy::EvictOldest));
        assert_eq!(store.create(login(&one), NOW).await.unwrap(), created(), "{form:?}");
        assert_eq!(store.create(login(&two), NOW).await.unwrap(), CreateOutcome::Created { evicted: vec![one.id()] });
        // Long after the deadline of all that this version knows.
        let late = record(Some(&alice), NOW + 600 * MINUTE);
        assert_eq!(store.create(login(&late), NOW + 600 * MINUTE).await.unwrap(), created(), "{form:?}");
        assert_eq!(entry().await, form);
        let change = next(&other);
        assert_eq!(store.touch(&other.id(), Some(&alice), NOW + MINUTE).await.unwrap(), TouchOutcome::Applied);
        assert_eq!(store.update(&change, other.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        assert_eq!(entry().await, form);
        // It is found all the same.
        assert!(store.list_by_user(&alice, NOW).await.unwrap().sessions.iter().any(|it| it.id == other.id()));
        assert_eq!(store.delete(&other.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
        assert_eq!(entry().await, "");
    }
}

/// Something in the index that is not a session.
#[tokio::test]
async fn a_field_of_another_kind_blocks_nobody_and_stays() {
    let (server, store, alice, session) = with_session().await;
    let index = index_key(&alice);
    run(&server, &format!("HSET {index} settings x")).await;
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 1);
    assert_eq!(store.delete_by_user(&alice, None, NOW).await.unwrap().ids(), [session.id()]);
    assert_eq!(run(&server, &format!("HKEYS {index}")).await.list().len(), 1);
}

/// What cannot be read has a place among the sessions of its user, and an eviction ends it.
#[tokio::test]
async fn a_record_of_another_format_counts_towards_the_limit() {
    let (server, store, alice, session) = with_session().await;
    server.command(&["SET", &session_key(&alice, &session.id()), "\u{4}", "KEEPTTL"]).await.unwrap();
    let new = record(Some(&alice), NOW);
    let login = |at_limit| CreateRequest::new(&new).within(limit(1, at_limit));
    assert_eq!(store.create(login(LimitPolicy::Reject), NOW).await.unwrap(), CreateOutcome::LimitReached);
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().unreadable, [session.id()]);
    let evicted = CreateOutcome::Created { evicted: vec![session.id()] };
    assert_eq!(store.create(login(LimitPolicy::EvictOldest), NOW).await.unwrap(), evicted);
    assert!(store.list_by_user(&alice, NOW).await.unwrap().unreadable.is_empty());
}

/// What a logout everywhere cannot read, it ends.
#[tokio::test]
async fn a_record_of_another_format_is_ended_with_all_of_its_user() {
    let (server, store, alice, session) = with_session().await;
    let key = session_key(&alice, &session.id());
    for value in ["\u{4}", "x", "a record of some other software, which is longer than a header has to be"] {
        server.command(&["SET", &key, value, "PX", "100000"]).await.unwrap();
        assert!(store.update(&next(&session), session.version, NOW).await.is_err(), "{value:?}");
        assert!(store.delete(&session.id(), Some(&alice)).await.is_err(), "{value:?}");
        assert_eq!(store.list_all(None, NonZeroU32::MAX, NOW).await.unwrap().listing.unreadable, [session.id()]);
        assert_eq!(run(&server, &format!("GET {key}")).await.text(), value);
    }
    let ended = store.delete_by_user(&alice, None, NOW).await.unwrap();
    assert_eq!((ended.sessions.len(), ended.unreadable), (0, vec![session.id()]));
    assert!(store.list_by_user(&alice, NOW).await.unwrap().unreadable.is_empty());
}

/// What could not be read may have been alive: it is counted and reported.
#[tokio::test]
async fn a_record_of_another_format_is_counted_and_reported_as_revoked() {
    let (server, store, alice, session) = with_session().await;
    server.command(&["SET", &session_key(&alice, &session.id()), "x", "KEEPTTL"]).await.unwrap();
    let (observer, mut events) = broadcast::channel(4);
    let policy = Policy::standard().to_builder().not_before(NOW + MINUTE).build().unwrap();
    let builder = SessionManager::builder(Arc::new(store)).policy(policy).clock(ManualClock::new(NOW));
    assert_eq!(builder.observer(observer).build().revoke_all(&alice).await.unwrap(), 1);
    let event = events.try_recv().unwrap();
    assert_eq!((event.kind, event.session), (EventKind::Terminated(Termination::Revoked), Some(session.id())));
    assert!(events.try_recv().is_err());
}

/// A conflict is an answer, not a write: nothing goes to replicas or to the append-only file.
#[tokio::test]
async fn an_update_that_is_refused_writes_nothing() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let mut session = record(None, NOW);
    session.data.insert("v".into(), vec![b'x'; 64 * 1024].into());
    insert(&store, &session).await;
    let second = next(&session);
    assert_eq!(store.update(&second, session.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    let written = async || {
        let info = run(&server, "INFO persistence").await;
        let size = info.text().lines().find_map(|line| line.strip_prefix("aof_current_size:").map(str::to_owned));
        size.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = written().await;
    assert_eq!(store.update(&next(&session), session.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
    assert_eq!(store.update(&second, session.version, NOW).await.unwrap(), UpdateOutcome::Applied, "repeated");
    assert_eq!(store.update(&next(&second), second.version, NOW + 60 * MINUTE).await.unwrap(), UpdateOutcome::Absent);
    assert_eq!(written().await - before, 0, "bytes");
}

/// Values stay on the server.
#[tokio::test]
async fn a_list_of_large_sessions_moves_no_values() {
    let server = Redis::launch(&[]).await.unwrap();
    let store = RedisStore::connect(&server.url(), shop()).await.unwrap();
    let alice = user("alice");
    for _ in 0..20 {
        let mut session = record(Some(&alice), NOW);
        session.data.insert("v".into(), vec![b'x'; 1024 * 1024].into());
        insert(&store, &session).await;
    }
    let sent = async || {
        let info = run(&server, "INFO stats").await;
        let bytes =
            info.text().lines().find_map(|line| line.strip_prefix("total_net_output_bytes:").map(str::to_owned));
        bytes.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = sent().await;
    assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), 20);
    let bytes = sent().await - before;
    assert!(bytes < 40_000, "{bytes} bytes");
}
