//! Connections: those of failed and cancelled calls are not used again, none is lost, and none is kept that the
//! application needs or nobody uses.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use session_core::StoreErrorKind;
use session_core::store::{Freshness, SessionStore};
use session_postgres::{PostgresStore, recommended_pool_options};
use session_testbed::calls::{Call, Sessions};
use session_testbed::proxy::Mode;
use session_testbed::records::{NOW, record, shop, user};
use tokio::task::JoinSet;

use crate::common::{
    WAITING, changed, database, insert_many, number, pool, store, store_with_timeout, through_proxy, wait_until,
    wait_until_idle,
};

const TIMEOUT: Duration = Duration::from_millis(300);
/// A machine may be busy.
const MARGIN: Duration = Duration::from_secs(2);

/// Calls cancelled at any moment: the next call on the connection gets its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_calls() {
    let options = database().await;
    let pool = recommended_pool_options().max_connections(8).acquire_timeout(Duration::from_secs(20));
    let pool = pool.connect_lazy_with(options);
    let store = store(&pool).await;
    let records = insert_many(&store, 64).await;
    let mut tasks = JoinSet::new();
    for (task, record) in records.into_iter().enumerate() {
        let store = store.clone();
        tasks.spawn(async move {
            let mut cancelled = 0;
            for turn in 0..10 {
                // How often the call may be polled.
                let polls = (task + turn) % 9;
                cancelled += usize::from(poll_at_most(polls, store.touch(&record.id(), record.user(), NOW)).await);
                cancelled += usize::from(poll_at_most(polls, store.delete_by_user(&user("nobody"), None, NOW)).await);
                cancelled += usize::from(poll_at_most(polls, store.load(&record.id(), Freshness::Latest)).await);
                assert_eq!(store.load(&record.id(), Freshness::Latest).await.unwrap().unwrap().id(), record.id());
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

/// The statement of a call that timed out, or went away, is cancelled on the server, and its connection is used again.
#[tokio::test]
async fn unfinished_statements_are_cancelled() {
    let database = database().await;
    let (own, outside) = (pool(2, &database.clone().application_name("own")), pool(2, &database));
    let store = store_with_timeout(&own, TIMEOUT).await;
    let record = insert_many(&store, 1).await.remove(0);
    for leaves in [true, false] {
        let backend = "SELECT pid::bigint FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'own' ORDER BY backend_start LIMIT 1";
        let before = number(&outside, backend).await;
        let mut lock = outside.begin().await.unwrap();
        sqlx::query("SELECT FROM shop.session FOR UPDATE").execute(&mut *lock).await.unwrap();
        let touch = store.touch(&record.summary.id, record.user(), NOW);
        if leaves {
            tokio::time::timeout(TIMEOUT / 2, touch).await.unwrap_err();
        } else {
            assert_eq!(touch.await.unwrap_err().kind(), StoreErrorKind::Timeout);
        }
        wait_until(&outside, WAITING, |waiting| waiting == 0).await;
        lock.rollback().await.unwrap();
        assert_eq!(number(&outside, backend).await, before);
        assert_eq!(store.load(&record.id(), Freshness::Latest).await.unwrap().unwrap().id(), record.id());
    }
}

/// Calls of clients that go away, on a network that needs a while: no connection is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_costs_no_connection() {
    let (proxy, options) = through_proxy(database().await).await;
    let pool = pool(8, &options);
    let store = store(&pool).await;
    let records = insert_many(&store, 8).await;
    proxy.set(Mode::Delay(Duration::from_millis(20)));
    let (before, mut all) = (proxy.connections(), 0);
    for turn in 0..100 {
        let record = &records[turn % 8];
        let gone = Duration::from_millis(10);
        let cancelled = match turn % 3 {
            0 => tokio::time::timeout(gone, store.load(&record.id(), Freshness::Latest)).await.is_err(),
            1 => tokio::time::timeout(gone, store.touch(&record.id(), record.user(), NOW)).await.is_err(),
            _ => tokio::time::timeout(gone, store.list_by_user(&user("user 1"), NOW)).await.is_err(),
        };
        all += usize::from(cancelled);
    }
    assert!(all > 50, "only {all} were cancelled");
    let opened = proxy.connections() - before;
    assert!(opened <= 8, "{opened} connections");
    assert!(store.load(&records[0].id(), Freshness::Latest).await.unwrap().is_some());
}

/// A statement that is stuck: the call ends, its connection is not used again, and the pool stays whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_statement() {
    let database = database().await;
    let pool = pool(2, &database);
    let store = store_with_timeout(&pool, TIMEOUT).await;
    let records = insert_many(&store, 1).await;
    let outside = crate::common::pool(2, &database);
    let mut lock = outside.begin().await.unwrap();
    sqlx::query("SELECT FROM shop.session FOR UPDATE").execute(&mut *lock).await.unwrap();
    for _ in 0..6 {
        let begin = Instant::now();
        let error = store.update(&changed(&records[0], "x"), records[0].version, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error}");
        assert!(begin.elapsed() < TIMEOUT + MARGIN);
        assert!(store.load(&records[0].id(), Freshness::Latest).await.unwrap().is_some());
    }
    lock.rollback().await.unwrap();
    wait_until(&outside, WAITING, |waiting| waiting == 0).await;
    let stored = store.load(&records[0].id(), Freshness::Latest).await.unwrap().unwrap();
    assert_eq!(stored.version, records[0].version, "an update that was abandoned is cancelled");
}

/// With a timeout of zero, an operation fails unless the server answers at once, and nothing is left of it.
#[tokio::test]
async fn a_timeout_of_zero() {
    let (proxy, options) = through_proxy(database().await).await;
    let pool = pool(2, &options);
    let patient = store(&pool).await;
    let store = store_with_timeout(&pool, Duration::ZERO).await;
    for call in Call::ALL {
        let sessions = Sessions::store(&patient).await;
        proxy.set(Mode::Delay(Duration::from_millis(20)));
        let error = sessions.call(&store, call).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout, "{call:?}: {error}");
        proxy.set(Mode::Pass);
        let answer = sessions.call(&patient, call).await.unwrap();
        assert!(call.answers().contains(&answer.as_str()), "{call:?}: {answer}");
        sessions.assert_done(&patient, call).await;
    }
    wait_until_idle(&pool).await;
}

/// An exhausted pool: an error in time, which says that nothing was done.
#[tokio::test]
async fn exhausted_pool() {
    let pool = pool(1, &database().await);
    let store = PostgresStore::new(pool.clone(), shop());
    store.migrate().await.unwrap();
    let taken = pool.acquire().await.unwrap();
    let error = store.load(&record(None, NOW).id(), Freshness::Latest).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    drop(taken);
    assert!(store.load(&record(None, NOW).id(), Freshness::Latest).await.unwrap().is_none());
}

/// Unused connections are returned to the pool.
#[tokio::test]
async fn unused_connections_are_returned() {
    let pool = pool(4, &database().await);
    let store = store(&pool).await;
    let records = insert_many(&store, 4).await;
    let mut loads = JoinSet::new();
    for record in records {
        let store = store.clone();
        loads.spawn(async move { store.load(&record.id(), Freshness::Latest).await.unwrap().unwrap() });
    }
    loads.join_all().await;
    assert!(pool.num_idle() < pool.size() as usize, "none is kept");
    let begin = Instant::now();
    wait_until_idle(&pool).await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

/// An application that shares the pool gets its connections, however busy the store is; the store makes do with the
/// others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_is_not_kept_waiting() {
    let pool = pool(4, &database().await);
    let store: PostgresStore = store(&pool).await;
    // Each of the two stores would keep half.
    let other = crate::common::store(&pool).await;
    let records = insert_many(&store, 32).await;
    let mut tasks = JoinSet::new();
    for record in records {
        let store = if record.id().as_bytes()[15] % 2 == 0 { store.clone() } else { other.clone() };
        tasks.spawn(async move {
            loop {
                let stored = store.load(&record.id(), Freshness::Latest).await.unwrap().unwrap();
                let _ = store.touch(&stored.id(), stored.user(), stored.summary.last_seen).await.unwrap();
            }
        });
    }
    for taken in [1, 2, 3] {
        for _ in 0..20 {
            let mut connections = Vec::new();
            for _ in 0..taken {
                // Waits a second at most.
                connections.push(pool.acquire().await.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    tasks.abort_all();
    while let Some(task) = tasks.join_next().await {
        assert!(!task.is_err_and(|error| error.is_panic()));
    }
}

/// Closing the pool does not wait for unused connections.
#[tokio::test]
async fn the_pool_can_be_closed() {
    let pool = pool(4, &database().await);
    let store = store(&pool).await;
    let record = insert_many(&store, 1).await.remove(0);
    let begin = Instant::now();
    pool.close().await;
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    assert!(store.load(&record.id(), Freshness::Latest).await.unwrap_err().to_string().contains("closed"));
}

/// A call that is dropped outside of any runtime, wherever it is.
#[test]
fn a_call_dropped_outside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, records) = runtime.block_on(async {
        let store = store(&pool(4, &database().await)).await;
        let records = insert_many(&store, 4).await;
        (store, records)
    });
    for polls in 1..8 {
        let (store, record) = (store.clone(), records[0].clone());
        let mut calls: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for _ in 0..6 {
            let (store, record) = (store.clone(), record.clone());
            calls.push(Box::pin(async move {
                let _ = store.load(&record.id(), Freshness::Latest).await;
                let _ = store.touch(&record.id(), record.user(), NOW).await;
            }));
        }
        let calls = runtime.block_on(async move {
            for call in &mut calls {
                for _ in 0..polls {
                    poll_once(call).await;
                }
            }
            calls
        });
        drop(calls);
    }
    runtime.block_on(async { assert!(store.load(&records[0].id(), Freshness::Latest).await.unwrap().is_some()) });
    let mut call: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        let _ = store.load(&records[0].id(), Freshness::Latest).await;
    });
    runtime.block_on(poll_once(&mut call));
    drop(runtime);
    drop(call);
}

async fn poll_once(call: &mut std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
    let mut is_over = false;
    poll_fn(|context| {
        is_over = is_over || call.as_mut().poll(context).is_ready();
        Poll::Ready(())
    })
    .await;
    if is_over {
        *call = Box::pin(std::future::pending());
    }
    tokio::time::sleep(Duration::from_micros(200)).await;
}

/// A store may outlive its runtime.
#[test]
fn dropped_outside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = |min| {
        runtime.block_on(async {
            let pool = recommended_pool_options().min_connections(min).max_connections(4);
            let store = store(&pool.connect_lazy_with(database().await)).await;
            insert_many(&store, 2).await;
            store
        })
    };
    let stores = [store(0), store(1), store(0), store(1)];
    let [a, b, c, d] = stores;
    drop((a, b));
    drop(runtime);
    drop((c, d));
}
