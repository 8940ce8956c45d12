//! A store is used from several runtimes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::SessionId;
use session_core::store::{Freshness, SessionStore};
use session_redis::RedisStore;
use session_testbed::records::{NOW, insert, record, shop};
use session_testbed::servers::Redis;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Begins all these loads at once.
fn begin(runtime: &Runtime, store: &Arc<RedisStore>, ids: &[SessionId]) -> Vec<JoinHandle<bool>> {
    let load = |id: &SessionId| {
        let (store, id) = (Arc::clone(store), *id);
        runtime.spawn(async move { store.load(&id, Freshness::Latest).await.is_ok_and(|found| found.is_some()) })
    };
    ids.iter().map(load).collect()
}

/// How many of them fail.
fn failed(runtime: &Runtime, loads: Vec<JoinHandle<bool>>) -> usize {
    runtime.block_on(async move {
        let mut failed = 0;
        for load in loads {
            failed += usize::from(!load.await.unwrap());
        }
        failed
    })
}

async fn launch() -> (Redis, Arc<RedisStore>, Vec<SessionId>) {
    let server = Redis::launch(&[]).await.unwrap();
    let store = Arc::new(RedisStore::connect(&server.url(), shop()).await.unwrap());
    let mut ids = Vec::new();
    for _ in 0..64 {
        let session = record(None, NOW);
        insert(&*store, &session).await;
        ids.push(session.id());
    }
    (server, store, ids)
}

/// At every moment: before its loads are sent, while they are under way, when replies arrive.
#[test]
fn a_runtime_that_ends_leaves_the_loads_of_others_alone() {
    let main = runtime();
    let (server, store, ids) = main.block_on(launch());
    for turn in 0..60 {
        let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let loads = other.block_on(async {
            for id in &ids {
                let (store, id) = (Arc::clone(&store), *id);
                tokio::spawn(async move { drop(store.load(&id, Freshness::Latest).await) });
            }
            tokio::task::yield_now().await;
            // Together with those of the other runtime.
            let loads = begin(&main, &store, &ids);
            for _ in 0..turn % 5 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_micros(turn * 10)).await;
            loads
        });
        drop(other);
        assert_eq!(failed(&main, loads), 0, "in turn {turn}");
        assert_eq!(failed(&main, begin(&main, &store, &ids)), 0, "after turn {turn}");
    }
    main.block_on(async move { drop((store, server)) });
}

/// The runtime of the store is gone: that is said at once.
#[test]
fn without_its_runtime_a_store_fails_at_once() {
    let (servers, main) = (runtime(), runtime());
    let (server, store, ids) = main.block_on(launch());
    main.shutdown_timeout(Duration::from_secs(5));
    let start = Instant::now();
    assert_eq!(failed(&servers, begin(&servers, &store, &ids)), ids.len());
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
    servers.block_on(async move { drop((store, server)) });
}
