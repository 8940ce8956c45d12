//! What is done: sessions are opened, committed, listed and revoked. The only callers of a store. Here: the manager, where
//! its sessions are kept, and the queue of commits after a conflict.

pub(crate) mod builder;
pub(crate) mod refresh;

mod commit;
mod open;
mod revoke;
mod sweep;

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::clock::Timestamp;
use crate::decide::verdict::{LoadedSession, Proof, Replaced};
use crate::entropy::Entropy;
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::event::{Event, EventKind, SessionObserver};
use crate::model::credential::Credential;
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::model::summary::{SessionSummary, Timeouts};
use crate::model::token::Kind;
use crate::policy::limit::SessionLimit;
use crate::policy::rules::Policy;
use crate::session::Context;
use crate::store::contract::{
    CreateOutcome, CreateRequest, DeleteOutcome, Freshness, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};

/// Opens, commits, lists and revokes sessions. Cheap to clone; one per application.
///
/// ```
/// # use session_core::{Policy, SessionManager, store::SessionStore};
/// # fn demo(store: impl SessionStore) {
/// let sessions = SessionManager::new(store, Policy::standard());
/// # }
/// ```
#[derive(Clone)]
pub struct SessionManager {
    inner: Arc<Inner>,
}

struct Inner {
    backing: Backing,
    context: Arc<Context>,
    entropy: Arc<dyn Entropy>,
    observers: Vec<Arc<dyn SessionObserver>>,
    queue: CommitQueue,
}

impl SessionManager {
    /// A manager with the clock and the random generator of the operating system, and no observer.
    #[must_use]
    pub fn new(store: impl SessionStore, policy: Policy) -> Self {
        Self::builder(Arc::new(store)).policy(policy).build()
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.inner.context.policy
    }

    /// The time, by the manager's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.context.now()
    }

    /// Tells the observers. For adapters, which see what core cannot: a request refused as cross-origin.
    pub fn report(&self, kind: EventKind, session: Option<SessionId>, user: Option<UserId>) {
        if self.inner.observers.is_empty() {
            return;
        }
        let event = Event { at: self.now(), session, user, kind };
        for observer in &self.inner.observers {
            // An audit sink that fails must not keep a session alive.
            let _ = catch_unwind(AssertUnwindSafe(|| observer.on_event(&event)));
        }
    }

    /// The store, for an operation that client-side sessions do not have.
    fn store(&self, operation: &'static str) -> Result<&dyn SessionStore, Error> {
        self.inner.backing.store().map_err(|error| self.store_failed(operation, error))
    }

    /// One store operation, within the store timeout.
    async fn store_call<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        let mut answer = pin!(answer);
        // Set when it is first waited for: a store that answers at once pays for no timer.
        let mut timer = pin!(None);
        let answered = poll_fn(|context| {
            if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                return Poll::Ready(Some(answered));
            }
            if timer.is_none() {
                timer.set(Some(tokio::time::sleep(self.policy().store_timeout())));
            }
            timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(context).map(|()| None))
        });
        match answered.await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.store_failed(operation, error)),
            None => {
                let error = StoreError::new(StoreErrorKind::Timeout, "no answer within the store timeout");
                Err(self.store_failed(operation, error))
            }
        }
    }

    /// Names what failed, and reports it.
    fn store_failed(&self, operation: &'static str, error: StoreError) -> Error {
        self.report(EventKind::StoreFailed { operation, kind: error.kind() }, None, None);
        Error::Store(error.in_context(self.inner.backing.name(), operation))
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("store", &self.inner.backing.name())
            .field("policy", self.policy())
            .finish_non_exhaustive()
    }
}

/// Where sessions are kept. Nothing else tells the two apart when they are written.
enum Backing {
    Store(Arc<dyn SessionStore>),
    /// By their clients. Two requests that change one session at once are not noticed, and a user's sessions can be
    /// neither listed nor limited. With a deny list, sessions that ended are known.
    Client {
        deny_list: Option<DenyList>,
    },
}

/// Ids of client-side sessions that ended before their deadline, kept in a store as anonymous sessions without values.
struct DenyList {
    store: Arc<dyn SessionStore>,
    entropy: Arc<dyn Entropy>,
    /// How long any session may live: after that, the entry is of no use.
    longest: Duration,
}

impl Backing {
    fn name(&self) -> &'static str {
        match self {
            Self::Store(store) => store.name(),
            Self::Client { .. } => "client-side",
        }
    }

    /// The store, for what only a store can do.
    fn store(&self) -> Result<&dyn SessionStore, StoreError> {
        match self {
            Self::Store(store) => Ok(&**store),
            Self::Client { .. } => {
                let detail = "client-side sessions are known to their clients only; \
                              use a store to list, limit or revoke sessions";
                Err(StoreError::new(StoreErrorKind::Unsupported, detail))
            }
        }
    }

    async fn create(
        &self,
        record: &Record,
        replaces: Option<&Replaced>,
        limit: Option<SessionLimit>,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        match self {
            Self::Store(store) => {
                let replaces = replaces.map(|Replaced { id, user, version, .. }| Replacement {
                    id: *id,
                    user: user.as_ref(),
                    version: *version,
                });
                store.create(CreateRequest { record, replaces, limit }, now).await
            }
            Self::Client { deny_list } => match replaces {
                Some(old) if deny(deny_list.as_ref(), old.id, now).await? == DeleteOutcome::Absent => {
                    Ok(CreateOutcome::ReplacedAbsent)
                }
                Some(_) | None => Ok(CreateOutcome::Created { evicted: Vec::new() }),
            },
        }
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        match self {
            Self::Store(store) => store.update(record, expected, now).await,
            Self::Client { .. } if self.is_denied(&record.id(), now).await? => Ok(UpdateOutcome::Absent),
            Self::Client { .. } => Ok(UpdateOutcome::Applied),
        }
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        match self {
            Self::Store(store) => store.touch(id, user, now).await,
            Self::Client { .. } if self.is_denied(id, now).await? => Ok(TouchOutcome::Absent),
            Self::Client { .. } => Ok(TouchOutcome::Applied),
        }
    }

    /// Ends a session, as far as that is possible.
    async fn delete(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<DeleteOutcome, StoreError> {
        match self {
            Self::Store(store) => store.delete(id, user).await,
            Self::Client { deny_list } => deny(deny_list.as_ref(), *id, now).await,
        }
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        match self {
            Self::Store(store) | Self::Client { deny_list: Some(DenyList { store, .. }) } => {
                store.delete_expired(now, limit).await
            }
            Self::Client { deny_list: None } => Ok(0),
        }
    }

    /// Whether a client-side session was ended. Its record in a store says that of any other.
    async fn is_denied(&self, id: &SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let Self::Client { deny_list: Some(list) } = self else { return Ok(false) };
        let entry = list.store.load(id, Freshness::Latest).await?;
        Ok(entry.is_some_and(|entry| !entry.is_expired(now)))
    }

    /// A session that was created, with the proof that its next change rests on.
    fn created(&self, session: Arc<LoadedSession>) -> Arc<LoadedSession> {
        match self {
            Self::Store(_) => session,
            Self::Client { .. } => Arc::new(LoadedSession { record: session.record.clone(), proof: Proof::Seal }),
        }
    }
}

async fn deny(list: Option<&DenyList>, id: SessionId, now: Timestamp) -> Result<DeleteOutcome, StoreError> {
    match list {
        Some(list) => list.add(id, now).await,
        None => Ok(DeleteOutcome::Deleted),
    }
}

impl DenyList {
    async fn add(&self, id: SessionId, now: Timestamp) -> Result<DeleteOutcome, StoreError> {
        let no_entropy = |_| StoreError::new(StoreErrorKind::Other, "the random generator failed");
        let (credential, _) = Credential::issue(Kind::Cookie, id, now, &*self.entropy).map_err(no_entropy)?;
        let timeouts = Timeouts { idle: self.longest, absolute: self.longest };
        let summary = SessionSummary::new(id, Kind::Cookie, now, timeouts);
        let entry = Record::new(summary, Version::first(&*self.entropy).map_err(no_entropy)?, credential);
        match self.store.create(CreateRequest::new(&entry), now).await? {
            CreateOutcome::Created { .. } => Ok(DeleteOutcome::Deleted),
            CreateOutcome::IdTaken => Ok(DeleteOutcome::Absent),
            CreateOutcome::LimitReached | CreateOutcome::ReplacedChanged | CreateOutcome::ReplacedAbsent => {
                Err(StoreError::new(StoreErrorKind::Other, "the deny list breaks the store contract"))
            }
        }
    }
}

type Turns = HashMap<SessionId, Arc<AsyncMutex<()>>>;

/// The sessions for which a commit met a conflict and is being repeated. Empty almost always: an uncontended commit
/// costs one load of an atomic.
#[derive(Default)]
struct CommitQueue {
    turns: Mutex<Turns>,
    len: AtomicUsize,
}

impl CommitQueue {
    /// Whether a commit of `id` is being repeated right now.
    fn is_contended(&self, id: &SessionId) -> bool {
        self.len.load(Ordering::Acquire) != 0 && self.lock().contains_key(id)
    }

    /// Waits for the other commits of `id` in this process.
    async fn turn(&self, id: SessionId) -> Turn<'_> {
        let mutex = {
            let mut turns = self.lock();
            let mutex = Arc::clone(turns.entry(id).or_default());
            self.len.store(turns.len(), Ordering::Release);
            mutex
        };
        // Exists before the wait, so that a request dropped while waiting cleans up too.
        let mut turn = Turn { queue: self, id, guard: None };
        turn.guard = Some(mutex.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CommitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitQueue").field("len", &self.len).finish()
    }
}

/// The right to commit one session.
struct Turn<'q> {
    queue: &'q CommitQueue,
    id: SessionId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut turns = self.queue.lock();
        // The map's own reference is the last one when the turn is neither held nor waited for.
        if turns.get(&self.id).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            turns.remove(&self.id);
        }
        self.queue.len.store(turns.len(), Ordering::Release);
    }
}
