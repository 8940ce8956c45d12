//! Statements that hang: the server never has more connections of ours than the pool has places, other applications can
//! connect, loads go on where they can, and no login is left that nobody has the token of.
//!
//! `cargo bench -p session-postgres --bench hang` measures the same for longer.

use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_core::{DeleteOutcome, StoreErrorKind};
use session_postgres::{Pooler, PostgresStore};
use session_testbed::proxy::Mode;
use session_testbed::records::{NOW, insert, record, shop, user};
use sqlx::Row as _;

use crate::common::{WAITING, database, execute, pool, store_behind, store_with_timeout, through_proxy, wait_until};
use crate::scene::{Hang, run, run_with};
use crate::settings::through_pgbouncer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_table() {
    let figures = run(Hang::LockedTable, Duration::from_secs(4)).await;
    figures.assert_nothing_is_left();
    assert_eq!(figures.refused, 0, "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_gone() {
    let figures = run(Hang::DeadStandby, Duration::from_secs(4)).await;
    figures.assert_nothing_is_left();
    let (succeeded, tried) = figures.loads;
    assert!(figures.refused == 0 && succeeded == tried, "{figures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything() {
    run(Hang::Network, Duration::from_secs(4)).await.assert_nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away() {
    let figures = run(Hang::ImpatientClients, Duration::from_secs(4)).await;
    figures.assert_nothing_is_left();
    assert!(figures.refused == 0 && figures.updates.0 > 0, "{figures}");
}

/// The server cancels statements itself, and notices that a client is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeouts_of_the_server() {
    let settings = [("statement_timeout", "1500ms"), ("client_connection_check_interval", "500ms")];
    for hang in [Hang::LockedTable, Hang::DeadStandby, Hang::Network] {
        run_with(hang, Duration::from_secs(3), &settings).await.assert_nothing_is_left();
    }
}

/// The network cuts connections whose statements wait for a lock: the server does not notice, so they are ended there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_while_their_statements_hang() {
    let database = database().await;
    let (proxy, options) = through_proxy(database.clone()).await;
    let (own, outside) = (pool(4, &options.application_name("own")), pool(2, &database));
    let store = store_with_timeout(&own, Duration::from_secs(2)).await;
    let mut lock = outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE shop.session IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let mut new = Vec::new();
    for turn in 0..8 {
        new.push(record(Some(&user(&format!("user {turn}"))), NOW));
        let create = store.create(CreateRequest::new(&new[turn]), NOW);
        let cut = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            proxy.set(Mode::Cut);
            proxy.set(Mode::Pass);
        };
        let (created, ()) = tokio::join!(create, cut);
        assert!(created.unwrap_err().is_retryable());
        let backends = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'own'";
        let backends: i64 = sqlx::query(backends).fetch_one(&outside).await.unwrap().get(0);
        assert!(backends <= 4, "{backends}");
    }
    lock.rollback().await.unwrap();
    for new in &new {
        let begin = Instant::now();
        while store.delete(&new.id(), new.user()).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(8));
        }
    }
    let stored: i64 = sqlx::query("SELECT count(*) FROM shop.session").fetch_one(&outside).await.unwrap().get(0);
    assert_eq!(stored, 0);
}

/// A deletion does not overtake the login that it ends.
#[tokio::test]
async fn a_deletion_waits_for_the_login_that_was_abandoned() {
    let database = database().await;
    let outside = pool(2, &database);
    let store = store_with_timeout(&pool(4, &database), Duration::from_secs(2)).await;
    let new = record(Some(&user("alice")), NOW);
    let mut lock = outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE shop.session IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let login = store.create(CreateRequest::new(&new), NOW);
    tokio::time::timeout(Duration::from_millis(200), login).await.unwrap_err();
    let id = new.id();
    let delete = {
        let store = store.clone();
        tokio::spawn(async move { store.delete(&id, Some(&user("alice"))).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    lock.rollback().await.unwrap();
    assert_eq!(delete.await.unwrap().unwrap(), DeleteOutcome::Deleted);
    assert!(store.load(&new.id(), Freshness::Latest).await.unwrap().is_none());
}

/// All places are taken: an error that says so, with the size of the pool, before the timeout.
#[tokio::test]
async fn no_free_place() {
    let database = database().await;
    let outside = pool(2, &database);
    let store = store_with_timeout(&pool(4, &database), Duration::from_secs(8)).await;
    let mut lock = outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE shop.session IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let store = store.clone();
        logins.spawn(async move { store.create(CreateRequest::new(&record(None, NOW)), NOW).await });
    }
    wait_until(&outside, WAITING, |waiting| waiting == 2).await;
    let begin = Instant::now();
    let error = store.create(CreateRequest::new(&record(None, NOW)), NOW).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("4 connections"), "{cause}");
    // Loads have a place of their own.
    assert!(store.load(&record(None, NOW).id(), Freshness::Latest).await.unwrap().is_none());
    lock.rollback().await.unwrap();
    for login in logins.join_all().await {
        let _ = login.unwrap();
    }
}

/// Statements hang in all places, and cannot be cancelled because the network swallows everything: an error at once,
/// not after waiting for a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_place_that_can_be_freed() {
    let (proxy, options) = through_proxy(database().await).await;
    let store = store_with_timeout(&pool(4, &options), Duration::from_millis(1_200)).await;
    // Two connections of which the store knows the backends.
    let create = async || store.create(CreateRequest::new(&record(None, NOW)), NOW).await;
    let (one, other) = tokio::join!(create(), create());
    let _ = (one.unwrap(), other.unwrap());
    proxy.set(Mode::BlackHole);
    let (one, other) = tokio::join!(create(), create());
    let _ = (one.unwrap_err(), other.unwrap_err());
    let begin = Instant::now();
    loop {
        let attempt = Instant::now();
        let error = create().await.unwrap_err();
        // The pool would be waited for twice as long.
        if attempt.elapsed() < Duration::from_millis(500) {
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(error.kind() == StoreErrorKind::Unavailable && cause.contains("4 connections"), "{error}: {cause}");
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "every login waits for a place");
    }
    proxy.set(Mode::Pass);
    let begin = Instant::now();
    while create().await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(4));
    }
}

/// Behind a pooler in transaction mode: its connections to the server are no more than it may have, and it is not asked
/// for new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler() {
    let database = database().await;
    let (_bouncer, bounced) = through_pgbouncer(&database).await;
    let outside = pool(2, &database);
    let own = pool(8, &bounced.application_name("own"));
    let store = store_behind(&own, Pooler::Transaction).await;
    let quick = PostgresStore::builder(own.clone(), shop()).operation_timeout(Duration::from_millis(300));
    let quick = quick.pooler(Pooler::Transaction).build();
    let known = record(None, NOW);
    insert(&store, &known).await;
    let mut lock = outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE shop.session IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let mut new = Vec::new();
    for turn in 0..12 {
        new.push(record(Some(&user(&format!("user {turn}"))), NOW));
        let error = quick.create(CreateRequest::new(&new[turn]), NOW).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND application_name = 'own'";
        let backends: i64 = sqlx::query(sql).fetch_one(&outside).await.unwrap().get(0);
        assert!(backends <= 2, "{backends}");
    }
    lock.rollback().await.unwrap();
    for new in &new {
        let begin = Instant::now();
        while quick.delete(&new.id(), new.user()).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(3));
        }
    }
    assert!(store.load(&known.id(), Freshness::Latest).await.unwrap().is_some());
    let stored: i64 = sqlx::query("SELECT count(*) FROM shop.session").fetch_one(&outside).await.unwrap().get(0);
    assert_eq!(stored, 1);
}

/// A pool of one connection has no place to cancel from: the new connection ends what the old one was doing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_one_connection() {
    let database = database().await;
    let (own, outside) = (pool(1, &database.clone().application_name("own")), pool(2, &database));
    let store = store_with_timeout(&own, Duration::from_millis(300)).await;
    let mut lock = outside.begin().await.unwrap();
    sqlx::query("LOCK TABLE shop.session IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    for _ in 0..8 {
        assert!(store.load(&record(None, NOW).id(), Freshness::Latest).await.is_err());
        let backends = sqlx::query(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'own' AND datname = current_database()",
        );
        let backends: i64 = backends.fetch_one(&outside).await.unwrap().get(0);
        assert!(backends <= 2, "{backends}");
    }
    lock.rollback().await.unwrap();
    execute(&outside, "SELECT 1").await;
    let begin = Instant::now();
    while store.load(&record(None, NOW).id(), Freshness::Latest).await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(3));
    }
}
