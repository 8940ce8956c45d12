//! Many nodes at once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session_core::{
    Admission, Admitted, AtLimit, Record, Replaces, SessionLimit, SessionStore, Touched, Updated, UserId,
};
use session_postgres::PostgresStore;
use support::{MINUTE, NOW, Server, changed, execute, number, record, user};
use tokio::task::JoinSet;

fn limit(max: u32, at_limit: AtLimit) -> Option<SessionLimit> {
    Some(SessionLimit { max: NonZeroU32::new(max).unwrap(), at_limit })
}

/// `n` nodes on one schema.
async fn nodes(server: &Server, n: usize) -> Vec<PostgresStore> {
    let nodes: Vec<_> =
        (0..n).map(|_| PostgresStore::new(server.pool(16)).with_timeout(Duration::from_secs(20))).collect();
    nodes[0].migrate().await.unwrap();
    nodes
}

async fn insert(store: &PostgresStore, record: &Record) {
    let admission = Admission { record, replaces: None, limit: None };
    assert_eq!(store.create(admission, NOW).await.unwrap(), Admitted::Created { evicted: vec![] });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_logins_keep_the_limit() {
    let server = Server::start().await;
    let nodes = nodes(&server, 2).await;
    for (turn, at_limit) in
        [AtLimit::EvictOldest, AtLimit::EvictLeastRecent, AtLimit::Reject].into_iter().cycle().take(9).enumerate()
    {
        for logins in [16, 64] {
            let alice = user(&format!("alice {turn} {logins}"));
            let mut tasks = JoinSet::new();
            for login in 0..logins {
                let (store, alice) = (nodes[login % 2].clone(), alice.clone());
                tasks.spawn(async move {
                    let record = record(Some(&alice), NOW);
                    let admission = Admission { record: &record, replaces: None, limit: limit(3, at_limit) };
                    store.create(admission, NOW).await.unwrap()
                });
            }
            let outcomes = tasks.join_all().await;
            let created = outcomes.iter().filter(|outcome| matches!(outcome, Admitted::Created { .. })).count();
            let evicted: usize = outcomes
                .iter()
                .map(|outcome| if let Admitted::Created { evicted } = outcome { evicted.len() } else { 0 })
                .sum();
            assert_eq!(nodes[0].list_by_user(&alice, NOW).await.unwrap().len(), 3, "{at_limit:?} {logins}");
            assert_eq!(created - evicted, 3, "{at_limit:?} {logins}");
        }
    }
}

/// Two users, who take turns on the same browsers: each login of one replaces a session of the other and evicts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crosswise_logins_do_not_deadlock() {
    let server = Server::start().await;
    let nodes = Arc::new(nodes(&server, 2).await);
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
                let sessions = store.list_by_user(from, NOW).await.unwrap();
                let old = match sessions.get(task % 3) {
                    Some(summary) => store.load(&summary.id).await.unwrap(),
                    None => None,
                };
                let replaces = old.as_ref().map(|old| Replaces { id: old.id, user: Some(from), version: old.version });
                let record = record(Some(to), NOW);
                let admission = Admission { record: &record, replaces, limit: limit(3, AtLimit::EvictLeastRecent) };
                match store.create(admission, NOW).await.unwrap() {
                    Admitted::Created { .. } => created += 1,
                    Admitted::ReplacedAbsent | Admitted::ReplacedChanged => {}
                    other => panic!("{other:?}"),
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
    tokio::time::sleep(Duration::from_millis(1_200)).await; // Statistics are published once a second.
    let deadlocks = number(&server.pool(1), "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'").await;
    assert_eq!(deadlocks, 0);
}

/// "Log out everywhere" beside logins: a session that replaced one which was there before must not survive.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revocation_catches_successors() {
    let server = Server::start().await;
    let nodes = nodes(&server, 2).await;
    for turn in 0..100 {
        let alice = user(&format!("alice {turn}"));
        let old = record(Some(&alice), NOW);
        insert(&nodes[0], &old).await;
        let new = record(Some(&alice), NOW);
        let replaces = Some(Replaces { id: old.id, user: Some(&alice), version: old.version });
        let (admitted, revoked) = tokio::join!(
            nodes[0].create(Admission { record: &new, replaces, limit: None }, NOW),
            nodes[1].delete_by_user(&alice, None),
        );
        let (admitted, revoked) = (admitted.unwrap(), revoked.unwrap());
        assert_eq!(nodes[0].list_by_user(&alice, NOW).await.unwrap().len(), 0, "{admitted:?}");
        let expected = if matches!(admitted, Admitted::Created { .. }) { new.id } else { old.id };
        assert_eq!(revoked, [expected]);
    }
}

/// The stored version after a race is the one of the writer who was told `Applied`, and everybody else was told the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_writer_wins() {
    let server = Server::start().await;
    let nodes = nodes(&server, 2).await;
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
        let winners: Vec<_> = outcomes.iter().filter(|(outcome, _)| *outcome == Updated::Applied).collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(outcomes.iter().filter(|(outcome, _)| *outcome == Updated::Conflict).count(), 63);
        assert_eq!(nodes[1].load(&base.id).await.unwrap().unwrap().version, winners[0].1);
    }
}

/// An update that lost against a deletion says so; a stale answer would be `Conflict`, and core would retry for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn update_after_deletion_is_absent() {
    let server = Server::start().await;
    let nodes = nodes(&server, 1).await;
    let pool = server.pool(2);
    let base = record(None, NOW);
    insert(&nodes[0], &base).await;
    // The row is locked by a transaction that will delete it; the update waits behind it.
    let mut other = pool.begin().await.unwrap();
    sqlx::query("DELETE FROM session.session WHERE id = $1")
        .bind(base.id.as_bytes().as_slice())
        .execute(&mut *other)
        .await
        .unwrap();
    let store = nodes[0].clone();
    let waiting = tokio::spawn(async move { store.update(&changed(&base, "x"), base.version, NOW).await.unwrap() });
    while number(&pool, "SELECT count(*) FROM pg_locks WHERE NOT granted").await == 0 {
        tokio::task::yield_now().await;
    }
    other.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Updated::Absent);
}

/// Four nodes sweep while others log in, touch and write: every expired session is deleted and counted once, no live one is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_nodes_sweep_under_load() {
    const EXPIRED: u64 = 4_000;
    let server = Server::start().await;
    let nodes = nodes(&server, 4).await;
    let mut live = Vec::new();
    for turn in 0..EXPIRED {
        let owner = (turn % 2 == 0).then(|| user(&format!("user {}", turn % 100)));
        insert(&nodes[0], &record(owner.as_ref(), NOW)).await;
        if turn % 20 == 0 {
            live.push(record(owner.as_ref(), NOW));
            insert(&nodes[0], &live[live.len() - 1]).await;
        }
    }
    let seen = NOW + 20 * MINUTE;
    for record in &live {
        assert_eq!(nodes[0].touch(&record.id, record.user(), seen, seen).await.unwrap(), Touched::Applied);
    }
    let now = NOW + 40 * MINUTE;
    let total = Arc::new(AtomicU64::new(0));
    let mut sweepers = JoinSet::new();
    for store in nodes.clone() {
        let total = Arc::clone(&total);
        sweepers.spawn(async move {
            let mut idle = 0;
            while idle < 3 {
                let deleted = store.delete_expired(now, NonZeroU32::new(100).unwrap()).await.unwrap();
                assert!(deleted <= 100);
                total.fetch_add(deleted, Ordering::SeqCst);
                idle = if deleted == 0 { idle + 1 } else { 0 };
            }
        });
    }
    let load = tokio::spawn({
        let (store, live) = (nodes[3].clone(), live.clone());
        async move {
            for (turn, record) in live.iter().cycle().take(1_000).enumerate() {
                if turn % 2 == 0 {
                    let _ = store.touch(&record.id, record.user(), now, now).await.unwrap();
                } else {
                    let stored = store.load(&record.id).await.unwrap().expect("a live session was swept");
                    let updated = store.update(&changed(&stored, "x"), stored.version, now).await.unwrap();
                    assert_eq!(updated, Updated::Applied);
                }
            }
        }
    });
    sweepers.join_all().await;
    load.await.unwrap();
    // What a writer held at that moment was passed over.
    while let deleted @ 1.. = nodes[0].delete_expired(now, NonZeroU32::new(100).unwrap()).await.unwrap() {
        total.fetch_add(deleted, Ordering::SeqCst);
    }
    assert_eq!(total.load(Ordering::SeqCst), EXPIRED);
    let left = number(&server.pool(1), "SELECT count(*) FROM session.session").await;
    assert_eq!(left, i64::try_from(live.len()).unwrap());
}

/// Behind the lock the whole transaction would still see the old count: refused instead of wrong.
#[tokio::test]
async fn other_isolation_levels_are_refused() {
    let server = Server::start().await;
    nodes(&server, 1).await;
    execute(&server.pool(1), "ALTER ROLE postgres SET default_transaction_isolation = 'repeatable read'").await;
    let store = PostgresStore::new(server.pool(1));
    let alice = user("alice");
    let new = record(Some(&alice), NOW);
    let admission = Admission { record: &new, replaces: None, limit: limit(1, AtLimit::Reject) };
    let error = store.create(admission, NOW).await.unwrap_err();
    assert!(error.to_string().contains("READ COMMITTED"), "{error}");
}
