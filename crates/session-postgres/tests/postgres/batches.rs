//! Operations that overlap share a statement, and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::store::{Freshness, Record, SessionStore, UpdateOutcome};
use session_core::{DeleteOutcome, StoreError, StoreErrorKind};
use session_postgres::PostgresStore;
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::NOW;
use sqlx::PgPool;
use tokio::task::{JoinHandle, JoinSet};

use crate::common::{
    WAITING, changed, database, execute, insert_many, number, pool, store, store_with_timeout, through_proxy,
    wait_until,
};

const MANY: usize = 64;
/// Two immediate ones, a batch of those that queued meanwhile, and a few later ones.
const FEW: u64 = 8;

/// A store behind a proxy, whose statements are prepared, with sessions in it.
async fn bed() -> (Proxy, PgPool, PostgresStore, Vec<Record>) {
    let (proxy, options) = through_proxy(database().await).await;
    let pool = pool(8, &options);
    let store = store(&pool).await;
    let mut records = insert_many(&store, MANY).await;
    for _ in 0..3 {
        load_all(&store, &records).await;
        records = update_all(&store, &records).await;
    }
    (proxy, pool, store, records)
}

fn loads(store: &PostgresStore, records: &[Record]) -> Vec<JoinHandle<Result<Option<Record>, StoreError>>> {
    let spawn = |record: &Record| {
        let (store, id) = (store.clone(), record.id());
        tokio::spawn(async move { store.load(&id, Freshness::Latest).await })
    };
    records.iter().map(spawn).collect()
}

fn updates(store: &PostgresStore, changes: &[(Record, Record)]) -> Vec<JoinHandle<Result<UpdateOutcome, StoreError>>> {
    let spawn = |(old, new): &(Record, Record)| {
        let (store, expected, new) = (store.clone(), old.version, new.clone());
        tokio::spawn(async move { store.update(&new, expected, NOW).await })
    };
    changes.iter().map(spawn).collect()
}

fn changes(records: &[Record]) -> Vec<(Record, Record)> {
    records.iter().enumerate().map(|(n, record)| (record.clone(), changed(record, format!("{n}")))).collect()
}

async fn load_all(store: &PostgresStore, records: &[Record]) {
    for (load, record) in loads(store, records).into_iter().zip(records) {
        let stored = load.await.unwrap().unwrap().expect("the session is there");
        assert!(stored.id() == record.id() && stored.version == record.version);
    }
}

/// What is stored of `records` by now.
async fn reload(store: &PostgresStore, records: &[Record]) -> Vec<Record> {
    let mut current = Vec::new();
    for load in loads(store, records) {
        current.push(load.await.unwrap().unwrap().unwrap());
    }
    current
}

async fn update_all(store: &PostgresStore, records: &[Record]) -> Vec<Record> {
    let changes = changes(records);
    for update in updates(store, &changes) {
        assert_eq!(update.await.unwrap().unwrap(), UpdateOutcome::Applied);
    }
    changes.into_iter().map(|(_, new)| new).collect()
}

/// Single-threaded: all calls begin before the first one is answered.
#[tokio::test]
async fn many_are_few_statements() {
    let (proxy, _pool, store, records) = bed().await;
    let before = proxy.round_trips();
    load_all(&store, &records).await;
    let loads = proxy.round_trips() - before;
    let records = update_all(&store, &records).await;
    let updates = proxy.round_trips() - before - loads;
    assert!(loads <= FEW && updates <= FEW, "{loads} statements for the loads, {updates} for the updates");
    load_all(&store, &records).await;
}

/// An absent session, one that is loaded twice, and a corrupt record, which fails its own load alone.
#[tokio::test]
async fn each_load_has_its_own_outcome() {
    let (_proxy, pool, store, mut records) = bed().await;
    assert_eq!(store.delete(&records[40].id(), records[40].user()).await.unwrap(), DeleteOutcome::Deleted);
    records[41] = records[42].clone();
    let bad = records[33].id().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    execute(&pool, &format!("UPDATE shop.session SET body = '\\x' WHERE replace(id::text, '-', '') = '{bad}'")).await;
    for (turn, load) in loads(&store, &records).into_iter().enumerate() {
        match load.await.unwrap() {
            Ok(stored) => {
                assert_ne!(turn, 33);
                assert_eq!(stored.map(|stored| stored.id()), (turn != 40).then_some(records[turn].id()), "{turn}");
            }
            Err(error) => assert_eq!((turn, error.kind()), (33, StoreErrorKind::Corrupt), "{error}"),
        }
    }
}

/// Of several changes to one session one is applied; the same change sent twice is idempotent; an absent session is
/// absent. All in one batch.
#[tokio::test]
async fn updates_of_one_session_and_of_none() {
    let (proxy, _pool, store, records) = bed().await;
    let mut changes = changes(&records);
    let rival = (records[10].clone(), changed(&records[10], "rival"));
    changes[20] = rival;
    changes[21] = changes[22].clone();
    let absent = records[30].clone();
    assert_eq!(store.delete(&absent.id(), absent.user()).await.unwrap(), DeleteOutcome::Deleted);
    let before = proxy.round_trips();
    let mut outcomes = Vec::new();
    for update in updates(&store, &changes) {
        outcomes.push(update.await.unwrap().unwrap());
    }
    assert!(proxy.round_trips() - before <= FEW);
    let mut rivals = [outcomes[10], outcomes[20]];
    rivals.sort_by_key(|outcome| *outcome != UpdateOutcome::Applied);
    assert_eq!(rivals, [UpdateOutcome::Applied, UpdateOutcome::Conflict]);
    assert_eq!(outcomes[30], UpdateOutcome::Absent);
    for (turn, (outcome, (_, new))) in outcomes.iter().zip(&changes).enumerate() {
        if ![10, 20, 30].contains(&turn) {
            assert_eq!(*outcome, UpdateOutcome::Applied, "{turn}");
        }
        if *outcome == UpdateOutcome::Applied {
            let stored = store.load(&new.id(), Freshness::Latest).await.unwrap().unwrap();
            assert!(stored.version == new.version && stored.data.get(b"value") == new.data.get(b"value"), "{turn}");
        }
    }
}

/// An update that the server rejects fails alone: the others are executed again, without it.
#[tokio::test]
async fn a_rejected_update_among_others() {
    let (_proxy, pool, store, records) = bed().await;
    let changes = changes(&records);
    execute(
        &pool,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF convert_from(NEW.user_id, 'UTF8') = 'user 33' THEN RAISE EXCEPTION 'no'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON shop.session FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    for (turn, update) in updates(&store, &changes).into_iter().enumerate() {
        match update.await.unwrap() {
            Ok(outcome) => assert!(turn != 33 && outcome == UpdateOutcome::Applied, "{turn}"),
            Err(error) => assert!(turn == 33 && error.kind() == StoreErrorKind::Other, "{turn}: {error}"),
        }
    }
}

/// Calls that are cancelled in a batch, or while a statement runs that the batch waits for, fail no other call.
#[tokio::test]
async fn cancelled_calls_in_a_batch() {
    let (proxy, _pool, store, records) = bed().await;
    // The first two run alone, and the others in the batch that follows.
    for (completed, gone) in [(0, 0..2), (1, 2..40), (0, 0..40)] {
        proxy.set(Mode::Delay(Duration::from_millis(100)));
        let before = proxy.round_trips();
        let mut loads = loads(&store, &records);
        while proxy.round_trips() < before + 2 + completed {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for load in loads.drain(gone.clone()) {
            load.abort();
        }
        let mut found = 0;
        for load in loads {
            found += usize::from(load.await.unwrap().unwrap().is_some());
        }
        assert_eq!(found, MANY - gone.len());
        proxy.set(Mode::Pass);
    }
    load_all(&store, &records).await;
}

/// Some of the rows are locked: the others are written, whether they share a batch with those or queue behind them.
#[tokio::test]
async fn an_update_waits_only_for_its_own_row() {
    let (_proxy, own, store, records) = bed().await;
    let outside = pool(2, &own.connect_options());
    for held in [vec![33, 34], vec![0, 1, 33]] {
        let records = reload(&store, &records).await;
        let users: Vec<String> = held.iter().map(|n| format!("'user {n}'")).collect();
        let mut lock = outside.begin().await.unwrap();
        let sql = format!(
            "SELECT FROM shop.session WHERE convert_from(user_id, 'UTF8') IN ({}) FOR UPDATE",
            users.join(", ")
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *lock).await.unwrap();
        let begin = Instant::now();
        let mut waiting = Vec::new();
        for (turn, update) in updates(&store, &changes(&records)).into_iter().enumerate() {
            if held.contains(&turn) {
                waiting.push(update);
            } else {
                assert_eq!(update.await.unwrap().unwrap(), UpdateOutcome::Applied, "{turn}");
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        wait_until(&outside, WAITING, |waiting| waiting == i64::try_from(held.len()).unwrap()).await;
        lock.rollback().await.unwrap();
        for update in waiting {
            assert_eq!(update.await.unwrap().unwrap(), UpdateOutcome::Applied);
        }
    }
}

/// A connection that breaks during a batch: each call fails in time, and may be repeated.
#[tokio::test]
async fn a_batch_that_is_cut_off() {
    let (proxy, pool, patient, records) = bed().await;
    let store = store_with_timeout(&pool, Duration::from_millis(400)).await;
    for mode in [Mode::CutReply(0), Mode::CutReply(12), Mode::Truncate(0), Mode::BlackHole, Mode::Cut] {
        let current = reload(&store, &records).await;
        let changes = changes(&current);
        proxy.set(mode);
        let begin = Instant::now();
        let (loads, updates) = (loads(&store, &current), self::updates(&store, &changes));
        let mut errors = Vec::new();
        for load in loads {
            errors.push(load.await.unwrap().unwrap_err());
        }
        for update in updates {
            errors.push(update.await.unwrap().unwrap_err());
        }
        for error in errors {
            let kind = error.kind();
            assert!(matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Timeout), "{mode:?}: {error}");
        }
        assert!(begin.elapsed() < Duration::from_secs(3), "{mode:?}: {:?}", begin.elapsed());
        proxy.set(Mode::Pass);
        // Until the connections that were cut off are known to be gone.
        while patient.touch(&records[0].id(), records[0].user(), NOW).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(5), "{mode:?}: no service");
        }
        for update in self::updates(&patient, &changes) {
            assert_eq!(update.await.unwrap().unwrap(), UpdateOutcome::Applied, "{mode:?}");
        }
    }
}

/// A load sees every write that was acknowledged before the call, whichever statement it shares.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_sees_what_was_acknowledged() {
    let database = database().await;
    let nodes = Arc::new(crate::common::nodes(&database, 2).await);
    let records = insert_many(&nodes[0], 32).await;
    let mut tasks = JoinSet::new();
    for (task, record) in records.into_iter().enumerate() {
        let nodes = Arc::clone(&nodes);
        tasks.spawn(async move {
            let mut record = record;
            for turn in 0..40 {
                let next = changed(&record, format!("{turn}"));
                let updated = nodes[(task + turn) % 2].update(&next, record.version, NOW).await.unwrap();
                assert_eq!(updated, UpdateOutcome::Applied);
                for node in nodes.iter() {
                    let id = next.id();
                    let (one, other) =
                        tokio::join!(node.load(&id, Freshness::Latest), node.load(&id, Freshness::Latest));
                    for stored in [one, other] {
                        assert_eq!(stored.unwrap().unwrap().version, next.version);
                    }
                }
                record = next;
            }
        });
    }
    tasks.join_all().await;
    // No statement is left waiting.
    let pool = pool(1, &database);
    assert_eq!(number(&pool, WAITING).await, 0);
}

/// A batch that the server cancels, or has no resources for, fails as a whole: 64 statements instead of it would be
/// worse.
#[tokio::test]
async fn overload_does_not_take_a_batch_apart() {
    for state in ["57014", "53200"] {
        let (proxy, pool, store, records) = bed().await;
        execute(
            &pool,
            &format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$;
                 CREATE TRIGGER refuse BEFORE UPDATE ON shop.session FOR EACH ROW EXECUTE FUNCTION refuse()"
            ),
        )
        .await;
        let before = proxy.round_trips();
        for update in updates(&store, &changes(&records)) {
            assert!(update.await.unwrap().unwrap_err().is_retryable());
        }
        let cost = proxy.round_trips() - before;
        assert!(cost <= FEW, "{state}: {cost} statements");
    }
}

/// Small sessions do not wait for large ones that are loaded, or written, with them.
#[tokio::test]
async fn large_records_do_not_hold_up_small_ones() {
    let (proxy, _pool, store, mut records) = bed().await;
    for record in &mut records[32..40] {
        let large = changed(record, vec![b'x'; 4 << 20]);
        assert_eq!(store.update(&large, record.version, NOW).await.unwrap(), UpdateOutcome::Applied);
        *record = large;
    }
    let before = proxy.round_trips();
    load_all(&store, &records).await;
    // The large ones are loaded alone. On a busy machine, another statement or two get in before a batch is full.
    assert!(proxy.round_trips() - before <= FEW + 8 + FEW / 2, "{}", proxy.round_trips() - before);
    for (load, record) in loads(&store, &records).into_iter().zip(&records) {
        let loaded = load.await.unwrap().unwrap().unwrap();
        assert_eq!(
            loaded.data.get(b"value").map(|value| value.len()),
            record.data.get(b"value").map(|value| value.len())
        );
    }
    let records = reload(&store, &records).await;
    let changes: Vec<_> = records.iter().map(|old| (old.clone(), session_testbed::records::next(old))).collect();
    for update in updates(&store, &changes) {
        assert_eq!(update.await.unwrap().unwrap(), UpdateOutcome::Applied);
    }
}

/// More rows are locked by other transactions than the pool has connections: their updates wait, the others are written.
#[tokio::test]
async fn many_held_rows_are_the_trouble_of_their_own_callers() {
    let (_proxy, own, store, records) = bed().await;
    let outside = pool(2, &own.connect_options());
    let records = reload(&store, &records).await;
    let mut lock = outside.begin().await.unwrap();
    let sql = "SELECT FROM shop.session WHERE substr(convert_from(user_id, 'UTF8'), 6)::int < 30 FOR UPDATE";
    sqlx::query(sql).execute(&mut *lock).await.unwrap();
    let begin = Instant::now();
    let mut waiting = Vec::new();
    let mut updates = updates(&store, &changes(&records));
    let free = updates.split_off(30);
    waiting.extend(updates);
    for update in free {
        assert_eq!(update.await.unwrap().unwrap(), UpdateOutcome::Applied);
    }
    load_all_versions(&store, &records).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    lock.rollback().await.unwrap();
    for update in waiting {
        assert_eq!(update.await.unwrap().unwrap(), UpdateOutcome::Applied);
    }
}

async fn load_all_versions(store: &PostgresStore, records: &[Record]) {
    for load in loads(store, records) {
        assert!(load.await.unwrap().unwrap().is_some());
    }
}
