//! Many nodes at once.

use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, UpdateOutcome};
use session_core::{LimitPolicy, SessionLimit, UserId};
use session_postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::common::{NOW, OTHERS, WAITING, changed, database, insert, nodes, number, pool, record, user, wait_until};

fn limit(max: u32, at_limit: LimitPolicy) -> SessionLimit {
    SessionLimit { max: NonZeroU32::new(max).unwrap(), at_limit }
}

/// Which session of `user`, if there are so many.
async fn nth_session(store: &PostgresStore, user: &UserId, n: usize) -> Option<Record> {
    let sessions = store.list_by_user(user, NOW).await.unwrap();
    store.load(&sessions.get(n)?.id, Freshness::Latest).await.unwrap()
}

/// A login that replaces `old`.
async fn replace(store: &PostgresStore, old: Option<&Record>, new: &Record, limit: SessionLimit) -> CreateOutcome {
    let request = CreateRequest { record: new, replaces: old.map(Replacement::of), limit: Some(limit) };
    store.create(request, NOW).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_logins_keep_the_limit() {
    let database = database().await;
    let nodes = nodes(&database, 2).await;
    for (turn, at_limit) in [LimitPolicy::EvictOldest, LimitPolicy::EvictLeastRecent, LimitPolicy::Reject]
        .into_iter()
        .cycle()
        .take(9)
        .enumerate()
    {
        for logins in [16, 64] {
            let alice = user(&format!("alice {turn} {logins}"));
            let mut tasks = JoinSet::new();
            for login in 0..logins {
                let (store, alice) = (nodes[login % 2].clone(), alice.clone());
                tasks.spawn(async move {
                    let record = record(Some(&alice), NOW);
                    store.create(CreateRequest::new(&record).within(limit(3, at_limit)), NOW).await.unwrap()
                });
            }
            let outcomes = tasks.join_all().await;
            let created = outcomes.iter().filter(|outcome| matches!(outcome, CreateOutcome::Created { .. })).count();
            let evicted: usize = outcomes
                .iter()
                .map(|outcome| if let CreateOutcome::Created { evicted } = outcome { evicted.len() } else { 0 })
                .sum();
            assert_eq!(nodes[0].list_by_user(&alice, NOW).await.unwrap().len(), 3, "{at_limit:?} {logins}");
            assert_eq!(created - evicted, 3, "{at_limit:?} {logins}");
        }
    }
}

/// Users that take turns on the same browsers: each login replaces a session of another user and evicts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crosswise_logins_do_not_deadlock() {
    let database = database().await;
    let nodes = Arc::new(nodes(&database, 2).await);
    let users: Vec<UserId> = (0..4).map(|n| user(&format!("user {n}"))).collect();
    let mut tasks = JoinSet::new();
    for task in 0..64_usize {
        let (nodes, users) = (Arc::clone(&nodes), users.clone());
        tasks.spawn(async move {
            let store = &nodes[task % 2];
            let mut created = 0;
            for turn in 0..20 {
                let (from, to) = (&users[(task + turn) % 4], &users[(task * 3 + turn * 7 + 1) % 4]);
                if task % 16 == 0 && turn % 5 == 0 {
                    let _ = store.delete_by_user(to, None).await.unwrap();
                }
                let old = nth_session(store, from, task % 3).await;
                match replace(store, old.as_ref(), &record(Some(to), NOW), limit(3, LimitPolicy::EvictLeastRecent))
                    .await
                {
                    CreateOutcome::Created { .. } => created += 1,
                    CreateOutcome::ReplacedAbsent | CreateOutcome::ReplacedChanged => {}
                    other @ (CreateOutcome::IdTaken | CreateOutcome::LimitReached) => panic!("{other:?}"),
                }
            }
            created
        });
    }
    let created: usize = tasks.join_all().await.into_iter().sum();
    assert!(created > 300, "only {created} logins got through");
    for user in &users {
        assert!(nodes[0].list_by_user(user, NOW).await.unwrap().len() <= 3);
    }
    // Statistics are published once a second, those of the last statements when their connection is closed.
    drop(nodes);
    let pool = pool(1, &database);
    wait_until(&pool, OTHERS, |others| others == 0).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(number(&pool, deadlocks).await, 0);
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
        let (created, revoked) = tokio::join!(
            nodes[0].create(CreateRequest::new(&new).replacing(Replacement::of(&old)), NOW),
            nodes[1].delete_by_user(&alice, None),
        );
        let (created, revoked) = (created.unwrap(), revoked.unwrap());
        assert_eq!(nodes[0].list_by_user(&alice, NOW).await.unwrap().len(), 0, "{created:?}");
        let expected = if matches!(created, CreateOutcome::Created { .. }) { new.id() } else { old.id() };
        assert_eq!(revoked, [expected]);
    }
}

/// After a race, the stored version is that of the one writer that got `Applied`; all others got `Conflict`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_writer_wins() {
    let database = database().await;
    let nodes = nodes(&database, 2).await;
    for _ in 0..20 {
        let base = record(None, NOW);
        insert(&nodes[0], &base).await;
        let mut tasks = JoinSet::new();
        for task in 0..64 {
            let (store, base) = (nodes[task % 2].clone(), base.clone());
            tasks.spawn(async move {
                let change = changed(&base, format!("{task}"));
                (store.update(&change, base.version, NOW).await.unwrap(), change.version)
            });
        }
        let outcomes = tasks.join_all().await;
        let winners: Vec<_> = outcomes.iter().filter(|(outcome, _)| *outcome == UpdateOutcome::Applied).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(outcomes.iter().filter(|(outcome, _)| *outcome == UpdateOutcome::Conflict).count(), 63);
        assert_eq!(nodes[1].load(&base.id(), Freshness::Latest).await.unwrap().unwrap().version, winners[0].1);
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
    sqlx::query("DELETE FROM session.session WHERE id = $1")
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

/// Batches of updates, logins that replace and evict, revocations of all sessions, and clean-up, on the same sessions
/// from two nodes: no call fails.
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
            let mut applied = 0;
            for turn in 0..25 {
                let alice = user(&format!("user {}", (task + turn) % USERS));
                let sessions = store.list_by_user(&alice, NOW).await.unwrap();
                let mut updates = JoinSet::new();
                for summary in sessions.into_iter().rev() {
                    let store = store.clone();
                    updates.spawn(async move {
                        let Some(stored) = store.load(&summary.id, Freshness::Latest).await.unwrap() else {
                            return false;
                        };
                        let change = changed(&stored, format!("{task} {turn}"));
                        store.update(&change, stored.version, NOW).await.unwrap() == UpdateOutcome::Applied
                    });
                }
                if (task + turn) % 16 == 0 {
                    let _ = store.delete_by_user(&alice, None).await.unwrap();
                    let _ = store.delete_expired(NOW, NonZeroU32::new(50).unwrap()).await.unwrap();
                } else {
                    let other = user(&format!("user {}", (task * 5 + turn) % USERS));
                    let old = nth_session(store, &other, turn % 4).await;
                    let mut new = record(Some(&alice), NOW);
                    if turn % 5 == 0 {
                        // Due soon.
                        new.summary.timeouts.idle = std::time::Duration::from_millis(1);
                    }
                    let _ = replace(store, old.as_ref(), &new, limit(6, LimitPolicy::EvictOldest)).await;
                }
                applied += updates.join_all().await.into_iter().filter(|applied| *applied).count();
            }
            applied
        });
    }
    let applied: usize = tasks.join_all().await.into_iter().sum();
    assert!(applied > 300, "only {applied} updates were applied");
}
