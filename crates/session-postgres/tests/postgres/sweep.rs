//! Clean-up.

use std::num::NonZeroU32;
use std::time::Duration;

use session_core::StoreErrorKind;
use session_core::store::{Freshness, SessionStore, TouchOutcome, UpdateOutcome};
use session_testbed::records::{MINUTE, NOW, insert, record};

use crate::common::{LONG_AGO, changed, database, execute, insert_many, number, pool, store, store_with_timeout};

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
    let due = format!("SELECT count(*) FROM shop.session WHERE sweep_at < {}", now.as_millis() / 10_000);
    assert_eq!(number(&pool, &due).await, 0);
    assert_eq!(store.delete_expired(NOW + 50 * MINUTE - Duration::from_millis(1), one).await.unwrap(), 0);
    assert_eq!(store.delete_expired(NOW + 50 * MINUTE, NonZeroU32::MAX).await.unwrap(), 50);
}

const ROWS: &str = "SELECT count(*) FROM shop.session";

/// A locked row is left to a later call, without waiting, and is not counted.
#[tokio::test]
async fn a_locked_row_is_skipped() {
    let pool = pool(3, &database().await);
    let store = store(&pool).await;
    for _ in 0..10 {
        insert(&store, &record(None, LONG_AGO)).await;
    }
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM shop.session ORDER BY sweep_at, id LIMIT 1 FOR UPDATE")
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
         CREATE TRIGGER fail BEFORE DELETE ON shop.session FOR EACH ROW EXECUTE FUNCTION fail()",
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

/// A server that needs long for each deletion, and cancels statements: each call gets further.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_on_a_slow_server() {
    for (limit, per_row, timeout) in [("1500ms", "0.002", 1_500), ("150ms", "0.03", 1_500), ("0", "0.3", 700)] {
        let database = database().await;
        let options = database.clone().options([("statement_timeout", limit)]);
        let admin = pool(2, &database);
        let store = store_with_timeout(&pool(4, &options), Duration::from_millis(timeout)).await;
        execute(
            &admin,
            &format!(
                "INSERT INTO shop.session
                     SELECT 0, 0, 1000, 1000, 0, gen_random_uuid(), '\\x000000000000000000000000', NULL, '\\x03',
                         '\\x00'
                     FROM generate_series(1, 3000);
                 CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN PERFORM pg_sleep({per_row}); RETURN OLD; END $$;
                 CREATE TRIGGER slow BEFORE DELETE ON shop.session FOR EACH ROW EXECUTE FUNCTION slow()"
            ),
        )
        .await;
        // A call may meet the limit of the server, on a machine that is busy.
        let mut deleted = 0;
        for _ in 0..4 {
            deleted += store.delete_expired(NOW, NonZeroU32::new(1_000).unwrap()).await.unwrap_or(0);
        }
        let left = number(&admin, ROWS).await;
        println!("{per_row} s per row, statement_timeout {limit}: {deleted} deleted");
        assert!(left < 3_000 && left <= 3_000 - i64::try_from(deleted).unwrap());
    }
}

/// Sessions that are due but alive, while a slow sweep visits them: a touch waits for a few hundredths of a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_does_not_hold_up_live_sessions() {
    let database = database().await;
    let pool = pool(8, &database);
    let store = store(&pool).await;
    let mut records = insert_many(&store, 600).await;
    let later = NOW + 29 * MINUTE;
    for record in &mut records {
        let _ = store.touch(&record.id(), record.user(), later).await.unwrap();
    }
    // Among the live ones, some that are expired and take long to delete.
    execute(
        &pool,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN OLD; END $$;
         CREATE TRIGGER slow BEFORE DELETE ON shop.session FOR EACH ROW EXECUTE FUNCTION slow();
         UPDATE shop.session SET last_seen = 0 WHERE ctid IN (SELECT ctid FROM shop.session LIMIT 200)",
    )
    .await;
    let sweep = {
        let store = store.clone();
        tokio::spawn(async move { store.delete_expired(NOW + 31 * MINUTE, ALL).await.unwrap() })
    };
    let (mut slowest, due) = (Duration::ZERO, NOW + 31 * MINUTE);
    while !sweep.is_finished() {
        for record in records.iter().step_by(7) {
            let begin = std::time::Instant::now();
            let _ = store.touch(&record.id(), record.user(), due).await.unwrap();
            slowest = slowest.max(begin.elapsed());
        }
    }
    println!("{} deleted; the slowest touch took {slowest:?}", sweep.await.unwrap());
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}
