//! Kept connections: none that the application needs, and none that is unused.

use std::time::{Duration, Instant};

use session_core::store::{Freshness, SessionStore};
use session_postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::common::{database, insert_many, pool, store, wait_until_idle};

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

/// A store may outlive its runtime.
#[test]
fn dropped_outside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = |min| {
        runtime.block_on(async {
            let pool = session_postgres::recommended_pool_options().min_connections(min).max_connections(4);
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
