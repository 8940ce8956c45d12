//! Every operation, with the network failing under it in every way.

use std::time::{Duration, Instant};

use session_core::store::{Freshness, SessionStore};
use session_core::{StoreError, StoreErrorKind};
use session_postgres::PostgresStore;
use session_testbed::calls::{Call, Sessions};
use session_testbed::proxy::Mode;
use session_testbed::records::NOW;

use crate::common::{database, insert_many, pool, store, store_with_timeout, through_proxy, wait_until_idle};

const TIMEOUT: Duration = Duration::from_millis(200);
/// A machine may be busy.
const MARGIN: Duration = Duration::from_secs(2);

/// While the server is unreachable, an operation fails, in time.
pub(crate) fn assert_failed(answer: Result<String, StoreError>, begin: Instant, timeout: Duration, what: &str) {
    match answer {
        Ok(answer) => panic!("{what}: answered {answer}"),
        Err(error) => {
            let kind = error.kind();
            assert!(matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Timeout), "{what}: {error}");
        }
    }
    assert!(begin.elapsed() < timeout + MARGIN, "{what}: took {:?}", begin.elapsed());
}

/// Seventy failures in a pool of one connection: no invented answer, nothing lost, created or done twice, and the place
/// in the pool is still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_under_every_fault() {
    let (proxy, options) = through_proxy(database().await).await;
    let pool = pool(1, &options);
    let patient = store(&pool).await;
    let store = store_with_timeout(&pool, TIMEOUT).await;
    let modes = [
        Mode::Cut,
        Mode::CutReply(0),
        Mode::CutReply(1),
        Mode::CutReply(12),
        Mode::HalfClose,
        Mode::Truncate(0),
        Mode::Truncate(1),
        Mode::Truncate(12),
        Mode::BlackHole,
    ];
    for mode in modes {
        for call in Call::ALL {
            let what = format!("{call:?} in {mode:?}");
            // The connection is new: the statement is prepared, so that the reply that is lost is its own.
            let prepared = Sessions::store(&patient).await.call(&patient, call).await;
            assert_eq!(prepared.unwrap(), call.answers()[0], "{what}");
            let sessions = Sessions::store(&patient).await;
            wait_until_idle(&pool).await;
            proxy.set(mode);
            let begin = Instant::now();
            let answer = sessions.call(&store, call).await;
            assert_failed(answer, begin, TIMEOUT, &what);
            proxy.set(Mode::Pass);
            // Applied or not: the call is idempotent.
            let answer = sessions.call(&patient, call).await.unwrap();
            assert!(call.answers().contains(&answer.as_str()), "{what}: answered {answer}");
            sessions.assert_done(&patient, call).await;
        }
    }
}

/// The reply arrived, and then the network fails while the pool pings the server: the place in the pool is not lost.
///
/// Single-threaded: the ping is sent while this test waits.
#[tokio::test]
async fn the_ping_of_the_pool_has_a_timeout() {
    let (proxy, options) = through_proxy(database().await).await;
    let pool = pool(2, &options);
    let store = store_with_timeout(&pool, TIMEOUT).await;
    let record = insert_many(&store, 1).await.remove(0);
    for turn in 0..6 {
        proxy.set(Mode::Pass);
        let begin = Instant::now();
        while store.load(&record.id(), Freshness::Latest).await.is_err() {
            assert!(begin.elapsed() < TIMEOUT + MARGIN, "no connection after {turn} were lost");
        }
        proxy.set(Mode::Truncate(0));
        // The ping arrives, and its reply is lost.
        let before = proxy.round_trips();
        while proxy.round_trips() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The connections of a store that was cut off are replaced, and one that the application uses is left alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_connection_is_left_alone() {
    let database = database().await;
    let pool = pool(4, &database);
    let store: PostgresStore = store(&pool).await;
    let record = insert_many(&store, 1).await.remove(0);
    let mut own = pool.begin().await.unwrap();
    sqlx::query("CREATE TEMPORARY TABLE work (n int)").execute(&mut *own).await.unwrap();
    while pool.num_idle() + 1 != pool.size() as usize {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(terminate).execute(&mut *own).await.unwrap();
    let loaded = store.load(&record.id(), Freshness::Latest).await.unwrap().unwrap();
    assert_eq!(loaded.summary.last_seen, NOW);
    sqlx::query("INSERT INTO work VALUES (1)").execute(&mut *own).await.unwrap();
    own.commit().await.unwrap();
}
