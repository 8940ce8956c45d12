//! What happens when the server, the network or the caller goes away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use session_core::{Admission, Record, SessionStore, StoreErrorKind};
use session_postgres::PostgresStore;
use support::{NOW, Proxy, Server, changed, number, pool, record, user};
use tokio::task::JoinSet;

const TIMEOUT: Duration = Duration::from_millis(500);

async fn stored(store: &PostgresStore, n: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for turn in 0..n {
        let record = record(Some(&user(&format!("user {turn}"))), NOW);
        let _ = store.create(Admission { record: &record, replaces: None, limit: None }, NOW).await.unwrap();
        records.push(record);
    }
    records
}

/// 16 tasks that load, until told to stop. Every answer is right, or an error within the timeout. Returns the number of errors.
fn load_without_end(store: &PostgresStore, records: &[Record]) -> (Arc<AtomicU32>, JoinSet<()>) {
    let errors = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let (store, records, errors) = (store.clone(), records.to_vec(), Arc::clone(&errors));
        tasks.spawn(async move {
            for record in records.iter().cycle().skip(task) {
                let begin = Instant::now();
                match store.load(&record.id).await {
                    Ok(stored) => assert_eq!(stored.expect("the session is there").id, record.id),
                    Err(error) => {
                        errors.fetch_add(1, Ordering::SeqCst);
                        assert!(error.is_retryable(), "{error}");
                    }
                }
                assert!(begin.elapsed() < TIMEOUT + Duration::from_millis(400), "took {:?}", begin.elapsed());
            }
        });
    }
    (errors, tasks)
}

/// How long until ten loads in a row succeed.
async fn recovery(store: &PostgresStore, record: &Record) -> Duration {
    let begin = Instant::now();
    let mut successes = 0;
    while successes < 10 {
        assert!(begin.elapsed() < Duration::from_secs(10), "no service 10 seconds after the server is back");
        successes = if store.load(&record.id).await.is_ok() { successes + 1 } else { 0 };
    }
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn restart_under_load() {
    let mut server = Server::start().await;
    let store = PostgresStore::new(server.pool(8)).with_timeout(TIMEOUT);
    store.migrate().await.unwrap();
    let records = stored(&store, 20).await;
    let (errors, mut tasks) = load_without_end(&store, &records);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(errors.load(Ordering::SeqCst), 0);
    server.stop();
    let error = store.load(&records[0].id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    tokio::time::sleep(TIMEOUT).await;
    server.start_again().await;
    let recovered = recovery(&store, &records[0]).await;
    assert!(recovered < Duration::from_secs(2), "service again after {recovered:?}");
    tokio::time::sleep(TIMEOUT * 2).await;
    let before = errors.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(errors.load(Ordering::SeqCst), before, "errors long after the server is back");
    tasks.abort_all();
    while let Some(task) = tasks.join_next().await {
        assert!(!task.is_err_and(|error| error.is_panic()));
    }
}

/// A restart while nobody asks: all connections in the pool are dead, and no request notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_between_requests() {
    let mut server = Server::start().await;
    let pool = server.pool(8);
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    let records = stored(&store, 1).await;
    let (_, mut tasks) = load_without_end(&store, &records);
    tokio::time::sleep(Duration::from_millis(200)).await;
    tasks.shutdown().await;
    server.stop();
    server.start_again().await;
    for turn in 0..30 {
        let change = changed(&records[0], format!("{turn}"));
        let stored = store.load(&records[0].id).await.unwrap().unwrap();
        let _ = store.update(&change, stored.version, NOW).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_that_hangs() {
    let server = Server::start().await;
    let store = PostgresStore::new(server.pool(8)).with_timeout(TIMEOUT);
    store.migrate().await.unwrap();
    let records = stored(&store, 20).await;
    let (errors, mut tasks) = load_without_end(&store, &records);
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.freeze(true);
    tokio::time::sleep(TIMEOUT * 4).await;
    assert!(errors.load(Ordering::SeqCst) > 0);
    server.freeze(false);
    let recovered = recovery(&store, &records[0]).await;
    assert!(recovered < Duration::from_secs(2), "service again after {recovered:?}");
    tasks.abort_all();
    while let Some(task) = tasks.join_next().await {
        assert!(!task.is_err_and(|error| error.is_panic()));
    }
}

/// Connections over which nothing will ever come again, the pool's sign of life included, cost no place in the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn network_that_swallows() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.port).await;
    let store = PostgresStore::new(pool(4, server.options().port(proxy.port))).with_timeout(TIMEOUT);
    store.migrate().await.unwrap();
    let records = stored(&store, 20).await;
    for _ in 0..5 {
        let (errors, mut tasks) = load_without_end(&store, &records);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = errors.load(Ordering::SeqCst);
        proxy.swallow(true);
        tokio::time::sleep(TIMEOUT * 2).await;
        assert!(errors.load(Ordering::SeqCst) > before);
        proxy.swallow(false);
        let recovered = recovery(&store, &records[0]).await;
        assert!(recovered < Duration::from_secs(2), "service again after {recovered:?}");
        tasks.abort_all();
        while let Some(task) = tasks.join_next().await {
            assert!(!task.is_err_and(|error| error.is_panic()));
        }
    }
}

/// Calls dropped at any moment: whoever gets a connection next gets his own answer from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_calls() {
    let server = Server::start().await;
    let pool = server.pool(8);
    let store = PostgresStore::new(pool.clone()).with_timeout(Duration::from_secs(20));
    store.migrate().await.unwrap();
    let records = stored(&store, 64).await;
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let (store, record) = (store.clone(), records[task].clone());
        tasks.spawn(async move {
            let mut cancelled = 0;
            for turn in 0..10 {
                // So many times the call may be polled.
                let polls = (task + turn) % 9;
                cancelled += usize::from(poll_at_most(polls, store.touch(&record.id, record.user(), NOW, NOW)).await);
                cancelled += usize::from(poll_at_most(polls, store.delete_by_user(&user("nobody"), None)).await);
                cancelled += usize::from(poll_at_most(polls, store.load(&record.id)).await);
                assert_eq!(store.load(&record.id).await.unwrap().unwrap().id, record.id);
            }
            cancelled
        });
    }
    let cancelled: usize = tasks.join_all().await.into_iter().sum();
    assert!(cancelled > 300, "only {cancelled} calls were cancelled");
    assert!(pool.size() <= 8);
}

/// Whether `call` was dropped before it was finished.
async fn poll_at_most(polls: usize, call: impl Future) -> bool {
    let mut call = pin!(call);
    let mut turn = 0;
    poll_fn(|context| {
        turn += 1;
        if turn > polls {
            return Poll::Ready(true);
        }
        call.as_mut().poll(context).map(|_| false)
    })
    .await
}

/// A statement that is stuck: the call ends, its connection is not used again, and the pool stays whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_statement() {
    let server = Server::start().await;
    let pool = server.pool(2);
    let store = PostgresStore::new(pool.clone()).with_timeout(TIMEOUT);
    store.migrate().await.unwrap();
    let records = stored(&store, 1).await;
    let outside = server.pool(2);
    let mut lock = outside.begin().await.unwrap();
    sqlx::query("SELECT FROM session.session FOR UPDATE").execute(&mut *lock).await.unwrap();
    for _ in 0..6 {
        let begin = Instant::now();
        let error = store.update(&changed(&records[0], "x"), records[0].version, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error}");
        assert!(begin.elapsed() < TIMEOUT + Duration::from_millis(300));
        assert!(store.load(&records[0].id).await.unwrap().is_some());
    }
    lock.rollback().await.unwrap();
    // The first of the updates that were given up has got through by now: all were applied, or none.
    while number(&outside, "SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0 {
        tokio::task::yield_now().await;
    }
    let stored = store.load(&records[0].id).await.unwrap().unwrap();
    assert!(stored.version.number == 2 && stored.data.get(b"value").is_some());
}

/// A pool that is used up: an error in time, which says that nothing was done.
#[tokio::test]
async fn exhausted_pool() {
    let server = Server::start().await;
    let pool = server.pool(1);
    let store = PostgresStore::new(pool.clone()).with_timeout(TIMEOUT);
    store.migrate().await.unwrap();
    let taken = pool.acquire().await.unwrap();
    let error = store.load(&record(None, NOW).id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    drop(taken);
    assert!(store.load(&record(None, NOW).id).await.unwrap().is_none());
}
