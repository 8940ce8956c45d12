//! Caches of the application hear of what the command ends.

use session_core::store::{Feed, FeedEvent};
use session_kit::OpenedStore;
use session_testbed::feeds::{told, told_of};

use crate::bed::{Bed, On};

/// Follows what happens to the sessions of `bed`, as a cache does. On PostgreSQL, a node that publishes has turned that on.
async fn follow(bed: &Bed) -> Box<dyn Feed> {
    let options = session_kit::OpenOptions::new().publish_changes();
    match options.open(&bed.url, bed.namespace.clone()).await.unwrap() {
        OpenedStore::Redis(store) => Box::new(store.feed().unwrap()),
        OpenedStore::Postgres(store) => Box::new(store.feed().unwrap()),
        other @ (OpenedStore::Sqlite(_) | _) => panic!("{other:?} tells nobody"),
    }
}

async fn a_cache_hears_of_every_session_that_ends(on: On) {
    let bed = Bed::open(on).await;
    let filled = bed.fill().await;
    let mut feed = follow(&bed).await;
    told(&mut *feed).await;
    let ids = |events: &[FeedEvent]| -> Vec<_> {
        // A Cluster says that a session was written, not that it has ended.
        let id = |event: &FeedEvent| match event {
            FeedEvent::Ended { id } => Some(*id),
            FeedEvent::Changed { id, .. } if on == On::Cluster => Some(*id),
            FeedEvent::Changed { .. } | FeedEvent::Beat { .. } | FeedEvent::Lost => None,
        };
        events.iter().filter_map(id).collect()
    };
    for (args, ended) in [
        (vec!["revoke", "--user", "alice", "--yes"], filled.alice.to_vec()),
        (vec!["revoke", "--visitors", "--yes"], filled.visitors.to_vec()),
        (vec!["revoke", "--id", &filled.bob.to_string()], vec![filled.bob]),
    ] {
        bed.done(&args).await;
        let told = ids(&told_of(&mut *feed, ended.len()).await);
        for id in ended {
            assert!(told.contains(&id), "{on:?} {args:?}: {} were told", told.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis() {
    a_cache_hears_of_every_session_that_ends(On::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sentinel() {
    a_cache_hears_of_every_session_that_ends(On::Sentinel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_cluster() {
    a_cache_hears_of_every_session_that_ends(On::Cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    a_cache_hears_of_every_session_that_ends(On::Postgres).await;
}
