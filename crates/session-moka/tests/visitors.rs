//! Visitors: bounded exactly, in the order of their use, and never in the way of a login.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use common::{HOUR, insert, session};
use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, SessionStore};
use session_core::{DeleteOutcome, OsEntropy, SessionId, StoreError, StoreErrorKind, VisitorLimit};
use session_moka::MokaStore;
use session_testbed::records::{MINUTE, NOW, created, user};
use tokio::sync::Barrier;

fn visitor(limit: VisitorLimit) -> Record {
    let mut visitor = session(None, NOW, HOUR);
    visitor.summary.id = limit.generate_id(&OsEntropy).unwrap();
    visitor
}

async fn visit(store: &MokaStore, visitor: &Record, limit: VisitorLimit) -> Result<CreateOutcome, StoreError> {
    store.create(CreateRequest::new(visitor).among(limit), NOW).await
}

async fn is_stored(store: &MokaStore, id: &SessionId) -> bool {
    store.load(id, Freshness::Latest).await.unwrap().is_some()
}

/// In a shared store, the first would end at two thirds.
#[tokio::test]
async fn the_limit_is_exact_at_any_size() {
    let (store, limit) = (MokaStore::new(), VisitorLimit::new(1000).unwrap());
    let mut all = Vec::new();
    for _ in 0..1000 {
        let visitor = visitor(limit);
        assert_eq!(visit(&store, &visitor, limit).await.unwrap(), created());
        all.push(visitor.id());
    }
    // The first is used once more; the second leaves.
    let _ = store.touch(&all[0], None, NOW + MINUTE).await.unwrap();
    assert_eq!(store.delete(&all[1], None).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(visit(&store, &visitor(limit), limit).await.unwrap(), created());
    let CreateOutcome::Created { evicted } = visit(&store, &visitor(limit), limit).await.unwrap() else {
        panic!("a visit was refused")
    };
    assert_eq!(evicted.len(), 1);
    assert!(!is_stored(&store, &evicted[0]).await && is_stored(&store, &all[0]).await);
    assert_eq!(store.session_count(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn visits_at_once_leave_exactly_as_many_as_the_limit_says() {
    for _ in 0..20 {
        let (store, limit) = (MokaStore::new(), VisitorLimit::new(10).unwrap());
        let start = Arc::new(Barrier::new(64));
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let (store, start) = (store.clone(), Arc::clone(&start));
                tokio::spawn(async move {
                    let visitor = visitor(limit);
                    start.wait().await;
                    let outcome = visit(&store, &visitor, limit).await.unwrap();
                    // Some are used, some leave, while others begin and end.
                    match n % 4 {
                        0 => drop(store.touch(&visitor.id(), None, NOW + MINUTE).await.unwrap()),
                        1 if n < 8 => drop(store.delete(&visitor.id(), None).await.unwrap()),
                        _ => {}
                    }
                    outcome
                })
            })
            .collect();
        for task in tasks {
            assert!(matches!(task.await.unwrap(), CreateOutcome::Created { .. }));
        }
        for _ in 0..10 {
            assert!(matches!(visit(&store, &visitor(limit), limit).await.unwrap(), CreateOutcome::Created { .. }));
        }
        assert_eq!(store.session_count(), 10);
    }
}

/// A store full of visitors has a place for every user, until it is full of users.
#[tokio::test]
async fn a_full_store_ends_visitors_for_logins_and_no_user_for_a_visitor() {
    let (store, limit) = (MokaStore::builder().max_sessions(8).build(), VisitorLimit::new(1000).unwrap());
    let mut visitors = Vec::new();
    for _ in 0..8 {
        let visitor = visitor(limit);
        assert_eq!(visit(&store, &visitor, limit).await.unwrap(), created());
        visitors.push(visitor.id());
    }
    let newest = visitor(limit);
    let CreateOutcome::Created { evicted } = visit(&store, &newest, limit).await.unwrap() else {
        panic!("a visit was refused")
    };
    assert!(visitors.contains(&evicted[0]) && evicted.len() == 1, "in a full store, a visitor ends for another");
    for n in 0..8 {
        let session = session(Some(&user(&format!("user {n}"))), NOW, HOUR);
        let login = CreateRequest::new(&session).among(limit);
        let CreateOutcome::Created { evicted } = store.create(login, NOW).await.unwrap() else {
            panic!("a login was refused")
        };
        assert_eq!(evicted.len(), 1, "login {n}");
        assert!(!is_stored(&store, &evicted[0]).await && is_stored(&store, &session.id()).await);
        assert_eq!(store.session_count(), 8);
    }
    let refused = visit(&store, &visitor(limit), limit).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Full);
    let refused = insert(&store, &session(Some(&user("one more")), NOW, HOUR), NOW).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Full);
}
