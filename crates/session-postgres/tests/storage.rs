//! What lies in the table, what an operation costs, and what an error shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::error::Error as _;
use std::num::NonZeroU32;
use std::time::Duration;

use session_core::{
    Admission, Admitted, AtLimit, Deleted, Lifetime, Record, SessionLimit, SessionStore, StoreErrorKind, Timestamp,
    Touched, Updated,
};
use session_postgres::{Pooler, PostgresStore};
use sqlx::PgPool;
use support::{Bouncer, MINUTE, NOW, Proxy, Server, changed, execute, number, pool, record, user};
use tokio::task::JoinSet;

async fn insert(store: &PostgresStore, record: &Record) {
    let admission = Admission { record, replaces: None, limit: None };
    assert_eq!(store.create(admission, NOW).await.unwrap(), Admitted::Created { evicted: vec![] });
}

async fn store(pool: PgPool) -> PostgresStore {
    let store = PostgresStore::new(pool).with_timeout(Duration::from_secs(20));
    store.migrate().await.unwrap();
    store
}

/// A touch leaves every index alone, or the table bloats.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn touches_are_hot() {
    const TOUCHES: i64 = 20_000;
    let server = Server::start().await;
    let pool = server.pool(16);
    let store = store(pool.clone()).await;
    let mut records = Vec::new();
    for turn in 0..2_000 {
        let owner = (turn % 3 > 0).then(|| user(&format!("user {}", turn % 500)));
        records.push(record(owner.as_ref(), NOW));
        insert(&store, &records[turn]).await;
    }
    let mut tasks = JoinSet::new();
    for task in 0..16_usize {
        let (store, records) = (store.clone(), records.clone());
        tasks.spawn(async move {
            for turn in 0..usize::try_from(TOUCHES).unwrap() / 16 {
                let record = &records[(task * 7_919 + turn * 104_729) % records.len()];
                let seen = NOW + Duration::from_millis(turn as u64);
                assert_eq!(store.touch(&record.id, record.user(), seen, seen).await.unwrap(), Touched::Applied);
            }
        });
    }
    tasks.join_all().await;
    let count = async |column| {
        number(&pool, &format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'session'")).await
    };
    // Statistics are published once a second.
    while count("n_tup_upd").await < TOUCHES {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (hot, all) = (count("n_tup_hot_upd").await, count("n_tup_upd").await);
    println!("{hot} of {all} touches are HOT");
    assert!(hot * 100 > all * 95, "{hot} of {all}");
}

/// One round trip for each operation, and one for the sign of life that the pool asks for afterwards.
#[tokio::test]
async fn round_trips() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.port).await;
    let pool = pool(1, server.options().port(proxy.port));
    let store = store(pool.clone()).await;
    let alice = user("alice");
    let limit = Some(SessionLimit { max: NonZeroU32::new(2).unwrap(), at_limit: AtLimit::EvictOldest });
    let run = async || {
        let (a, b) = (record(Some(&alice), NOW), record(Some(&alice), NOW));
        for record in [&a, &b] {
            let _ = store.create(Admission { record, replaces: None, limit }, NOW).await.unwrap();
        }
        store.load(&a.id).await.unwrap();
        let next = changed(&a, "x");
        assert_eq!(store.update(&next, a.version, NOW).await.unwrap(), Updated::Applied);
        assert_eq!(store.update(&changed(&a, "y"), a.version, NOW).await.unwrap(), Updated::Conflict);
        assert_eq!(store.touch(&a.id, Some(&alice), NOW, NOW).await.unwrap(), Touched::Applied);
        assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().len(), 2);
        assert_eq!(store.delete(&b.id, Some(&alice)).await.unwrap(), Deleted::Deleted);
        assert_eq!(store.delete_by_user(&alice, None).await.unwrap(), [a.id]);
        assert_eq!(store.delete_expired(NOW, NonZeroU32::MIN).await.unwrap(), 0);
        // The last sign of life.
        drop(pool.acquire().await.unwrap());
        10
    };
    run().await;
    let before = proxy.round_trips();
    let operations = run().await;
    // The acquisition at the end has a sign of life of its own, which may or may not have come already.
    let round_trips = proxy.round_trips() - before;
    assert!((operations * 2..=operations * 2 + 1).contains(&round_trips), "{round_trips} for {operations} operations");
}

/// The relaxed commit of a touch does not outlast it, whoever gets the connection next.
#[tokio::test]
async fn relaxed_commit_ends_with_the_touch() {
    let server = Server::start().await;
    let bouncer = Bouncer::start(&server).await;
    for (pooler, options) in [(Pooler::Transparent, server.options()), (Pooler::Transaction, bouncer.options())] {
        let pool = pool(1, options);
        let store = store(pool.clone()).await.with_pooler(pooler);
        let record = record(None, NOW);
        insert(&store, &record).await;
        let _ = store.touch(&record.id, None, NOW, NOW).await.unwrap();
        let _ = store.delete_expired(NOW, NonZeroU32::MIN).await.unwrap();
        let on = "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'on'";
        assert_eq!(number(&pool, on).await, 1);
    }
}

/// What cannot be read is an error, and stays as it is.
#[tokio::test]
async fn damaged_record() {
    let server = Server::start().await;
    let pool = server.pool(2);
    let store = store(pool.clone()).await;
    let alice = user("alice");
    let record = record(Some(&alice), NOW);
    insert(&store, &record).await;
    for damage in ["'\\x'", "'\\x01'", "set_byte(record, 0, 9)", "substring(record FOR 70)"] {
        execute(&pool, &format!("UPDATE session.session SET record = {damage}")).await;
        let loaded = store.load(&record.id).await.unwrap_err();
        assert_eq!(loaded.kind(), StoreErrorKind::Corrupt, "{damage}: {loaded}");
        assert_eq!(store.list_by_user(&alice, NOW).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
        assert_eq!(number(&pool, &format!("SELECT count(*) FROM session.session WHERE record = {damage}")).await, 1);
    }
    assert_eq!(store.delete(&record.id, Some(&alice)).await.unwrap(), Deleted::Deleted);
}

/// Whatever the server says, nothing of the session is in the error or in what it wraps.
#[tokio::test]
async fn errors_show_no_parameters() {
    let server = Server::start().await;
    let pool = server.pool(2);
    let store = store(pool.clone()).await;
    let alice = user("alice-the-secret");
    let stored = record(Some(&alice), NOW);
    insert(&store, &stored).await;
    execute(
        &pool,
        "CREATE FUNCTION quote() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'user % id %', encode(NEW.user_id, 'escape'), NEW.id USING DETAIL = encode(NEW.id, 'hex');
         END $$;
         CREATE TRIGGER quote BEFORE INSERT OR UPDATE ON session.session FOR EACH ROW EXECUTE FUNCTION quote()",
    )
    .await;
    let new = record(Some(&alice), NOW);
    let errors = [
        store.create(Admission { record: &new, replaces: None, limit: None }, NOW).await.unwrap_err(),
        store.update(&changed(&stored, "x"), stored.version, NOW).await.unwrap_err(),
        store.touch(&stored.id, Some(&alice), NOW, NOW).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Other);
        let source = error.source().expect("the code is kept");
        let shown = format!("{error} {error:?} {source} {source:?}");
        assert!(source.source().is_none() && shown.contains("P0001"), "{shown}");
        let hex: String = new.id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        for secret in ["secret", &hex, &new.id.to_string()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// Sessions that are due but alive are put off, not deleted, and do not stand in the way of the dead ones behind them.
#[tokio::test]
async fn sweep_puts_off_what_lives() {
    let server = Server::start().await;
    let pool = server.pool(2);
    let store = store(pool.clone()).await;
    let mut dead = record(None, NOW);
    dead.last_seen = NOW + MINUTE;
    insert(&store, &dead).await;
    for _ in 0..50 {
        let live = record(None, NOW);
        insert(&store, &live).await;
        let _ = store.touch(&live.id, None, NOW + 20 * MINUTE, NOW + 20 * MINUTE).await.unwrap();
    }
    let now = NOW + 40 * MINUTE;
    let one = NonZeroU32::MIN;
    assert_eq!(store.delete_expired(now, one).await.unwrap(), 1);
    let due = format!("SELECT count(*) FROM session.session WHERE sweep_at <= {}", now.as_millis());
    assert_eq!(number(&pool, &due).await, 0);
    assert_eq!(store.delete_expired(NOW + 50 * MINUTE - Duration::from_millis(1), one).await.unwrap(), 0);
    assert_eq!(store.delete_expired(NOW + 50 * MINUTE, NonZeroU32::MAX).await.unwrap(), 50);
}

/// No time and no timeout is too far away.
#[tokio::test]
async fn extreme_times() {
    let server = Server::start().await;
    let store = store(server.pool(2)).await;
    for (idle, absolute) in [(Duration::MAX, Duration::MAX), (MINUTE, Duration::MAX), (Duration::MAX, MINUTE)] {
        let mut eternal = record(None, NOW);
        eternal.lifetime = Lifetime { idle, absolute };
        insert(&store, &eternal).await;
        for now in [Timestamp::from_millis(i64::MIN), Timestamp::EPOCH, NOW, Timestamp::MAX] {
            let expected = if eternal.is_expired(now) { Touched::Absent } else { Touched::Applied };
            assert_eq!(store.touch(&eternal.id, None, NOW, now).await.unwrap(), expected, "{eternal:?} at {now:?}");
        }
        let _ = store.touch(&eternal.id, None, Timestamp::MAX, NOW).await.unwrap();
        assert_eq!(
            store.delete_expired(NOW + 2 * MINUTE, NonZeroU32::MAX).await.unwrap(),
            u64::from(absolute == MINUTE)
        );
        let _ = store.delete_expired(Timestamp::MAX, NonZeroU32::MAX).await.unwrap();
        assert!(store.load(&eternal.id).await.unwrap().is_none());
    }
}
