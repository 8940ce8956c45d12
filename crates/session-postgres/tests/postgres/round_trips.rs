//! What an operation costs on the wire.

use session_postgres::{Pooler, PostgresStore};
use session_testbed::calls::{Call, Sessions};
use session_testbed::records::shop;

use crate::common::{database, pool, store, store_behind, through_proxy, wait_until_idle};

/// One round trip for each operation, and nothing in the background: the connection is kept.
#[tokio::test]
async fn a_kept_connection_is_not_pinged() {
    let (proxy, options) = through_proxy(database().await).await;
    let pool = pool(2, &options);
    let store = store(&pool).await;
    for measured in [false, true] {
        let mut all = Vec::new();
        for _ in Call::ALL {
            all.push(Sessions::store(&store).await);
        }
        let before = proxy.round_trips();
        for (sessions, call) in all.iter().zip(Call::ALL) {
            assert_eq!(sessions.call(&store, call).await.unwrap(), call.answers()[0], "{call:?}");
            // Lets background tasks run.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let cost = proxy.round_trips() - before;
        // A clean-up deletes old notes of changes, too.
        assert!(!measured || cost == Call::ALL.len() as u64 + 1, "{cost} round trips");
    }
    assert_eq!(proxy.connections(), 1);
}

/// A pool of one connection, of which the store keeps none: a round trip to learn which backend it is, one for each
/// operation, and in the background one for the ping with which the pool gets it back. With [`Pooler::Transaction`],
/// four: begin, prepare, execute, commit. A clean-up is two operations, with a ping between them.
///
/// Single-threaded: background tasks run only while the test waits.
#[tokio::test]
async fn round_trips_of_a_connection_that_is_not_kept() {
    let (proxy, options) = through_proxy(database().await).await;
    for (pooler, each) in [(Pooler::Transparent, 2), (Pooler::Transaction, 4)] {
        let pool = pool(1, &options);
        let store = store_behind(&pool, pooler).await;
        // The first time, statements are prepared.
        for measured in [false, true] {
            for call in Call::ALL {
                let sessions = Sessions::store(&store).await;
                wait_until_idle(&pool).await;
                let before = proxy.round_trips();
                assert_eq!(sessions.call(&store, call).await.unwrap(), call.answers()[0], "{call:?}");
                let cost = proxy.round_trips() - before;
                wait_until_idle(&pool).await;
                let expected = if call == Call::DeleteExpired { each + 1 + each } else { each };
                let ping = proxy.round_trips() - before - cost;
                assert!(!measured || (cost, ping) == (expected, 1), "{call:?}: {cost} + {ping}");
            }
        }
    }
    assert_eq!(proxy.connections(), 2);
}

/// A node that finds the schema in place needs one query.
#[tokio::test]
async fn nothing_to_migrate_is_one_round_trip() {
    let database = database().await;
    store(&pool(1, &database)).await;
    let (proxy, options) = through_proxy(database).await;
    let pool = pool(1, &options);
    drop(pool.acquire().await.unwrap());
    wait_until_idle(&pool).await;
    let before = proxy.round_trips();
    PostgresStore::new(pool.clone(), shop()).migrate().await.unwrap();
    assert_eq!(proxy.round_trips() - before, 1);
}
