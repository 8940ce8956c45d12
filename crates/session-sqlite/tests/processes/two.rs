//! Two processes on one file.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use session_core::store::{CreateRequest, SessionStore};
use session_core::{DeleteOutcome, StoreErrorKind};
use session_testbed::records::{NOW, insert, load, record, user};

use crate::parent::{Folder, Process, open, runtime};

/// 64 logins of one user, half of them in each process: five live, and each other one was reported as evicted, once.
pub(crate) fn the_session_limit_is_exact() {
    for _ in 0..3 {
        let folder = Folder::new();
        let path = folder.join("sessions.db");
        let mut processes = [Process::start("logins", &path), Process::start("logins", &path)];
        for process in &mut processes {
            assert_eq!(process.line(), "ready");
        }
        for process in &mut processes {
            process.go();
        }
        let (mut created, mut evicted) = (HashSet::new(), HashSet::new());
        for process in &mut processes {
            loop {
                let line = process.line();
                match line.split_at_checked(1) {
                    Some(("+", id)) => assert!(created.insert(id.to_owned())),
                    Some(("-", id)) => assert!(evicted.insert(id.to_owned()), "evicted twice"),
                    Some(_) | None => break,
                }
            }
        }
        assert_eq!((created.len(), evicted.len()), (64, 59));
        runtime().block_on(async {
            let live = open(&path).await.list_by_user(&user("alice"), NOW).await.unwrap();
            let live: HashSet<String> = live.sessions.iter().map(|session| session.id.to_string()).collect();
            assert_eq!(live, created.difference(&evicted).cloned().collect());
        });
    }
}

/// There is no copy that could be behind.
pub(crate) fn a_logout_is_seen_at_once() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    let mut other = Process::start("watch", &path);
    assert_eq!(other.line(), "ready");
    runtime().block_on(async {
        let store = open(&path).await;
        for _ in 0..50 {
            let alice = record(Some(&user("alice")), NOW);
            insert(&store, &alice).await;
            other.go();
            assert_eq!(other.line(), "1");
            assert_eq!(store.delete(&alice.id(), alice.user()).await.unwrap(), DeleteOutcome::Deleted);
            other.go();
            assert_eq!(other.line(), "0");
        }
    });
}

/// While another process holds the lock, reads go on, writes are errors within the timeout, and nothing of them is done
/// later.
pub(crate) fn a_lock_that_is_held_is_an_error_in_time() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    runtime().block_on(async {
        let store = open(&path).await;
        let (alice, bob) = (record(Some(&user("alice")), NOW), record(Some(&user("bob")), NOW));
        insert(&store, &alice).await;
        let mut other = Process::start("hold", &path);
        assert_eq!(other.line(), "held");
        let (begin, request) = (Instant::now(), CreateRequest::new(&bob));
        let (id, user) = (alice.id(), alice.user());
        let (created, deleted) = tokio::join!(store.create(request, NOW), store.delete(&id, user));
        assert!(begin.elapsed() < Duration::from_millis(1_500) * 2, "{:?}", begin.elapsed());
        for error in [created.map(drop).unwrap_err(), deleted.map(drop).unwrap_err()] {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            assert!(error.to_string().contains("another process holds the lock"), "{error}");
        }
        assert!(load(&store, &alice.id()).await.is_some(), "reads do not wait");
        // One that is under way when the lock is released is done.
        let waiting = {
            let (store, alice) = (store.clone(), alice.clone());
            tokio::spawn(async move { store.delete(&alice.id(), alice.user()).await })
        };
        tokio::task::yield_now().await;
        other.go();
        assert_eq!(other.line(), "released");
        assert_eq!(waiting.await.unwrap().unwrap(), DeleteOutcome::Deleted);
        assert!(load(&store, &bob.id()).await.is_none());
        insert(&store, &bob).await;
    });
}

/// A login whose caller has gone while it waited for the lock is not executed afterwards: the other process may have
/// answered meanwhile that there is no such session.
pub(crate) fn a_login_given_up_never_comes_later() {
    let folder = Folder::new();
    let path = folder.join("sessions.db");
    runtime().block_on(async {
        let store = open(&path).await;
        for _ in 0..10 {
            let mut other = Process::start("hold", &path);
            assert_eq!(other.line(), "held");
            let alice = record(Some(&user("alice")), NOW);
            let login = {
                let (store, alice) = (store.clone(), alice.clone());
                tokio::spawn(async move { store.create(CreateRequest::new(&alice), NOW).await })
            };
            // Until it waits for the lock, which nothing shows.
            tokio::time::sleep(Duration::from_millis(20)).await;
            login.abort();
            assert!(login.await.unwrap_err().is_cancelled());
            other.go();
            assert_eq!(other.line(), "released");
            // What waited before this is done when this is.
            let bob = record(Some(&user("bob")), NOW);
            insert(&store, &bob).await;
            assert!(load(&store, &alice.id()).await.is_none(), "the login that was given up came all the same");
        }
    });
}
