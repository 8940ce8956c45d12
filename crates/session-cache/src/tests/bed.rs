//! A cache over the reference store, with what can go wrong around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Intercept, Intercepted, RecordBuilder, ReferenceStore, StoreCall};
use session_core::store::{CreateOutcome, CreateRequest, Feed, FeedEvent, Freshness, Record, SessionStore, Version};
use session_core::{OsEntropy, SessionId, StoreError, StoreErrorKind, Timestamp, UserId};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::clock::Manual;
use crate::{CachedStore, CachedStoreBuilder};

pub(super) const MAX_STALE: Duration = Duration::from_secs(5);
pub(super) const MILLI: Duration = Duration::from_millis(1);
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Counts, holds and fails operations.
#[derive(Debug)]
pub(super) struct Network {
    calls: Mutex<Vec<&'static str>>,
    replies: Semaphore,
    holds: AtomicBool,
    loses: AtomicBool,
    fails: Mutex<Option<StoreErrorKind>>,
    /// What every load returns.
    forged: Mutex<Option<Record>>,
}

impl Intercept for Network {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.calls.lock().unwrap().push(call.operation);
        if let Some(kind) = *self.fails.lock().unwrap() {
            return Err(StoreError::new(kind, "injected failure"));
        }
        let result = execute.await;
        if self.holds.load(Ordering::SeqCst) {
            self.replies.acquire().await.unwrap().forget();
        }
        if self.loses.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Timeout, "the reply was lost"));
        }
        result
    }

    fn loaded(&self, record: Option<Record>) -> Option<Record> {
        self.forged.lock().unwrap().clone().or(record)
    }
}

pub(super) type Inner = Arc<Intercepted<Network>>;

pub(super) struct Bed {
    /// Behind the network, where other nodes write.
    pub(super) server: Arc<ReferenceStore>,
    pub(super) network: Inner,
    pub(super) store: CachedStore<Inner>,
    pub(super) clock: Arc<Manual>,
    pub(super) feed: Remote,
}

/// The other end of a feed.
pub(super) struct Remote {
    sender: mpsc::UnboundedSender<FeedEvent>,
    asked: watch::Receiver<u64>,
    sent: u64,
}

/// What a [`Remote`] tells.
#[derive(Debug)]
pub(super) struct Channel {
    receiver: mpsc::UnboundedReceiver<FeedEvent>,
    asked: watch::Sender<u64>,
}

#[async_trait]
impl Feed for Channel {
    async fn next(&mut self, _beat: Duration) -> FeedEvent {
        self.asked.send_modify(|asked| *asked += 1);
        match self.receiver.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

pub(super) fn feed() -> (Remote, Box<dyn Feed>) {
    let ((sender, receiver), (asks, asked)) = (mpsc::unbounded_channel(), watch::channel(0));
    (Remote { sender, asked, sent: 0 }, Box::new(Channel { receiver, asked: asks }))
}

impl Remote {
    /// Tells, and waits until that is taken in.
    pub(super) async fn tell(&mut self, event: FeedEvent) {
        self.sender.send(event).unwrap();
        self.sent += 1;
        // Whoever asks for the next one has taken in the one before.
        self.asked.wait_for(|asked| *asked > self.sent).await.unwrap();
    }

    /// Waits until another task asks. What the one before asked for was not answered.
    pub(super) async fn asked_anew(&mut self) {
        self.sent += 1;
        self.asked.wait_for(|asked| *asked > self.sent).await.unwrap();
    }

    /// Completes when the feed itself is dropped.
    pub(super) async fn dropped(&self) {
        self.sender.closed().await;
    }
}

impl Bed {
    pub(super) fn with_feed() -> Self {
        let (remote, feed) = feed();
        Self::with(remote, |builder| builder.feed(feed))
    }

    pub(super) fn without_feed() -> Self {
        Self::with(feed().0, |builder| builder)
    }

    pub(super) fn with(
        feed: Remote,
        options: impl FnOnce(CachedStoreBuilder<Inner>) -> CachedStoreBuilder<Inner>,
    ) -> Self {
        let server = Arc::new(ReferenceStore::new());
        let network = Network {
            calls: Mutex::default(),
            replies: Semaphore::new(0),
            holds: AtomicBool::new(false),
            loses: AtomicBool::new(false),
            fails: Mutex::default(),
            forged: Mutex::default(),
        };
        let network = Arc::new(Intercepted::new(Arc::clone(&server), network));
        let clock = Arc::new(Manual::new());
        let builder = CachedStore::builder(Arc::clone(&network), MAX_STALE).time(Arc::clone(&clock) as _);
        Self { server, network, store: options(builder).build(), clock, feed }
    }

    /// A session that another node has created.
    pub(super) async fn session(&self) -> Record {
        let record = record();
        let created = self.server.create(CreateRequest::new(&record), NOW).await.unwrap();
        assert_eq!(created, CreateOutcome::Created { evicted: Vec::new() });
        record
    }

    /// A session of which there is a copy.
    pub(super) async fn copied(&self) -> Record {
        let record = self.session().await;
        assert!(self.load(&record.id()).await.is_some());
        assert!(self.has_copy(&record.id()));
        record
    }

    /// As a request loads it.
    pub(super) async fn load(&self, id: &SessionId) -> Option<Record> {
        self.store.load(id, Freshness::Cached).await.unwrap()
    }

    /// Whether a request costs no round trip now.
    pub(super) fn has_copy(&self, id: &SessionId) -> bool {
        self.store.copy(id).is_some()
    }

    /// The operations that reached the network since the last call of this.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.network.hook().calls.lock().unwrap())
    }

    /// From now on, operations are executed, and their replies are on their way until they are released.
    pub(super) fn hold_replies(&self) {
        self.network.hook().holds.store(true, Ordering::SeqCst);
    }

    /// The replies of what is called from now on are not on their way for long.
    pub(super) fn stop_holding(&self) {
        self.network.hook().holds.store(false, Ordering::SeqCst);
    }

    /// So many replies arrive.
    pub(super) fn release(&self, replies: usize) {
        self.network.hook().replies.add_permits(replies);
    }

    /// Replies are lost from now on, or no longer.
    pub(super) fn lose_replies(&self, lose: bool) {
        self.network.hook().loses.store(lose, Ordering::SeqCst);
    }

    /// Nothing is executed from now on.
    pub(super) fn fail(&self, kind: StoreErrorKind) {
        *self.network.hook().fails.lock().unwrap() = Some(kind);
    }

    /// All is well again.
    pub(super) fn heal(&self) {
        *self.network.hook().fails.lock().unwrap() = None;
    }

    /// The version of the copy, if there is a good one.
    pub(super) fn copy_version(&self, id: &SessionId) -> Option<Version> {
        self.store.copy(id).map(|record| record.version)
    }

    /// The version that is stored.
    pub(super) async fn server_version(&self, id: &SessionId) -> Option<Version> {
        self.server.load(id, Freshness::Latest).await.unwrap().map(|record| record.version)
    }

    /// Loads return this, whatever is stored.
    pub(super) fn forge(&self, record: Option<Record>) {
        *self.network.hook().forged.lock().unwrap() = record;
    }

    /// Sends a load, whose reply is on its way when this returns.
    pub(super) async fn load_under_way(
        &self,
        id: &SessionId,
        freshness: Freshness,
    ) -> tokio::task::JoinHandle<Option<Record>> {
        self.hold_replies();
        let before = self.network.hook().calls.lock().unwrap().len();
        let (store, id) = (self.store.clone(), *id);
        let load = tokio::spawn(async move { store.load(&id, freshness).await.unwrap() });
        while self.network.hook().calls.lock().unwrap().len() == before {
            tokio::task::yield_now().await;
        }
        load
    }

    /// All that was done before now was told.
    pub(super) async fn beat(&mut self) {
        let asked = self.clock.instant();
        self.feed.tell(FeedEvent::Beat { asked }).await;
    }

    /// The feed is followed from now on: what is loaded next is loaded later.
    pub(super) async fn follow(&mut self) {
        self.load(&record().id()).await;
        self.beat().await;
        self.clock.advance(Duration::from_nanos(1));
    }
}

pub(super) fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

pub(super) fn record() -> Record {
    RecordBuilder::new(NOW).of(&alice()).value("note", "1").build().unwrap()
}

/// The next version.
pub(super) fn next(record: &Record) -> Record {
    Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() }
}
