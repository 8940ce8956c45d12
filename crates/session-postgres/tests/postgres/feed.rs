//! What the server tells of changes, and what happens when it cannot.

use std::collections::HashSet;
use std::time::Duration;

use session_core::SessionId;
use session_core::store::{CreateRequest, Feed as _, FeedEvent, FollowError, FollowedFeed, SessionStore};
use session_postgres::{Pooler, PostgresStore};
use session_testbed::Log;
use session_testbed::feeds::{BEAT, assert_every_change_is_told, changed, ended, lost, told};
use session_testbed::records::{NOW, insert, record, shop, user};
use session_testbed::servers::{PgBouncer, Postgres, namespace};
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, PgPool, Row as _, raw_sql};
use tokio::task::JoinSet;

use crate::common::{database, execute, insert_many, number, options, own_server, pool, server, store};

/// A store that publishes.
async fn publishing(pool: &PgPool) -> PostgresStore {
    let store = PostgresStore::builder(pool.clone(), shop()).publish_changes().build();
    store.migrate().await.unwrap();
    store
}

/// And what follows it already.
async fn following(options: &PgConnectOptions) -> (PostgresStore, FollowedFeed) {
    let store = publishing(&pool(8, options)).await;
    let mut feed = store.feed().unwrap();
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost], "what was read before may be outdated");
    (store, feed)
}

fn deleting(id: SessionId) -> String {
    format!("DELETE FROM shop.session WHERE id = '{}'", Uuid::from_bytes(*id.as_bytes()))
}

#[tokio::test]
async fn every_change_is_told() {
    let (store, mut feed) = following(&database().await).await;
    assert_every_change_is_told(&store, &mut feed).await;
}

/// A node that dies after its commit, one that does not publish, an administrator: none of them notifies.
#[tokio::test]
async fn changes_are_told_whoever_makes_them() {
    let options = database().await;
    let (_, mut feed) = following(&options).await;
    let other = pool(4, &options);
    let silent = store(&other).await;
    assert_eq!(silent.feed().unwrap_err(), FollowError::NotPublished);
    let session = record(Some(&user("alice")), NOW);
    insert(&silent, &session).await;
    assert_eq!(told(&mut feed).await, [changed(&session)]);
    execute(&other, &format!("BEGIN; {}; ROLLBACK", deleting(session.id()))).await;
    assert_eq!(told(&mut feed).await, []);
    execute(&other, "UPDATE shop.session SET absolute_ms = 0").await;
    assert_eq!(told(&mut feed).await, [FeedEvent::Changed { id: session.id(), version: None }]);
    execute(&other, &deleting(session.id())).await;
    assert_eq!(told(&mut feed).await, [ended(session.id())]);
    for truncated in ["session", "session_change"] {
        execute(&other, &format!("TRUNCATE shop.{truncated}")).await;
        assert_eq!(told(&mut feed).await, [FeedEvent::Lost], "{truncated}");
    }
    insert(&silent, &session).await;
    assert_eq!(told(&mut feed).await, [changed(&session)]);
}

/// Transactions are not committed in the order in which they began, nor in that of their ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_is_missed_however_transactions_overlap() {
    let options = database().await;
    let (store, mut feed) = following(&options).await;
    let pool = pool(8, &options);
    let mut ids: HashSet<SessionId> = insert_many(&store, 400).await.iter().map(|record| record.id()).collect();
    let (mut work, all) = (JoinSet::new(), Vec::from_iter(ids.iter().copied()));
    for (writer, mine) in all.chunks(50).enumerate() {
        let (mine, pool) = (mine.to_vec(), pool.clone());
        work.spawn(async move {
            for (turn, id) in mine.into_iter().enumerate() {
                // Of one to nineteen milliseconds, before and after; some in a transaction within the transaction.
                let (before, after) = ((turn * 7 + writer) % 10, (turn * 3 + writer * 5) % 10);
                let (savepoint, release) =
                    if turn % 3 == 0 { ("SAVEPOINT a;", "; RELEASE SAVEPOINT a") } else { ("", "") };
                let delete = deleting(id);
                execute(
                    &pool,
                    &format!(
                        "BEGIN; SELECT txid_current(), pg_sleep(0.00{before}); {savepoint} {delete} {release}; \
                         SELECT pg_sleep(0.00{after}); COMMIT"
                    ),
                )
                .await;
            }
        });
    }
    let mut is_over = false;
    while !is_over {
        // What is told after the last commit is told up to there.
        is_over = work.is_empty();
        for event in told(&mut feed).await {
            if let FeedEvent::Ended { id } = event {
                ids.remove(&id);
            }
        }
        while let Some(written) = work.try_join_next() {
            written.unwrap();
        }
    }
    assert!(ids.is_empty(), "{} of 400 were not told", ids.len());
}

/// What `changes_since` answers.
#[derive(Debug)]
struct Answer {
    until: String,
    incarnation: Uuid,
    /// `None` if it is not whole.
    ids: Option<Vec<Uuid>>,
}

async fn changes_since(pool: &PgPool, known: &Answer) -> Answer {
    let (until, incarnation) = (&known.until, known.incarnation);
    let sql = format!("SELECT * FROM shop.changes_since('{until}', '{incarnation}', 1000)");
    let row = raw_sql(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap();
    let ids = row.try_get::<Option<Vec<Uuid>>, _>("ids").unwrap().unwrap_or_default();
    let is_whole: bool = row.try_get("is_whole").unwrap();
    Answer { until: row.get("until"), incarnation: row.get("incarnation"), ids: is_whole.then_some(ids) }
}

#[tokio::test]
async fn what_was_forgotten_is_not_taken_for_nothing() {
    let options = database().await;
    let (store, pool) = (publishing(&pool(4, &options)).await, pool(4, &options));
    // As on a server that took the place of another, and has lost what that one did last.
    let unknown = Answer { until: "999999999:999999999:".to_owned(), incarnation: Uuid::nil(), ids: None };
    let begin = changes_since(&pool, &unknown).await;
    assert_eq!(begin.ids, None, "of another incarnation");
    let sessions = insert_many(&store, 4).await;
    // Still under way.
    let mut slow = pool.begin().await.unwrap();
    raw_sql(AssertSqlSafe(deleting(sessions[0].id()))).execute(&mut *slow).await.unwrap();
    let before = changes_since(&pool, &begin).await;
    assert_eq!(before.ids.as_ref().map(Vec::len), Some(4));
    assert_eq!(changes_since(&pool, &before).await.ids, Some(vec![]));

    // Two minutes later: what was there a minute ago is deleted.
    let minute = "UPDATE shop.session_feed SET next_at = next_at - interval '61 seconds'";
    for _ in 0..2 {
        execute(&pool, &format!("{minute}; SELECT shop.forget_changes(2), shop.forget_changes(1000)")).await;
    }
    assert_eq!(number(&pool, "SELECT count(*) FROM shop.session_change").await, 0);
    assert_eq!(changes_since(&pool, &begin).await.ids, None, "they may have been deleted");
    let recent = changes_since(&pool, &before).await;

    // It was committed after them, and is not among them.
    slow.commit().await.unwrap();
    execute(&pool, &format!("{minute}; SELECT shop.forget_changes(1000)")).await;
    let deleted = Uuid::from_bytes(*sessions[0].id().as_bytes());
    assert_eq!(changes_since(&pool, &recent).await.ids, Some(vec![deleted]));
    execute(&pool, &format!("{minute}; SELECT shop.forget_changes(1000)")).await;
    assert_eq!(changes_since(&pool, &recent).await.ids, None, "that of the slow transaction may have been deleted");
    // Whoever deletes expired sessions deletes them, too, if it has no more rights than that.
    insert_many(&store, 3).await;
    execute(&pool, &format!("{minute}; SELECT shop.forget_changes(1000); {minute}")).await;
    store.delete_expired(NOW, std::num::NonZeroU32::MIN).await.unwrap();
    assert_eq!(number(&pool, "SELECT count(*) FROM shop.session_change").await, 0);
}

/// After a crash or a restart there may have been changes that nobody knows of. Where only connections are lost, no change is.
#[tokio::test]
async fn an_outage_is_followed_by_what_happened_in_it() {
    let own = Postgres::launch(&[Postgres::FSYNC_OFF, ("max_prepared_transactions", "2")]).await.unwrap();
    let (store, mut feed) = following(&options(&own)).await;
    for crash in ["no", "of a process of the server", "of the server"] {
        let (other, session) = (pool(1, &options(&own)), record(Some(&user("alice")), NOW));
        if crash != "no" {
            insert(&store, &session).await;
            execute(&other, &format!("BEGIN; {}; PREPARE TRANSACTION 'slow'", deleting(session.id()))).await;
            match crash {
                "of the server" => {
                    own.stop().await.unwrap();
                    own.start().await.unwrap();
                }
                _ => {
                    // The others end too, and the server goes on after a recovery, with what was logged.
                    let pid = number(&other, "SELECT pg_backend_pid()::bigint").await;
                    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
                    assert!(killed.success());
                }
            }
            lost(&mut feed).await;
            let _ = told(&mut feed).await;
            execute(&pool(1, &options(&own)), "COMMIT PREPARED 'slow'").await;
            // What it had noted is lost, or not.
            let of_prepared = told(&mut feed).await;
            assert!([vec![FeedEvent::Lost], vec![ended(session.id())]].contains(&of_prepared), "{of_prepared:?}");
        }
        let (other, session) = (pool(1, &options(&own)), record(Some(&user("alice")), NOW));
        while store.create(CreateRequest::new(&session), NOW).await.is_err() {}
        assert_eq!(told(&mut feed).await, [changed(&session)], "crash: {crash}");
        let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
                         AND backend_type = 'client backend'";
        execute(&other, &format!("BEGIN; {}; {terminate}; COMMIT", deleting(session.id()))).await;
        assert_eq!(told(&mut feed).await, [ended(session.id())], "crash: {crash}");
    }
}

/// A dump has the notes, and those of another server are of other transactions.
#[tokio::test]
async fn what_was_restored_begins_anew() {
    let options = database().await;
    let (store, mut feed) = following(&options).await;
    let pool = pool(1, &options);
    insert_many(&store, 2).await;
    assert_eq!(told(&mut feed).await.len(), 2);
    execute(
        &pool,
        "UPDATE shop.session_feed SET server = '1/20200101000000.000000'; \
         INSERT INTO shop.session_change SELECT txid_current() + 1000000 + n, gen.id FROM generate_series(1, 1000) AS n, \
         (SELECT id FROM shop.session LIMIT 1) AS gen",
    )
    .await;
    lost(&mut feed).await;
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert_eq!(told(&mut feed).await, [changed(&session)]);
}

/// A standby knows nothing of notes, which are not logged, and its transactions have numbers that the feed saw before.
#[tokio::test]
async fn a_promoted_standby_begins_anew() {
    let own = own_server().await;
    let (store, mut feed) = following(&options(&own)).await;
    insert_many(&store, 3).await;
    let admin = pool(1, &options(&own));
    let copy = own.folder().join("standby");
    let program = own.tool("pg_basebackup");
    let backup = format!(
        "COPY (SELECT) TO PROGRAM '{} --pgdata {} --write-recovery-conf --checkpoint fast --no-sync --host 127.0.0.1 \
         --port {} --username postgres'",
        program.get_program().display(),
        copy.display(),
        own.port(),
    );
    execute(&admin, &backup).await;
    insert_many(&store, 100).await;
    let _ = told(&mut feed).await;
    own.stop().await.unwrap();
    std::fs::rename(own.folder().join("data"), own.folder().join("former")).unwrap();
    std::fs::rename(copy, own.folder().join("data")).unwrap();
    own.start().await.unwrap();
    let admin = pool(1, &options(&own));
    execute(&admin, "SELECT pg_promote()").await;
    let session = record(None, NOW);
    while store.create(CreateRequest::new(&session), NOW).await.is_err() {}
    lost(&mut feed).await;
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert!(told(&mut feed).await.contains(&changed(&session)));
}

/// Each is one note of many, and an answer holds only so many.
#[tokio::test]
async fn more_than_an_answer_holds_is_lost() {
    let options = database().await;
    let (store, mut feed) = following(&options).await;
    let session = insert_many(&store, 2).await.remove(1);
    assert_eq!(told(&mut feed).await.len(), 2);
    execute(
        &pool(1, &options),
        &format!(
            "BEGIN; INSERT INTO shop.session_change (id, version) SELECT id, version FROM generate_series(1, 70000), \
             (SELECT id, version FROM shop.session LIMIT 1) AS one; {}; COMMIT",
            deleting(session.id())
        ),
    )
    .await;
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost]);
}

#[tokio::test]
async fn what_nobody_notes_is_not_vouched_for() {
    let options = database().await;
    let (store, mut feed) = following(&options).await;
    let pool = pool(2, &options);
    let (log, _guard) = Log::keep();
    execute(&pool, "SELECT shop.note_changes(false); SELECT shop.note_changes(true)").await;
    lost(&mut feed).await;
    let _ = told(&mut feed).await;
    execute(&pool, "ALTER TABLE shop.session DISABLE TRIGGER note_change").await;
    insert(&store, &record(None, NOW)).await;
    let (mut beats, mut text) = (0, String::new());
    while !text.contains("changes are not noted") {
        match tokio::time::timeout(Duration::from_millis(50), feed.next(BEAT)).await {
            Ok(event) => assert!(matches!(event, FeedEvent::Beat { .. }), "{event:?}"),
            Err(_) => beats += 1,
        }
        assert!(beats < 600, "nothing is logged");
        text += &log.take().join("\n");
    }
    // Whoever publishes sees to it.
    publishing(&pool).await;
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost]);
    insert(&store, &record(None, NOW)).await;
    assert_eq!(told(&mut feed).await.len(), 1);
}

/// To write, a role needs the same privileges as ever; to follow, those that are documented.
#[tokio::test]
async fn a_role_that_owns_nothing() {
    let (database, role) = (database().await, namespace());
    let admin = pool(1, &database);
    publishing(&admin).await;
    execute(
        &admin,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA shop TO {role};
             GRANT SELECT ON shop.migration TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON shop.session TO {role}"
        ),
    )
    .await;
    let store = publishing(&pool(4, &database.username(role.as_str()))).await;
    insert(&store, &record(None, NOW)).await;
    store.delete_expired(NOW, std::num::NonZeroU32::MIN).await.unwrap();
    let (log, _guard) = Log::keep();
    let mut feed = store.feed().unwrap();
    let mut text = String::new();
    while !text.contains("permission denied") {
        tokio::time::sleep(Duration::from_millis(5)).await;
        text += &log.take().join("\n");
    }
    execute(&admin, &format!("GRANT SELECT ON shop.session_change, shop.session_feed TO {role}")).await;
    assert_eq!(told(&mut feed).await, [FeedEvent::Lost]);
    let session = record(None, NOW);
    insert(&store, &session).await;
    assert_eq!(told(&mut feed).await, [changed(&session)]);
}

/// They would hear of it with the next beat at the latest.
#[tokio::test]
async fn who_follows_is_notified() {
    let options = database().await;
    let store = publishing(&pool(4, &options)).await;
    let mut listener = PgListener::connect_with(&pool(1, &options)).await.unwrap();
    listener.listen("shop").await.unwrap();
    let session = record(Some(&user("alice")), NOW);
    insert(&store, &session).await;
    listener.recv().await.unwrap();
    let _ = store.delete(&session.id(), session.user()).await.unwrap();
    listener.recv().await.unwrap();
    // Beats are far away.
    let mut feed = store.feed().unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(feed.next(hour).await, FeedEvent::Lost);
    while !matches!(feed.next(hour).await, FeedEvent::Beat { .. }) {}
    while number(&pool(1, &options), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'").await == 0 {}
    insert(&store, &session).await;
    while feed.next(hour).await != changed(&session) {}
}

/// PgBouncer gives the connection that listens to others, who would not understand what they hear.
#[tokio::test]
async fn behind_a_pooler_in_transaction_mode_nobody_listens() {
    for pooler in [Pooler::Transaction, Pooler::Transparent] {
        // With one connection to the server, its statements are all prepared where they are executed.
        let settings = [("ignore_startup_parameters", "extra_float_digits"), ("default_pool_size", "1")];
        let bouncer = PgBouncer::launch(server().await, &settings).await.unwrap();
        let (behind, options): (_, PgConnectOptions) = (database().await, bouncer.url().parse().unwrap());
        let options = options.database(behind.get_database().unwrap());
        let pool = pool(8, &options);
        let store = PostgresStore::builder(pool.clone(), shop()).publish_changes().pooler(pooler).build();
        store.migrate().await.unwrap();
        let (log, _guard) = Log::keep();
        let mut feed = store.feed().unwrap();
        let mut text = String::new();
        while !text.contains("pooler in transaction mode") {
            let _ = told(&mut feed).await;
            text += &log.take().join("\n");
        }
        let session = record(None, NOW);
        insert(&store, &session).await;
        assert_eq!(told(&mut feed).await, [changed(&session)]);
        assert_eq!(number(&pool, "SELECT count(*) FROM pg_listening_channels()").await, 0);
    }
}
