//! The loop that deletes expired records.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session_conformance::{Intercept, Intercepted, RecordBuilder, ReferenceStore, StoreCall};
use session_core::store::{CreateRequest, SessionStore};
use session_core::{
    Clock as _, Entropy, EntropyError, ManualClock, SessionManager, StoreError, StoreErrorKind, Timestamp,
};
use tokio::time::{Instant, advance};

/// Counts the calls of a sweep, lets so many of them fail, and takes so many milliseconds for each.
#[derive(Debug, Default)]
struct Sweeps {
    calls: AtomicU64,
    failures: AtomicU64,
    millis: AtomicU64,
}

impl Intercept for Sweeps {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        assert_eq!(call.operation, "delete_expired");
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        if calls < self.failures.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "told to fail"));
        }
        tokio::time::sleep(Duration::from_millis(self.millis.load(Ordering::SeqCst))).await;
        execute.await
    }
}

type Store = Arc<Intercepted<Sweeps>>;

/// How long a record of `RecordBuilder` lives.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// A store with so many records that expire right now, and one that expires a moment later.
async fn backlog(expired: usize) -> Store {
    let store = ReferenceStore::new();
    let begin = ManualClock::default().now() - LIFETIME;
    for at in 0..=expired {
        let begin = if at == 0 { begin + Duration::from_millis(1) } else { begin };
        let record = RecordBuilder::new(begin).build().unwrap();
        let _ = store.create(CreateRequest::new(&record), begin).await.unwrap();
    }
    Arc::new(Intercepted::new(store, Sweeps::default()))
}

/// How many records are left that expire before `now`.
async fn left(store: &Store, now: Timestamp) -> u64 {
    store.store().delete_expired(now, NonZeroU32::MAX).await.unwrap()
}

fn manager(store: &Store) -> SessionManager {
    SessionManager::builder(Arc::clone(store) as Arc<dyn SessionStore>).clock(ManualClock::default()).build()
}

fn calls(store: &Store) -> u64 {
    store.hook().calls.load(Ordering::SeqCst)
}

/// Waits for the next call. Time is paused: it goes on to the next moment at which a task wakes up.
async fn next_call(store: &Store) {
    let before = calls(store);
    while calls(store) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_deleted_in_batches_and_then_there_is_a_pause() {
    let store = backlog(2500).await;
    tokio::spawn(manager(&store).sweep());
    next_call(&store).await;
    let begin = Instant::now();
    next_call(&store).await;
    next_call(&store).await;
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
    let now = ManualClock::default().now();
    assert_eq!((calls(&store), left(&store, now).await), (3, 0));
    assert_eq!(left(&store, now + Duration::from_millis(1)).await, 1, "what is alive stays");
    next_call(&store).await;
    assert!(begin.elapsed() > Duration::from_secs(2), "an empty store is not asked in a hurry: {:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stops_before_it_takes_too_long_is_asked_again_soon() {
    let store = backlog(10).await;
    store.hook().millis.store(500, Ordering::SeqCst);
    tokio::spawn(manager(&store).sweep());
    next_call(&store).await;
    let begin = Instant::now();
    next_call(&store).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    next_call(&store).await;
    assert!(begin.elapsed() > Duration::from_secs(2), "nothing was found: {:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pauses_are_random_and_about_five_seconds() {
    let store = backlog(0).await;
    tokio::spawn(manager(&store).sweep());
    let mut pauses = Vec::new();
    for _ in 0..100 {
        let begin = Instant::now();
        next_call(&store).await;
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
    let store = backlog(1).await;
    store.hook().failures.store(3, Ordering::SeqCst);
    let builder = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>);
    let now = ManualClock::default();
    tokio::spawn(builder.clock(now.clone()).entropy(Broken).build().sweep());
    let begin = Instant::now();
    for _ in 0..4 {
        next_call(&store).await;
    }
    assert_eq!(left(&store, now.now()).await, 0);
    assert!(begin.elapsed() > Duration::from_secs(15), "a store that is down is not asked in a hurry");
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_is_dropped() {
    let store = backlog(0).await;
    let task = tokio::spawn(manager(&store).sweep());
    next_call(&store).await;
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
    let before = calls(&store);
    advance(Duration::from_secs(60)).await;
    assert_eq!(calls(&store), before);
    assert_eq!(Arc::strong_count(&store), 1, "it holds nothing any more");
}
