//! A store is used from several runtimes.

use std::time::{Duration, Instant};

use session_core::store::{Freshness, Record, SessionStore, TouchOutcome};
use session_core::{SessionId, StoreError};
use session_postgres::{PostgresStore, recommended_pool_options};
use session_testbed::records::{NOW, shop};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};

use crate::common::{WAITING, changed, database, insert_many, pool, store_with_timeout, wait_until};

const TIMEOUT: Duration = Duration::from_millis(1_500);
/// A machine may be busy.
const MARGIN: Duration = Duration::from_secs(2);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Begins all these loads at once. Each answers whether it has found its session.
fn begin(runtime: &Runtime, store: &PostgresStore, records: &[Record]) -> Vec<JoinHandle<Result<bool, StoreError>>> {
    let load = |record: &Record| {
        let (store, id) = (store.clone(), record.id());
        runtime.spawn(async move { Ok(store.load(&id, Freshness::Latest).await?.is_some()) })
    };
    records.iter().map(load).collect()
}

/// Those that failed.
fn failures(runtime: &Runtime, loads: Vec<JoinHandle<Result<bool, StoreError>>>) -> Vec<StoreError> {
    runtime.block_on(async move {
        let mut failures = Vec::new();
        for load in loads {
            match load.await.unwrap() {
                Ok(found) => assert!(found),
                Err(error) => failures.push(error),
            }
        }
        failures
    })
}

async fn sessions(count: usize) -> (PostgresStore, Vec<Record>) {
    let store = store_with_timeout(&pool(8, &database().await), TIMEOUT).await;
    let records = insert_many(&store, count).await;
    (store, records)
}

/// At every moment: before its loads and touches are sent, while they are under way, when replies arrive.
#[test]
fn a_runtime_that_ends_leaves_the_calls_of_others_alone() {
    let main = runtime();
    let (store, records) = main.block_on(sessions(64));
    for turn in 0..60 {
        let other = Builder::new_current_thread().enable_all().build().unwrap();
        let loads = other.block_on(async {
            for record in &records {
                let (store, record) = (store.clone(), record.clone());
                tokio::spawn(async move {
                    let _ = store.load(&record.id(), Freshness::Latest).await;
                    let _ = store.touch(&record.id(), record.user(), NOW).await;
                });
            }
            tokio::task::yield_now().await;
            // Together with those of the other runtime.
            let loads = begin(&main, &store, &records);
            for _ in 0..turn % 5 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_micros(turn * 50)).await;
            loads
        });
        drop(other);
        let failures_during = failures(&main, loads);
        assert!(failures_during.is_empty(), "in turn {turn}: {failures_during:?}");
        let failures_after = failures(&main, begin(&main, &store, &records));
        assert!(failures_after.is_empty(), "after turn {turn}: {failures_after:?}");
    }
    main.block_on(async move { drop(store) });
}

/// Connections that were opened for a runtime which has ended serve others.
#[test]
fn connections_outlive_the_runtime_of_the_caller_they_were_opened_for() {
    let main = runtime();
    let (store, records) = main.block_on(sessions(8));
    let other = runtime();
    let failures_before = failures(&other, begin(&other, &store, &records));
    assert!(failures_before.is_empty(), "{failures_before:?}");
    other.block_on(async {
        let mut touches = JoinSet::new();
        for record in records.clone() {
            let store = store.clone();
            touches.spawn(async move { store.touch(&record.id(), record.user(), NOW).await.unwrap() });
        }
        assert_eq!(touches.join_all().await, [TouchOutcome::Applied; 8]);
    });
    drop(other);
    let failures_after = failures(&main, begin(&main, &store, &records));
    assert!(failures_after.is_empty(), "{failures_after:?}");
    main.block_on(async move { drop(store) });
}

/// The statement of a call that ended with its runtime is cancelled on the server.
#[test]
fn statements_of_a_runtime_that_has_ended_are_cancelled() {
    let main = runtime();
    let (store, records, outside) = main.block_on(async {
        let options = database().await;
        let store = store_with_timeout(&pool(4, &options), Duration::from_millis(300)).await;
        let records = insert_many(&store, 1).await;
        (store, records, pool(2, &options))
    });
    let mut lock = main.block_on(async { outside.begin().await.unwrap() });
    main.block_on(async { sqlx::query("SELECT FROM shop.session FOR UPDATE").execute(&mut *lock).await.unwrap() });
    let other = runtime();
    let (touching, record) = (store.clone(), records[0].clone());
    other.spawn(async move { touching.touch(&record.id(), record.user(), NOW).await });
    main.block_on(wait_until(&outside, WAITING, |waiting| waiting == 1));
    drop(other);
    main.block_on(async move {
        wait_until(&outside, WAITING, |waiting| waiting == 0).await;
        lock.rollback().await.unwrap();
        drop(store);
    });
}

/// A write ends with the only runtime, and with it what would have told of it: in a thread that nobody else waits for.
#[test]
fn a_runtime_ends_with_a_write_that_is_not_told_yet() {
    let servers = runtime();
    let (options, outside) = servers.block_on(async {
        let options = database().await;
        (options.clone(), pool(2, &options))
    });
    for turn in 0..4 {
        let main = runtime();
        let (store, record) = main.block_on(async {
            let builder = PostgresStore::builder(pool(4, &options), shop()).operation_timeout(TIMEOUT);
            let store = builder.publish_changes().build();
            store.migrate().await.unwrap();
            let record = insert_many(&store, 1).await.remove(0);
            (store, record)
        });
        let mut lock = servers.block_on(async { outside.begin().await.unwrap() });
        servers
            .block_on(async { sqlx::query("SELECT FROM shop.session FOR UPDATE").execute(&mut *lock).await.unwrap() });
        main.spawn(async move { store.update(&changed(&record, "x"), record.version, NOW).await });
        servers.block_on(wait_until(&outside, WAITING, |waiting| waiting == 1));
        let (over, is_over) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(main);
            over.send(())
        });
        let ended = is_over.recv_timeout(Duration::from_secs(30));
        assert!(ended.is_ok(), "in turn {turn}: the runtime does not end");
        servers.block_on(async { lock.rollback().await.unwrap() });
    }
}

/// The runtime that the store was opened in ends under the calls of another one: they may fail, in time and with an
/// error that one can act on. Those that come later succeed.
#[test]
fn a_store_outlives_its_runtime() {
    let servers = runtime();
    for turn in 0..12 {
        let main = runtime();
        let (store, records) = main.block_on(sessions(64));
        let start = Instant::now();
        let loads = begin(&servers, &store, &records);
        std::thread::sleep(Duration::from_micros(turn * 200));
        main.shutdown_timeout(Duration::from_secs(5));
        for error in failures(&servers, loads) {
            assert!(error.is_retryable(), "in turn {turn}: {error:?}");
        }
        assert!(start.elapsed() < TIMEOUT + MARGIN, "in turn {turn}: {:?}", start.elapsed());
        let failures = failures(&servers, begin(&servers, &store, &records));
        assert!(failures.is_empty(), "after turn {turn}: {failures:?}");
        servers.block_on(async {
            for record in &records[..4] {
                assert_eq!(store.touch(&record.id(), record.user(), NOW).await.unwrap(), TouchOutcome::Applied);
                let _ = store.update(&changed(record, "x"), record.version, NOW).await.unwrap();
            }
            drop(store);
        });
    }
}

/// The store was opened outside of any runtime, and each of its runtimes ends, as those of tests do.
#[test]
fn a_runtime_after_another() {
    let options = runtime().block_on(database());
    let pool = {
        let setup = runtime();
        let _guard = setup.enter();
        recommended_pool_options().max_connections(4).connect_lazy_with(options)
    };
    let store = PostgresStore::builder(pool, shop()).operation_timeout(TIMEOUT).build();
    let mut ids: Vec<SessionId> = Vec::new();
    for turn in 0..6 {
        let begin = Instant::now();
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            store.migrate().await.unwrap();
            for id in &ids {
                assert!(store.load(id, Freshness::Latest).await.unwrap().is_some(), "in turn {turn}");
            }
            ids.push(insert_many(&store, 1).await.remove(0).id());
        });
        assert!(begin.elapsed() < MARGIN, "in turn {turn}: {:?}", begin.elapsed());
    }
}
