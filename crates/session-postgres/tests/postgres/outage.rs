//! The server stops, is killed, hangs, or becomes unreachable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, Freshness, Record, SessionStore};
use session_core::{LimitPolicy, StoreError, StoreErrorKind};
use session_postgres::PostgresStore;
use session_testbed::calls::{Call, Sessions};
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::{NOW, limit, record, shop};
use session_testbed::servers::Postgres;
use sqlx::Row as _;
use tokio::task::JoinSet;

use crate::common::{
    changed, insert_many, number, options, own_server, pool, store, store_with_timeout, wait_until_idle,
};
use crate::faults::assert_failed;

const TIMEOUT: Duration = Duration::from_millis(500);
/// A machine may be busy.
const MARGIN: Duration = Duration::from_secs(2);
/// How soon there is service again after the server is.
const RECOVERY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
enum Outage {
    Stopped,
    Killed,
    Paused,
}

impl Outage {
    const ALL: [Self; 3] = [Self::Stopped, Self::Killed, Self::Paused];

    async fn begin(self, server: &Postgres) {
        match self {
            Self::Stopped => server.stop().await,
            Self::Killed => server.kill9().await,
            Self::Paused => server.pause().await,
        }
        .unwrap();
    }
}

/// A server that was stopped, killed or paused runs again.
async fn end_outage(server: &Postgres) {
    server.resume().await.unwrap();
    server.start().await.unwrap();
}

/// During an outage every operation fails in time, more of them than there are connections; afterwards all succeed, and
/// each failed one took effect entirely or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_in_every_outage() {
    let server = own_server().await;
    let pool = pool(2, &options(&server));
    let store = store_with_timeout(&pool, TIMEOUT).await;
    for outage in Outage::ALL {
        let mut calls = Vec::new();
        for call in Call::ALL {
            calls.push((call, Sessions::store(&store).await));
        }
        outage.begin(&server).await;
        for (call, sessions) in &calls {
            let begin = Instant::now();
            assert_failed(sessions.call(&store, *call).await, begin, TIMEOUT, &format!("{call:?}, {outage:?}"));
        }
        end_outage(&server).await;
        let begin = Instant::now();
        for (call, sessions) in &calls {
            let answer = loop {
                match sessions.call(&store, *call).await {
                    Ok(answer) => break answer,
                    Err(error) => assert!(begin.elapsed() < RECOVERY + MARGIN, "{outage:?}: {call:?}: {error}"),
                }
            };
            assert!(call.answers().contains(&answer.as_str()), "{outage:?}: {call:?}: {answer}");
            sessions.assert_done(&store, *call).await;
        }
        println!("{outage:?}: all operations after {:?}", begin.elapsed());
        // Nothing else, and no place in the pool is lost. Three sessions for each call, less those of two deletions.
        let stored = number(&pool, "SELECT count(*) FROM shop.session").await;
        assert_eq!(stored, 3 * i64::try_from(Call::ALL.len()).unwrap() - 2);
        wait_until_idle(&pool).await;
        let both = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
        drop(both);
        sqlx::query("DELETE FROM shop.session").execute(&pool).await.unwrap();
    }
}

/// 16 tasks that load until they are aborted. Every answer is right, or an error within the timeout. Returns the number
/// of errors.
fn load_without_end(store: &PostgresStore, records: &[Record]) -> (Arc<AtomicU32>, JoinSet<()>) {
    let errors = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let (store, records, errors) = (store.clone(), records.to_vec(), Arc::clone(&errors));
        tasks.spawn(async move {
            for record in records.iter().cycle().skip(task) {
                let begin = Instant::now();
                match store.load(&record.id(), Freshness::Latest).await {
                    Ok(stored) => assert_eq!(stored.expect("the session is there").id(), record.id()),
                    Err(error) => {
                        errors.fetch_add(1, Ordering::SeqCst);
                        assert!(error.is_retryable(), "{error}");
                    }
                }
                assert!(begin.elapsed() < TIMEOUT + MARGIN, "took {:?}", begin.elapsed());
            }
        });
    }
    (errors, tasks)
}

/// Aborts the tasks; a wrong answer to one of them fails the test.
async fn end(mut tasks: JoinSet<()>) {
    tasks.abort_all();
    while let Some(task) = tasks.join_next().await {
        assert!(!task.is_err_and(|error| error.is_panic()));
    }
}

async fn wait_for_errors(errors: &AtomicU32, more: u32) {
    let before = errors.load(Ordering::SeqCst);
    while errors.load(Ordering::SeqCst) < before + more {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How long until ten loads in a row succeed.
async fn assert_recovery(store: &PostgresStore, record: &Record) {
    let begin = Instant::now();
    let mut successes = 0;
    while successes < 10 {
        assert!(begin.elapsed() < RECOVERY + MARGIN, "no service {:?} after the server is back", begin.elapsed());
        successes = if store.load(&record.id(), Freshness::Latest).await.is_ok() { successes + 1 } else { 0 };
    }
    println!("service again after {:?}", begin.elapsed());
}

/// A restart between requests: all connections in the pool are dead, and no request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_between_requests() {
    let server = own_server().await;
    let pool = pool(8, &options(&server));
    let store = store(&pool).await;
    let records = insert_many(&store, 20).await;
    // In the pool and kept by the store.
    let mut all = Vec::new();
    while pool.size() < 8 {
        all.push(pool.acquire().await.unwrap());
    }
    drop(all);
    wait_until_idle(&pool).await;
    let mut loads = JoinSet::new();
    for record in records.iter().cycle().take(200) {
        let (store, id) = (store.clone(), record.id());
        loads.spawn(async move { store.load(&id, Freshness::Latest).await.unwrap().unwrap() });
    }
    assert_eq!(loads.join_all().await.len(), 200);
    assert_eq!(pool.size(), 8);
    server.stop().await.unwrap();
    server.start().await.unwrap();
    for turn in 0..30 {
        let stored = store.load(&records[0].id(), Freshness::Latest).await.unwrap().unwrap();
        let change = changed(&records[0], format!("{turn}"));
        let _ = store.update(&change, stored.version, NOW).await.unwrap();
    }
}

/// With the settings that are recommended, the error says what was missing.
#[tokio::test]
async fn a_server_that_is_down_is_unavailable() {
    let server = own_server().await;
    let store = PostgresStore::new(pool(2, &options(&server)), shop());
    store.migrate().await.unwrap();
    let records = insert_many(&store, 1).await;
    server.stop().await.unwrap();
    let error = store.load(&records[0].id(), Freshness::Latest).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

/// Under load: of the server, and of a network that drops its connections silently, also while the pool pings the
/// server. None costs a place in the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_under_load() {
    let server = own_server().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = store_with_timeout(&pool(4, &options(&server).port(proxy.address().port())), TIMEOUT).await;
    let records = insert_many(&store, 20).await;
    let (errors, tasks) = load_without_end(&store, &records);
    for outage in Outage::ALL.map(Some).into_iter().chain([None; 5]) {
        match outage {
            Some(outage) => outage.begin(&server).await,
            None => proxy.set(Mode::Truncate(0)),
        }
        wait_for_errors(&errors, 32).await;
        end_outage(&server).await;
        proxy.set(Mode::Pass);
        println!("{outage:?}");
        assert_recovery(&store, &records[0]).await;
        // What began before may still fail.
        tokio::time::sleep(TIMEOUT * 2).await;
        let before = errors.load(Ordering::SeqCst);
        assert_recovery(&store, &records[0]).await;
        assert_eq!(errors.load(Ordering::SeqCst), before, "errors long after the server is back");
    }
    end(tasks).await;
}

fn assert_is_a_standby(error: &StoreError, what: &str) {
    let says_so = error.kind() == StoreErrorKind::Unavailable && error.to_string().contains("standby");
    assert!(says_so, "{what}: {error}");
}

/// A server that becomes a standby, as after a failover: its sessions are outdated, and it says so instead of
/// answering.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_does_not_answer() {
    let server = own_server().await;
    let pool = pool(4, &options(&server));
    let store = store_with_timeout(&pool, Duration::from_secs(2)).await;
    let records = insert_many(&store, 8).await;
    let mut calls = Vec::new();
    for call in Call::ALL {
        calls.push((call, Sessions::store(&store).await));
    }
    let folder = sqlx::query("SHOW data_directory").fetch_one(&pool).await.unwrap();
    let signal = std::path::Path::new(&folder.get::<String, _>(0)).join("standby.signal");
    server.stop().await.unwrap();
    std::fs::write(&signal, "").unwrap();
    server.start().await.unwrap();
    let mut loads = JoinSet::new();
    for record in &records {
        let (store, id) = (store.clone(), record.id());
        loads.spawn(async move { store.load(&id, Freshness::Latest).await });
    }
    for load in loads.join_all().await {
        assert_is_a_standby(&load.unwrap_err(), "load");
    }
    let mut updates = JoinSet::new();
    for record in &records {
        let (store, old, new) = (store.clone(), record.version, changed(record, "x"));
        updates.spawn(async move { store.update(&new, old, NOW).await });
    }
    for update in updates.join_all().await {
        assert_is_a_standby(&update.unwrap_err(), "update");
    }
    for (call, sessions) in &calls {
        assert_is_a_standby(&sessions.call(&store, *call).await.unwrap_err(), &format!("{call:?}"));
    }
    let absent = record(None, NOW).id();
    assert_is_a_standby(&store.load(&absent, Freshness::Latest).await.unwrap_err(), "a load of nothing");
    // Nothing to write, as far as the standby knows.
    let new = record(records[0].user(), NOW);
    for at_limit in [LimitPolicy::Reject, LimitPolicy::EvictOldest, LimitPolicy::EvictLeastRecent] {
        let login = CreateRequest::new(&new).within(limit(1, at_limit));
        assert_is_a_standby(&store.create(login, NOW).await.unwrap_err(), &format!("a login: {at_limit:?}"));
    }
    sqlx::query("SELECT pg_promote()").execute(&pool).await.unwrap();
    let begin = Instant::now();
    while store.load(&records[0].id(), Freshness::Latest).await.is_err() {
        assert!(begin.elapsed() < RECOVERY + MARGIN);
    }
}
