//! Many nodes at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Record, Replacement, SessionStore, UpdateOutcome};
use session_core::{LimitPolicy, UserId};
use session_postgres::PostgresStore;
use session_testbed::records::{NOW, insert, limit, load, record, replacing, user};
use tokio::task::JoinSet;

use crate::common::{OTHERS, WAITING, changed, database, execute, nodes, number, pool, wait_until};

/// Which session of `user`, if there are so many.
async fn nth_session(store: &PostgresStore, user: &UserId, n: usize) -> Option<Record> {
    let sessions = store.list_by_user(user, NOW).await.unwrap().sessions;
    load(store, &sessions.get(n)?.id).await
}

/// "Log out everywhere" concurrent with a login: the session that replaced an older one must not survive.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revocation_catches_successors() {
    let database = database().await;
    let nodes = nodes(&database, 2).await;
    for turn in 0..100 {
        let alice = user(&format!("alice {turn}"));
        let old = record(Some(&alice), NOW);
        insert(&nodes[0], &old).await;
        let new = record(Some(&alice), NOW);
        let (created, revoked) =
            tokio::join!(nodes[0].create(replacing(&new, &old), NOW), nodes[1].delete_by_user(&alice, None, NOW),);
        let (created, revoked) = (created.unwrap(), revoked.unwrap());
        assert_eq!(nodes[0].list_by_user(&alice, NOW).await.unwrap().sessions.len(), 0, "{created:?}");
        let expected = if matches!(created, CreateOutcome::Created { .. }) { new.id() } else { old.id() };
        assert_eq!(revoked.ids(), [expected]);
    }
}

/// Nodes of the release before call `create_session`. The limit holds for all of them at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_holds_across_releases() {
    let database = database().await;
    let (nodes, pool) = (nodes(&database, 2).await, pool(8, &database));
    for turn in 0..30 {
        let alice = user(&format!("alice {turn}"));
        let hex: String = alice.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut logins = JoinSet::new();
        for n in 0..8 {
            let session = record(Some(&alice), NOW);
            let (id, now) = (sqlx::types::Uuid::from_bytes(*session.id().as_bytes()), NOW.as_millis());
            let (store, pool) = (nodes[n % 2].clone(), pool.clone());
            let before = format!(
                "SELECT outcome FROM shop.create_session({now}, {now}, 1800000, 28800000, 0, '{id}', '\\x00', '\\x{hex}', \
                 '\\x00', '\\x00', NULL, NULL, NULL, 3, 'evict_oldest', {now})"
            );
            logins.spawn(async move {
                if n < 4 {
                    execute(&pool, &before).await;
                } else {
                    let login = CreateRequest::new(&session).within(limit(3, LimitPolicy::EvictOldest));
                    let created = store.create(login, NOW).await.unwrap();
                    assert!(matches!(created, CreateOutcome::Created { .. }));
                }
            });
        }
        logins.join_all().await;
        let live = format!("SELECT count(*) FROM shop.session WHERE user_id = '\\x{hex}'");
        assert_eq!(number(&pool, &live).await, 3);
    }
}

/// An update that lost against a deletion is `Absent`; with `Conflict`, from a stale snapshot, core would retry in
/// vain.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn update_after_deletion_is_absent() {
    let database = database().await;
    let nodes = nodes(&database, 1).await;
    let pool = pool(2, &database);
    let base = record(None, NOW);
    insert(&nodes[0], &base).await;
    // A transaction has deleted the row and not committed yet; the update waits for it.
    let mut other = pool.begin().await.unwrap();
    sqlx::query("DELETE FROM shop.session WHERE id = $1")
        .bind(sqlx::types::Uuid::from_bytes(*base.id().as_bytes()))
        .execute(&mut *other)
        .await
        .unwrap();
    let store = nodes[0].clone();
    let waiting = tokio::spawn(async move { store.update(&changed(&base, "x"), base.version, NOW).await.unwrap() });
    wait_until(&pool, WAITING, |waiting| waiting == 1).await;
    other.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), UpdateOutcome::Absent);
}

/// Batches of updates, logins of users that take turns on the same browsers, which replace a session of another user
/// and evict, revocations of all sessions, and clean-up, on the same sessions from two nodes: no call fails, no limit
/// is exceeded, and the server finds no deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_is_the_victim_of_a_deadlock() {
    const USERS: usize = 6;
    let database = database().await;
    let nodes = Arc::new(nodes(&database, 2).await);
    let mut tasks = JoinSet::new();
    for task in 0..64_usize {
        let nodes = Arc::clone(&nodes);
        tasks.spawn(async move {
            let store = &nodes[task % 2];
            let (mut applied, mut created) = (0, 0);
            for turn in 0..25 {
                let alice = user(&format!("user {}", (task + turn) % USERS));
                let sessions = store.list_by_user(&alice, NOW).await.unwrap().sessions;
                let mut updates = JoinSet::new();
                for summary in sessions.into_iter().rev() {
                    let store = store.clone();
                    updates.spawn(async move {
                        let Some(stored) = load(&store, &summary.id).await else { return false };
                        let change = changed(&stored, format!("{task} {turn}"));
                        store.update(&change, stored.version, NOW).await.unwrap() == UpdateOutcome::Applied
                    });
                }
                if (task + turn) % 16 == 0 {
                    let _ = store.delete_by_user(&alice, None, NOW).await.unwrap();
                    let _ = store.delete_expired(NOW, NonZeroU32::new(50).unwrap()).await.unwrap();
                } else {
                    let other = user(&format!("user {}", (task * 5 + turn) % USERS));
                    let mut new = record(Some(&alice), NOW);
                    if turn % 5 == 0 {
                        // Due soon.
                        new.summary.timeouts.idle = Duration::from_millis(1);
                    }
                    let old = nth_session(store, &other, turn % 4).await;
                    let replaces = old.as_ref().map(Replacement::of);
                    let limit = Some(limit(6, LimitPolicy::EvictOldest));
                    match store
                        .create(CreateRequest { record: &new, replaces, limit, visitors: None }, NOW)
                        .await
                        .unwrap()
                    {
                        CreateOutcome::Created { .. } => created += 1,
                        CreateOutcome::ReplacedAbsent | CreateOutcome::ReplacedChanged => {}
                        other @ (CreateOutcome::IdTaken | CreateOutcome::LimitReached) => panic!("{other:?}"),
                    }
                }
                applied += updates.join_all().await.into_iter().filter(|applied| *applied).count();
            }
            (applied, created)
        });
    }
    let outcomes = tasks.join_all().await;
    let applied: usize = outcomes.iter().map(|(applied, _)| applied).sum();
    let created: usize = outcomes.iter().map(|(_, created)| created).sum();
    assert!(applied > 300 && created > 300, "only {applied} updates and {created} logins got through");
    for n in 0..USERS {
        assert!(nodes[0].list_by_user(&user(&format!("user {n}")), NOW).await.unwrap().sessions.len() <= 6);
    }
    // Statistics are published once a second, those of the last statements when their connection is closed.
    drop(nodes);
    let pool = pool(1, &database);
    wait_until(&pool, OTHERS, |others| others == 0).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(number(&pool, deadlocks).await, 0);
}
