//! What the table contains, and what an error shows of it.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::num::NonZeroU32;
use std::time::Duration;

use session_core::store::{Count, CreateOutcome, CreateRequest, Freshness, SessionStore, TouchOutcome};
use session_core::{DeleteOutcome, Entropy as _, OsEntropy, StoreErrorKind, Timeouts, Timestamp, VisitorLimit};
use session_testbed::calls::{Call, Sessions};
use session_testbed::records::{MINUTE, NOW, created, insert, load, next, record, replacing, user};
use tokio::task::JoinSet;

use crate::common::{OTHERS, changed, database, execute, number, pool, store, wait_until};

/// Touches are HOT updates: they leave the indexes alone, which would bloat otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn touches_are_hot() {
    const TOUCHES: i64 = 20_000;
    let database = database().await;
    let pool = pool(16, &database);
    let store = store(&pool).await;
    let mut records = Vec::new();
    for turn in 0..2_000 {
        let owner = (turn % 3 > 0).then(|| user(&format!("user {}", turn % 500)));
        records.push(record(owner.as_ref(), NOW));
        insert(&store, &records[turn]).await;
    }
    let mut tasks = JoinSet::new();
    for task in 0..16_usize {
        let (store, records) = (store.clone(), records.clone());
        tasks.spawn(async move {
            for turn in 0..usize::try_from(TOUCHES).unwrap() / 16 {
                let record = &records[(task * 7_919 + turn * 104_729) % records.len()];
                let seen = NOW + Duration::from_millis(turn as u64);
                assert_eq!(store.touch(&record.id(), record.user(), seen).await.unwrap(), TouchOutcome::Applied);
            }
        });
    }
    tasks.join_all().await;
    let count = |column| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'session'");
    // Statistics are published once a second, those of the last statements when their connection is closed.
    wait_until(&pool, &count("n_tup_upd"), |updates| updates >= TOUCHES * 99 / 100).await;
    let (hot, all) = (number(&pool, &count("n_tup_hot_upd")).await, number(&pool, &count("n_tup_upd")).await);
    println!("{hot} of {all} touches are HOT");
    assert!(hot * 100 > all * 95, "{hot} of {all}");
}

/// A connection caches a plan until the table is analyzed. A plan made while the table was empty does not scan all of
/// it later.
#[tokio::test]
async fn plans_of_an_empty_table_read_only_what_they_need() {
    let database = database().await;
    let own = pool(1, &database);
    let store = store(&own).await;
    execute(&own, "ALTER TABLE shop.session SET (autovacuum_enabled = off)").await;
    let call_all = async |times| {
        for _ in 0..times {
            // A whole page, and the count, read more.
            let _ = store.list_all(None, NonZeroU32::MIN, NOW).await.unwrap();
            for call in Call::ALL.into_iter().filter(|call| !matches!(call, Call::ListAll | Call::Count)) {
                let sessions = Sessions::store(&store).await;
                assert_eq!(sessions.call(&store, call).await.unwrap(), call.answers()[0], "{call:?}");
            }
        }
    };
    // Vacuumed while it was empty: for the planner it has no pages. Often enough for a generic plan.
    call_all(1).await;
    execute(&own, "DELETE FROM shop.session").await;
    execute(&own, "VACUUM ANALYZE shop.session").await;
    for _ in 0..12 {
        let (absent, nobody) = (record(None, NOW), user("nobody"));
        assert!(store.load(&absent.id(), Freshness::Latest).await.unwrap().is_none());
        assert_eq!(store.touch(&absent.id(), None, NOW).await.unwrap(), TouchOutcome::Absent);
        assert_eq!(store.delete(&absent.id(), None).await.unwrap(), DeleteOutcome::Absent);
        assert!(store.list_by_user(&nobody, NOW).await.unwrap().sessions.is_empty());
        assert!(store.delete_by_user(&nobody, None, NOW).await.unwrap().ids().is_empty());
        let absent: Vec<_> = (0..8).map(|_| record(None, NOW)).collect();
        let mut loads = JoinSet::new();
        for absent in absent {
            let store = store.clone();
            loads.spawn(async move { assert!(store.load(&absent.id(), Freshness::Latest).await.unwrap().is_none()) });
        }
        loads.join_all().await;
    }
    call_all(10).await;
    execute(
        &own,
        "DELETE FROM shop.session
             WHERE id <> (SELECT id FROM shop.session WHERE user_id IS NOT NULL LIMIT 1);
         INSERT INTO shop.session SELECT created_at, last_seen, idle_ms, absolute_ms, sweep_at,
             lpad(to_hex(n), 32, '0')::uuid, version, user_id || int4send(n), body, data
         FROM shop.session, generate_series(1, 20000) AS n",
    )
    .await;
    let other = pool(1, &database);
    let reads = "SELECT (idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_user_tables WHERE relname = 'session'";
    let inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'session'";
    // A backend publishes its statistics once a second, with its next statement.
    wait_until(&own, inserted, |inserted| inserted > 20_000).await;
    let before = number(&other, reads).await;
    call_all(1).await;
    own.close().await;
    wait_until(&other, OTHERS, |others| others == 0).await;
    let read = number(&other, reads).await - before;
    println!("{read} rows were read");
    assert!(read < 5_000, "{read} rows were read");
}

/// Lists leave the values on the server: long ones, which are stored apart, are not even read there.
#[tokio::test]
async fn lists_do_not_read_values() {
    const SESSIONS: usize = 100;
    let database = database().await;
    let (own, other) = (pool(2, &database), pool(1, &database));
    let (store, alice) = (store(&own).await, user("alice"));
    execute(&own, "ALTER TABLE shop.session SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)").await;
    let (mut value, mut last) = (vec![0; 64 << 10], record(Some(&alice), NOW));
    for _ in 0..SESSIONS {
        last = record(Some(&alice), NOW);
        // Not compressible.
        OsEntropy.fill(&mut value).unwrap();
        last.data.insert("value".into(), value.clone().into());
        insert(&store, &last).await;
    }
    own.close().await;
    let read_by = async |call: &str| {
        // A backend publishes its statistics when it ends.
        wait_until(&other, OTHERS, |others| others == 0).await;
        let blocks = "SELECT (toast_blks_read + toast_blks_hit)::bigint FROM pg_statio_user_tables
            WHERE schemaname = 'shop' AND relname = 'session'";
        let before = number(&other, blocks).await;
        let own = pool(2, &database);
        let store = crate::common::store(&own).await;
        match call {
            "load" => assert!(store.load(&last.id(), Freshness::Latest).await.unwrap().is_some()),
            "list_by_user" => assert_eq!(store.list_by_user(&alice, NOW).await.unwrap().sessions.len(), SESSIONS),
            _ => {
                let page = store.list_all(None, NonZeroU32::MAX, NOW).await.unwrap();
                assert_eq!(page.listing.sessions.len(), SESSIONS);
            }
        }
        own.close().await;
        wait_until(&other, OTHERS, |others| others == 0).await;
        number(&other, blocks).await - before
    };
    // What one value takes, so that this can fail.
    assert!(read_by("load").await >= 8);
    for call in ["list_by_user", "list_all"] {
        assert_eq!(read_by(call).await, 0, "{call}");
    }
}

/// A corrupt record is an error, and is left as it is.
#[tokio::test]
async fn corrupt_record() {
    let database = database().await;
    let pool = pool(2, &database);
    let store = store(&pool).await;
    let alice = user("alice");
    let (record, other) = (record(Some(&alice), NOW), record(Some(&alice), NOW));
    insert(&store, &record).await;
    for corruption in ["'\\x'", "'\\x01'", "set_byte(body, 0, 9)", "substring(body FOR 20)"] {
        execute(&pool, &format!("UPDATE shop.session SET body = {corruption}")).await;
        let loaded = store.load(&record.id(), Freshness::Latest).await.unwrap_err();
        assert_eq!(loaded.kind(), StoreErrorKind::Corrupt, "{corruption}: {loaded}");
        let listing = store.list_by_user(&alice, NOW).await.unwrap();
        assert!(listing.sessions.is_empty() && listing.unreadable == [record.id()], "{corruption}");
        let page = store.list_all(None, NonZeroU32::MAX, NOW).await.unwrap().listing;
        assert!(page.sessions.is_empty() && page.unreadable == [record.id()], "{corruption}");
        assert_eq!(number(&pool, &format!("SELECT count(*) FROM shop.session WHERE body = {corruption}")).await, 1);
    }
    assert_eq!(store.delete(&record.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    insert(&store, &other).await;
    execute(&pool, "UPDATE shop.session SET body = '\\x01'").await;
    let ended = store.delete_by_user(&alice, None, NOW).await.unwrap();
    assert!(ended.sessions.is_empty() && ended.unreadable == [other.id()]);
}

/// Nothing of the session is in an error or its source, even if the server's message quotes it.
#[tokio::test]
async fn errors_show_no_parameters() {
    let database = database().await;
    let pool = pool(2, &database);
    let store = store(&pool).await;
    let alice = user("alice-the-secret");
    let stored = record(Some(&alice), NOW);
    insert(&store, &stored).await;
    execute(
        &pool,
        "CREATE FUNCTION quote() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'user % id %', encode(NEW.user_id, 'escape'), NEW.id
             USING DETAIL = replace(NEW.id::text, '-', '');
         END $$;
         CREATE TRIGGER quote BEFORE INSERT OR UPDATE ON shop.session FOR EACH ROW EXECUTE FUNCTION quote()",
    )
    .await;
    let new = record(Some(&alice), NOW);
    let errors = [
        store.create(CreateRequest::new(&new), NOW).await.unwrap_err(),
        store.update(&changed(&stored, "x"), stored.version, NOW).await.unwrap_err(),
        store.touch(&stored.id(), Some(&alice), NOW).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Other);
        let source = error.source().expect("the code is kept");
        let shown = format!("{error} {error:?} {source} {source:?}");
        assert!(source.source().is_none() && shown.contains("P0001"), "{shown}");
        let hex: String = new.id().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        for secret in ["secret", &hex, &new.id().to_string()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// 120 000 sessions: the count is what the statistics say, or as far as it was counted; and each is on one page.
#[tokio::test]
async fn of_many_sessions_the_count_is_an_estimate() {
    const SESSIONS: usize = 120_000;
    let pool = pool(2, &database().await);
    let store = store(&pool).await;
    insert(&store, &record(None, NOW)).await;
    assert_eq!(store.count(NOW).await.unwrap(), Count::exact(1));
    execute(&pool, "ALTER TABLE shop.session SET (autovacuum_enabled = off)").await;
    execute(
        &pool,
        "INSERT INTO shop.session SELECT created_at, last_seen, idle_ms, absolute_ms, sweep_at,
             lpad(to_hex(n), 32, '0')::uuid, version, user_id, body, data
         FROM shop.session, generate_series(1, 119999) AS n",
    )
    .await;
    // Nothing is known yet, which is -1, or 0 before PostgreSQL 14.
    for unknown in [-1, 0] {
        execute(&pool, &format!("UPDATE pg_class SET reltuples = {unknown} WHERE oid = 'shop.session'::regclass"))
            .await;
        assert_eq!(store.count(NOW).await.unwrap(), Count::estimated(100_001));
    }
    execute(&pool, "ANALYZE shop.session").await;
    let count = store.count(NOW).await.unwrap();
    assert!(!count.is_exact && (110_000..130_000).contains(&count.sessions), "{count:?}");
    let (mut pages, mut seen, mut cursor) = (0, BTreeSet::new(), None);
    loop {
        let page = store.list_all(cursor.as_ref(), NonZeroU32::MAX, NOW).await.unwrap();
        seen.extend(page.listing.sessions.iter().map(|session| session.id));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    // The last one is empty: the one before was full.
    assert_eq!((seen.len(), pages), (SESSIONS, 13));
}

/// No time and no timeout is too far away.
#[tokio::test]
async fn extreme_times() {
    let database = database().await;
    let pool = pool(2, &database);
    let store = store(&pool).await;
    for (idle, absolute) in [(Duration::MAX, Duration::MAX), (MINUTE, Duration::MAX), (Duration::MAX, MINUTE)] {
        let mut eternal = record(None, NOW);
        eternal.summary.timeouts = Timeouts { idle, absolute };
        insert(&store, &eternal).await;
        for now in [Timestamp::from_millis(i64::MIN), Timestamp::EPOCH, NOW, Timestamp::MAX] {
            let expected = if eternal.is_expired(now) { TouchOutcome::Absent } else { TouchOutcome::Applied };
            assert_eq!(store.touch(&eternal.id(), None, now).await.unwrap(), expected, "{eternal:?} at {now:?}");
        }
        let deleted = store.delete_expired(NOW + 2 * MINUTE, NonZeroU32::MAX).await.unwrap();
        assert_eq!(deleted, u64::from(idle.min(absolute) == MINUTE));
        let _ = store.delete_expired(Timestamp::MAX, NonZeroU32::MAX).await.unwrap();
        assert!(store.load(&eternal.id(), Freshness::Latest).await.unwrap().is_none());
    }
    // Last seen at the latest time that a record can hold, and at the latest one that the column can: postponed, no
    // error.
    let mut eternal = record(None, NOW);
    eternal.summary.timeouts.absolute = Duration::MAX;
    eternal.summary.last_seen = Timestamp::from_millis((1 << 47) - 1);
    let _ = store.create(CreateRequest::new(&eternal), NOW).await.unwrap();
    for last_seen in ["last_seen", "9223372036854775807"] {
        execute(&pool, &format!("UPDATE shop.session SET last_seen = {last_seen}, sweep_at = 0")).await;
        assert_eq!(store.delete_expired(NOW, NonZeroU32::MAX).await.unwrap(), 0);
        assert_eq!(number(&pool, "SELECT count(*) FROM shop.session WHERE sweep_at > 0").await, 1);
    }
}

/// What a session with 177 bytes of data (236 of JSON) occupies, with all indexes, on pages in use.
#[tokio::test]
async fn a_session_takes_at_most_450_bytes() {
    const SESSIONS: i64 = 50_000;
    let pool = pool(2, &database().await);
    let store = store(&pool).await;
    let mut record = record(Some(&user("user")), NOW);
    for (name, len) in [("cart", 50), ("last_viewed", 21), ("profile", 77), ("visits", 1)] {
        record.data.insert(name.into(), vec![b'x'; len].into());
    }
    insert(&store, &record).await;
    execute(
        &pool,
        &format!(
            "INSERT INTO shop.session SELECT created_at, last_seen + n, idle_ms, absolute_ms, sweep_at + n / 1000,
                 md5(n::text)::uuid, version, convert_to('user-' || 100000 + n, 'UTF8'), body, data
             FROM shop.session, generate_series(2, {SESSIONS}) AS n"
        ),
    )
    .await;
    let bytes = number(&pool, "SELECT pg_table_size('shop.session')").await / SESSIONS;
    let indexes = number(&pool, "SELECT pg_indexes_size('shop.session')").await / SESSIONS;
    println!("{bytes} + {indexes} bytes per session");
    assert!(bytes + indexes <= 450, "{bytes} + {indexes}");
}

/// The row of the session that a login replaces becomes that of the new one, all of it.
#[tokio::test]
async fn a_login_takes_the_row_of_the_visitor_it_replaces() {
    let pool = pool(4, &database().await);
    let store = store(&pool).await;
    let (limit, mut visitor) = (VisitorLimit::new(10).unwrap(), record(None, NOW));
    visitor.summary.id = limit.generate_id(&OsEntropy).unwrap();
    assert_eq!(store.create(CreateRequest::new(&visitor).among(limit), NOW).await.unwrap(), created());
    let visitors = "SELECT count(*) FROM shop.session WHERE is_visitor";
    assert_eq!(number(&pool, visitors).await, 1);

    // Its id is in use: nothing happens, neither to that session nor to the visitor's.
    let taken = record(Some(&user("alice")), NOW);
    insert(&store, &taken).await;
    let late = next(&taken);
    assert_eq!(store.create(replacing(&late, &visitor), NOW).await.unwrap(), CreateOutcome::IdTaken);
    assert_eq!(load(&store, &taken.id()).await.unwrap().version, taken.version);
    assert!(load(&store, &visitor.id()).await.is_some());

    let login = record(Some(&user("alice")), NOW);
    assert_eq!(store.create(replacing(&login, &visitor), NOW).await.unwrap(), created());
    assert_eq!(store.create(replacing(&login, &visitor), NOW).await.unwrap(), created(), "repeated");
    assert!(load(&store, &visitor.id()).await.is_none());
    let stored = load(&store, &login.id()).await.unwrap();
    assert_eq!((stored.version, stored.user()), (login.version, login.user()));
    assert_eq!(number(&pool, visitors).await, 0);
    assert_eq!(number(&pool, "SELECT count(*) FROM shop.session").await, 2);
}
