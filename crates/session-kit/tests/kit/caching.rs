//! `publish_changes` and `follow`: what a cache needs, whatever the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_kit::adapter::PresentedCookie;
use session_kit::store::cache::{CachedStore, FeedState};
use session_kit::store::{EncryptedStore, EncryptionKey, EncryptionKeys, FollowError, Freshness, SessionStore};
use session_kit::{Login, Namespace, OpenOptions, OsEntropy, Policy, SessionManager, UserId};
use session_testbed::servers::{namespace, postgres_url, redis_cluster, redis_sentinel, redis_url};

/// Far beyond what the test waits for: only a feed can tell in time.
const MAX_STALE: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(60);

async fn node(url: &str, namespace: &Namespace) -> CachedStore<Arc<dyn SessionStore>> {
    let store = OpenOptions::new().publish_changes().open(url, namespace.clone()).await.unwrap().into_shared();
    CachedStore::builder(store, MAX_STALE).max_age(MAX_STALE).follow().unwrap().build()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What one node reads from a copy is gone soon after the other has ended it.
async fn a_logout_is_heard(url: &str) {
    let namespace = namespace();
    let [one, other] = [node(url, &namespace).await, node(url, &namespace).await];
    // Nobody has called them yet.
    until("the feed is followed", async || matches!(one.stats().feed, FeedState::Live { .. })).await;
    assert_eq!(one.stats().feed_losses, 0, "{url}: a beginning is no outage");
    let sessions = SessionManager::new(other, Policy::standard());
    let session = sessions.open(&PresentedCookie::Nothing).await.unwrap();
    let alice = UserId::new("alice").unwrap();
    session.login(Login::new(alice.clone())).unwrap();
    sessions.commit(&session).await.unwrap();
    let id = session.id().unwrap();
    until("a copy", async || one.load(&id, Freshness::Cached).await.unwrap().is_some_and(|record| record.is_copy))
        .await;
    sessions.revoke_all(&alice).await.unwrap();
    until("the end is heard", async || one.load(&id, Freshness::Cached).await.unwrap().is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_is_heard_on_every_kind_of_server() {
    a_logout_is_heard(&redis_url().await.unwrap()).await;
    a_logout_is_heard(&redis_sentinel().await.unwrap().url()).await;
    a_logout_is_heard(&redis_cluster().await.unwrap().url()).await;
    a_logout_is_heard(&postgres_url().await.unwrap()).await;
}

/// Through a store in front of it, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_publishes_nothing_cannot_be_followed() {
    for url in [redis_url().await.unwrap(), postgres_url().await.unwrap()] {
        let store = session_kit::open(&url, namespace()).await.unwrap();
        let keys = EncryptionKeys::new(EncryptionKey::generate(&OsEntropy).unwrap());
        let encrypted = EncryptedStore::new(Arc::clone(&store), &keys);
        for error in [
            CachedStore::builder(store, MAX_STALE).follow().unwrap_err(),
            CachedStore::builder(encrypted, MAX_STALE).follow().unwrap_err(),
        ] {
            assert_eq!(error, FollowError::NotPublished);
            // What `main` prints.
            assert!(format!("{error:?}").contains("`publish_changes`"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn what_nobody_shares_needs_no_feed() {
    let store = OpenOptions::new().publish_changes().open("memory:", namespace()).await.unwrap().into_shared();
    let store = CachedStore::builder(store, MAX_STALE).follow().unwrap().build();
    assert_eq!(store.stats().feed, FeedState::None);
}
