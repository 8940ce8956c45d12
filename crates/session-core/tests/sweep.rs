//! The loop that deletes expired records.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{
    DeleteOutcome, Entropy, EntropyError, ManualClock, SessionId, SessionManager, SessionSummary, StoreError,
    StoreErrorKind, Timestamp, UserId,
};
use tokio::time::{Instant, advance};

/// Has so many expired records, and fails so often before it answers. Does nothing else.
#[derive(Debug, Default)]
struct Backlog {
    expired: AtomicU64,
    failures: AtomicU64,
    calls: AtomicU64,
    asked_at: AtomicU64,
}

#[async_trait]
impl SessionStore for Backlog {
    fn name(&self) -> &'static str {
        "backlog"
    }

    async fn delete_expired(&self, now: Timestamp, limit: std::num::NonZeroU32) -> Result<u64, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.asked_at.store(now.as_millis().unsigned_abs(), Ordering::SeqCst);
        if self.failures.load(Ordering::SeqCst) > 0 {
            self.failures.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::new(StoreErrorKind::Unavailable, "told to fail"));
        }
        let deleted = self.expired.load(Ordering::SeqCst).min(u64::from(limit.get()));
        self.expired.fetch_sub(deleted, Ordering::SeqCst);
        Ok(deleted)
    }

    async fn load(&self, _: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        unreachable!()
    }

    async fn create(&self, _: CreateRequest<'_>, _: Timestamp) -> Result<CreateOutcome, StoreError> {
        unreachable!()
    }

    async fn update(&self, _: &Record, _: Version, _: Timestamp) -> Result<UpdateOutcome, StoreError> {
        unreachable!()
    }

    async fn touch(&self, _: &SessionId, _: Option<&UserId>, _: Timestamp) -> Result<TouchOutcome, StoreError> {
        unreachable!()
    }

    async fn delete(&self, _: &SessionId, _: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        unreachable!()
    }

    async fn list_by_user(&self, _: &UserId, _: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        unreachable!()
    }

    async fn delete_by_user(&self, _: &UserId, _: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        unreachable!()
    }
}

impl Backlog {
    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn manager(self: &Arc<Self>) -> SessionManager {
        SessionManager::builder(Arc::clone(self) as Arc<dyn SessionStore>).clock(ManualClock::default()).build()
    }

    /// Waits for the next call. Time is paused: it goes on to the next moment at which a task wakes up.
    async fn next_call(&self) {
        let before = self.calls();
        while self.calls() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_deleted_in_batches_and_then_there_is_a_pause() {
    let store = Arc::new(Backlog { expired: AtomicU64::new(2500), ..Backlog::default() });
    tokio::spawn(store.manager().sweep());
    store.next_call().await;
    let begin = Instant::now();
    store.next_call().await;
    store.next_call().await;
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    assert_eq!((store.calls(), store.expired.load(Ordering::SeqCst)), (3, 0));
    store.next_call().await;
    assert!(begin.elapsed() > Duration::from_secs(2), "an empty store is not asked in a hurry: {:?}", begin.elapsed());
    let now = ManualClock::default();
    assert_eq!(store.asked_at.load(Ordering::SeqCst), session_core::Clock::now(&now).as_millis().unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn pauses_are_random_and_about_five_seconds() {
    let store = Arc::new(Backlog::default());
    tokio::spawn(store.manager().sweep());
    let mut pauses = Vec::new();
    for _ in 0..100 {
        let begin = Instant::now();
        store.next_call().await;
        pauses.push(begin.elapsed().as_millis());
    }
    assert!(pauses.iter().all(|pause| (2_490..=7_510).contains(pause)), "{pauses:?}");
    let spread = pauses.iter().max().unwrap() - pauses.iter().min().unwrap();
    assert!(spread > 2_000, "{pauses:?}");
    let mean = pauses.iter().sum::<u128>() / 100;
    assert!((4_000..=6_000).contains(&mean), "{mean}");
}

#[tokio::test(start_paused = true)]
async fn a_store_or_a_generator_that_fails_does_not_end_it() {
    #[derive(Debug)]
    struct Broken;
    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }
    let store = Arc::new(Backlog { expired: AtomicU64::new(1), failures: AtomicU64::new(3), ..Backlog::default() });
    let manager = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>).entropy(Broken).build();
    tokio::spawn(manager.sweep());
    let begin = Instant::now();
    for _ in 0..4 {
        store.next_call().await;
    }
    assert_eq!(store.expired.load(Ordering::SeqCst), 0);
    assert!(begin.elapsed() > Duration::from_secs(15), "a store that is down is not asked in a hurry");
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_is_dropped() {
    let store = Arc::new(Backlog::default());
    let task = tokio::spawn(store.manager().sweep());
    store.next_call().await;
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
    let before = store.calls();
    advance(Duration::from_secs(60)).await;
    assert_eq!(store.calls(), before);
    assert_eq!(Arc::strong_count(&store), 1, "it holds nothing any more");
}
