//! Clean-up.

use std::num::NonZeroU32;
use std::time::Duration;

use session_core::StoreErrorKind;
use session_core::store::{Freshness, SessionStore, TouchOutcome, UpdateOutcome};
use session_testbed::records::{MINUTE, NOW, insert, record};

use crate::common::{LONG_AGO, changed, database, execute, number, pool, store};

const ALL: NonZeroU32 = NonZeroU32::MAX;

/// Sessions that are due but alive are postponed, not deleted, and do not block the expired ones behind them.
#[tokio::test]
async fn live_sessions_are_postponed() {
    let database = database().await;
    let pool = pool(2, &database);
    let store = store(&pool).await;
    let mut dead = record(None, NOW);
    dead.summary.last_seen = NOW + MINUTE;
    insert(&store, &dead).await;
    for _ in 0..50 {
        let live = record(None, NOW);
        insert(&store, &live).await;
        let _ = store.touch(&live.id(), None, NOW + 20 * MINUTE).await.unwrap();
    }
    let now = NOW + 40 * MINUTE;
    let one = NonZeroU32::MIN;
    assert_eq!(store.delete_expired(now, one).await.unwrap(), 1);
    let due = format!("SELECT count(*) FROM session.session WHERE sweep_at < {}", now.as_millis() / 10_000);
    assert_eq!(number(&pool, &due).await, 0);
    assert_eq!(store.delete_expired(NOW + 50 * MINUTE - Duration::from_millis(1), one).await.unwrap(), 0);
    assert_eq!(store.delete_expired(NOW + 50 * MINUTE, NonZeroU32::MAX).await.unwrap(), 50);
}

const ROWS: &str = "SELECT count(*) FROM session.session";

/// A locked row is left to a later call, without waiting, and is not counted.
#[tokio::test]
async fn a_locked_row_is_skipped() {
    let pool = pool(3, &database().await);
    let store = store(&pool).await;
    for _ in 0..10 {
        insert(&store, &record(None, LONG_AGO)).await;
    }
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM session.session ORDER BY sweep_at, id LIMIT 1 FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(store.delete_expired(NOW, ALL).await.unwrap(), 9);
    assert_eq!(store.delete_expired(NOW, ALL).await.unwrap(), 0);
    assert_eq!(number(&pool, ROWS).await, 1);
    other.rollback().await.unwrap();
    assert_eq!(store.delete_expired(NOW, ALL).await.unwrap(), 1);
    assert_eq!(number(&pool, ROWS).await, 0);
}

/// A call that fails midway is rolled back, and the next one deletes and counts everything.
#[tokio::test]
async fn a_failed_call_deletes_nothing() {
    let pool = pool(2, &database().await);
    let store = store(&pool).await;
    for _ in 0..50 {
        insert(&store, &record(None, LONG_AGO)).await;
    }
    // The thirtieth deletion fails.
    execute(
        &pool,
        "CREATE SEQUENCE deletions;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('deletions') = 30 THEN RAISE EXCEPTION 'no'; END IF;
             RETURN OLD;
         END $$;
         CREATE TRIGGER fail BEFORE DELETE ON session.session FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    .await;
    let error = store.delete_expired(NOW, ALL).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other, "{error}");
    assert_eq!(number(&pool, ROWS).await, 50);
    assert_eq!(store.delete_expired(NOW, ALL).await.unwrap(), 50);
    assert_eq!(number(&pool, ROWS).await, 0);
}

/// A session that an update shortens is swept at its new deadline; one that an update or a touch prolongs is not swept
/// at its old one.
#[tokio::test]
async fn the_sweep_follows_updates_and_touches() {
    let pool = pool(2, &database().await);
    let store = store(&pool).await;
    let (shorter, longer, touched) = (record(None, NOW), record(None, NOW), record(None, NOW));
    for record in [&shorter, &longer, &touched] {
        insert(&store, record).await;
    }
    let mut change = changed(&shorter, "x");
    change.summary.timeouts.idle = 10 * MINUTE;
    assert_eq!(store.update(&change, shorter.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    let mut change = changed(&longer, "x");
    change.summary.timeouts.idle = 60 * MINUTE;
    assert_eq!(store.update(&change, longer.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    let seen = NOW + 20 * MINUTE;
    assert_eq!(store.touch(&touched.id(), None, seen).await.unwrap(), TouchOutcome::Applied);
    let millisecond = Duration::from_millis(1);
    for (minutes, dead) in [(10, &shorter), (50, &touched), (60, &longer)] {
        let end = NOW + minutes * MINUTE;
        assert_eq!(store.delete_expired(NOW + (minutes * MINUTE - millisecond), ALL).await.unwrap(), 0);
        assert!(store.load(&dead.id(), Freshness::Latest).await.unwrap().is_some());
        assert_eq!(store.delete_expired(end, ALL).await.unwrap(), 1);
        assert!(store.load(&dead.id(), Freshness::Latest).await.unwrap().is_none());
    }
}
