//! `copy`: from one kind of store to another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{MovingStore, SessionStore};
use session_core::{Clock as _, DeleteOutcome, Policy, SessionManager, SystemClock};
use session_testbed::crowd::{Writer, outcome};
use session_testbed::records::user;
use tokio::task::JoinSet;

use crate::bed::{Bed, On};

/// With and without what the application itself has moved, and ended, before.
async fn all_sessions_move_as_they_are(from: On, to: On) {
    let (old, new) = (Bed::open(from).await, Bed::open(to).await);
    let filled = old.fill().await;
    let mut expected = old.snapshot().await;
    // A node, with both stores.
    let node = MovingStore::new(old.store.clone(), new.store.clone());
    let ended = node.delete(&filled.alice[0], Some(&user("alice"))).await.unwrap();
    assert_eq!(ended, DeleteOutcome::Deleted);
    expected.remove(&filled.alice[0]);
    let listed = node.list_by_user(&user("bob"), SystemClock.now()).await.unwrap();
    assert_eq!(listed.ids(), [filled.bob], "which moves it");

    let args = ["copy", "--to", &new.url, "--to-namespace", new.namespace.as_str()];
    let (before, there) = (old.snapshot().await, new.snapshot().await);
    let would = &old.json(&[&args[..], &["--dry-run"]].concat()).await[0];
    assert_eq!(would["would_move"], 5, "{from:?} to {to:?}");
    let unasked = old.run(&args).await;
    assert_eq!(unasked.code, 2, "{}", unasked.err);
    assert!(unasked.err.contains("MovingStore") && unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!((old.snapshot().await, new.snapshot().await), (before, there), "nothing was done");

    let moved = &old.json(&[&args[..], &["--yes"]].concat()).await[0];
    assert_eq!((&moved["moved"], &moved["unreadable"]), (&5.into(), &0.into()), "{from:?} to {to:?}");
    assert_eq!(new.snapshot().await, expected, "{from:?} to {to:?}");
    assert!(old.ids().await.is_empty(), "{from:?} to {to:?}");
    let again = old.done(&[&args[..], &["--yes"]].concat()).await;
    assert_eq!(again.trim(), "0 sessions moved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_redis_to_postgres() {
    all_sessions_move_as_they_are(On::Redis, On::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_file_to_a_cluster() {
    all_sessions_move_as_they_are(On::Sqlite, On::Cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_postgres_to_sentinel() {
    all_sessions_move_as_they_are(On::Postgres, On::Sentinel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_one_namespace_to_another() {
    all_sessions_move_as_they_are(On::Redis, On::Redis).await;
}

/// How many write at once, and how many sessions nobody uses, which the command alone can move.
const WRITERS: usize = 64;
const UNUSED: usize = 500;

fn manager(store: Arc<dyn SessionStore>) -> SessionManager {
    // A busy machine is no failure.
    let policy = Policy::standard().to_builder().store_timeout(Duration::from_secs(20)).build().unwrap();
    SessionManager::builder(store).policy(policy).build()
}

/// Users increment, log in and log out at a node with both stores, from before the command begins until it has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_64_writers_write_nothing_is_lost_or_revived() {
    let (old, new) = (Bed::open(On::Redis).await, Bed::open(On::Postgres).await);
    for _ in 0..UNUSED {
        old.insert(RecordBuilder::new(SystemClock.now())).await;
    }
    let writers = Writer::crowd(&manager(old.store.clone()), WRITERS, 8).await.unwrap();
    let node = manager(Arc::new(MovingStore::new(old.store.clone(), new.store.clone())));
    let (is_copied, mut crowd) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for mut writer in writers {
        let (node, is_copied) = (node.clone(), Arc::clone(&is_copied));
        crowd.spawn(async move {
            // Each kind of request at least once.
            for act in 0.. {
                if act >= 20 && is_copied.load(Ordering::SeqCst) {
                    break;
                }
                writer.act(&node).await.unwrap();
            }
            writer
        });
    }
    let args = ["copy", "--to", &new.url, "--to-namespace", new.namespace.as_str(), "--yes", "--fast"];
    let moved = &old.json(&args).await[0];
    is_copied.store(true, Ordering::SeqCst);
    let writers = crowd.join_all().await;

    assert!(moved["moved"].as_u64() >= Some(UNUSED as u64), "{moved}");
    assert_eq!(moved["unreadable"], 0);
    assert!(old.ids().await.is_empty());
    // A node with the new store alone.
    let found = outcome(&manager(new.store.clone()), writers).await.unwrap();
    assert_eq!((found.lost, found.revived), (0, 0), "{found:?}");
    assert!(found.increments > 0 && found.ended > 0, "{found:?}");
    let unused = new.store.count(SystemClock.now()).await.unwrap().sessions - found.alive;
    assert_eq!(unused, UNUSED as u64, "those that nobody used");
}

#[tokio::test]
async fn a_store_that_is_none_is_refused() {
    let old = Bed::open(On::Sqlite).await;
    old.fill().await;
    let missing = format!("{}-missing", old.url);
    for (args, code, says) in [
        (&["copy", "--yes"][..], 2, "SESSION_NEW_STORE_URL"),
        (&["copy", "--yes", "--to", &old.url], 2, "the same URL"),
        (&["copy", "--yes", "--to", "memory:"], 2, "in memory"),
        (&["copy", "--yes", "--to", "hunter2://x"], 2, "is not understood"),
        (&["copy", "--yes", "--to", &missing], 1, "missing"),
        (&["copy", "--yes", "--to", "redis://:hunter2@127.0.0.1:1"], 1, "cannot be used"),
    ] {
        let run = old.run(args).await;
        assert_eq!(run.code, code, "{args:?}: {}", run.err);
        assert!(run.err.contains(says), "{args:?}: {}", run.err);
    }
    assert_eq!(old.ids().await.len(), 7);
}
