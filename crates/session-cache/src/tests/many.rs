//! Many tasks at once, on several threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use session_conformance::ReferenceStore;
use session_core::store::{CreateRequest, FeedEvent, Freshness, SessionStore, UpdateOutcome};
use tokio::task::JoinSet;

use super::bed::{NOW, feed, next, record};
use crate::CachedStore;

const ROUNDS: usize = 200;
const READERS: usize = 16;

/// One node writes and ends sessions, a second one that is told reads them, and so does the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_task_sees_what_is_known_to_be_over() {
    let server = Arc::new(ReferenceStore::new());
    let (mut remote, feed) = feed();
    let here = CachedStore::builder(Arc::clone(&server), Duration::from_secs(60)).build();
    let there = CachedStore::builder(Arc::clone(&server), Duration::from_secs(60)).feed(feed).build();
    let _ = there.load(&record().id(), Freshness::Cached).await.unwrap();
    for _ in 0..ROUNDS {
        let session = record();
        let id = session.id();
        let _ = here.create(CreateRequest::new(&session), NOW).await.unwrap();
        let (is_over, known) = (Arc::new(AtomicBool::new(false)), Arc::new([AtomicU32::new(1), AtomicU32::new(1)]));
        let mut readers = JoinSet::new();
        for reader in 0..READERS {
            let at = reader % 2;
            let (store, is_over, known) =
                (if at == 0 { here.clone() } else { there.clone() }, Arc::clone(&is_over), Arc::clone(&known));
            readers.spawn(async move {
                loop {
                    let (was_over, knew) = (is_over.load(Ordering::SeqCst), known[at].load(Ordering::SeqCst));
                    let loaded = store.load(&id, Freshness::Cached).await.unwrap();
                    if was_over {
                        return assert!(loaded.is_none(), "a session was given after its end was known");
                    }
                    let is_old = loaded.is_some_and(|record| record.version.number < knew);
                    assert!(!is_old, "a version was given after a later one was known");
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut latest = session;
        for _ in 0..4 {
            let change = next(&latest);
            let updated = here.update(&change, latest.version, NOW).await.unwrap();
            assert_eq!(updated, UpdateOutcome::Applied);
            known[0].store(change.version.number, Ordering::SeqCst);
            remote.tell(FeedEvent::Changed { id, version: Some(change.version) }).await;
            known[1].store(change.version.number, Ordering::SeqCst);
            latest = change;
        }
        let _ = here.delete(&id, latest.user()).await.unwrap();
        remote.tell(FeedEvent::Ended { id }).await;
        is_over.store(true, Ordering::SeqCst);
        while let Some(reader) = readers.join_next().await {
            reader.unwrap();
        }
    }
    for store in [&here, &there] {
        assert!(store.stats().hits > 0, "{:?}", store.stats());
        assert_eq!(store.under_way(), 0);
    }
}
