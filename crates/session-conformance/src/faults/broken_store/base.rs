//! [`BrokenStore`], and the operations that its rules are made of.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::store::{CreateRequest, Freshness, Record, SessionStore};
use session_core::{SessionId, StoreError, StoreErrorKind, Timestamp, UserId};

use crate::faults::store_fault::StoreFault;

/// What all handles on one namespace share.
#[derive(Default)]
pub(crate) struct Shared {
    turn: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

/// What some faults remember beside the sessions.
#[derive(Default)]
pub(super) struct Memory {
    /// Sessions as they were created.
    pub(super) created: HashMap<SessionId, Record>,
    /// Sessions as they were last created or updated.
    pub(super) written: HashMap<SessionId, Record>,
    /// `last_seen` as it was last created or touched.
    pub(super) touched: HashMap<SessionId, Timestamp>,
    /// Sessions that can be loaded although they are gone.
    pub(super) kept: HashMap<SessionId, Record>,
    /// Sessions that are listed although they are gone.
    pub(super) ghosts: Vec<Record>,
    /// Every write, by user.
    pub(super) index: HashMap<UserId, Vec<SessionId>>,
    pub(super) users: BTreeSet<UserId>,
    pub(super) revoked: HashSet<UserId>,
    /// Ids of all calls so far.
    pub(super) mentioned: HashSet<SessionId>,
    pub(super) logouts: HashMap<UserId, usize>,
    pub(super) latest: Option<Timestamp>,
    pub(super) list_is_locked: bool,
}

/// The state of one handle.
#[derive(Default)]
pub(super) struct HandleState {
    pub(super) loaded: HashMap<SessionId, Record>,
    pub(super) created: HashSet<SessionId>,
    pub(super) deleted: HashSet<SessionId>,
}

/// A turn: no other call is in progress.
pub(super) type Turn<'t> = tokio::sync::MutexGuard<'t, ()>;

/// `inner` with one broken rule.
///
/// Follows the contract, one call at a time, using only `load`, an unlimited `create`, `delete` and `list_by_user` of
/// `inner`, and breaks one rule. A fault of atomicity gives up its turn there.
pub(crate) struct BrokenStore {
    pub(super) inner: Arc<dyn SessionStore>,
    pub(super) fault: StoreFault,
    shared: Arc<Shared>,
    handle: Mutex<HandleState>,
    pub(super) handle_turn: tokio::sync::Mutex<()>,
}

impl BrokenStore {
    pub(crate) fn new(inner: Arc<dyn SessionStore>, fault: StoreFault, shared: Arc<Shared>) -> Self {
        Self { inner, fault, shared, handle: Mutex::default(), handle_turn: tokio::sync::Mutex::default() }
    }

    pub(super) fn is(&self, fault: StoreFault) -> bool {
        self.fault == fault
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle(&self) -> MutexGuard<'_, HandleState> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn turn(&self) -> Turn<'_> {
        self.shared.turn.lock().await
    }

    /// Lets other calls go first.
    pub(super) async fn pause<'t>(&'t self, turn: Turn<'t>) -> Turn<'t> {
        drop(turn);
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        self.turn().await
    }

    /// The time that expiry is judged by.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        self.memory().latest = Some(now);
        match self.fault {
            StoreFault::ExpiresLate => now - Duration::from_millis(1),
            StoreFault::ExpiresEarly => now + Duration::from_millis(1),
            _ => now,
        }
    }

    /// Whether the store considers `record` expired.
    pub(super) fn is_expired(&self, record: &Record, now: Timestamp) -> bool {
        match (self.fault, self.memory().written.get(&record.summary.id)) {
            (StoreFault::TouchKeepsDeadline, Some(written)) => written.is_expired(now),
            (StoreFault::TouchIgnoresAbsoluteDeadline, Some(written))
                if written.summary.last_seen < record.summary.last_seen =>
            {
                now >= record.summary.last_seen + record.summary.timeouts.idle
            }
            _ => record.is_expired(now),
        }
    }

    /// Whether `record` is expired at the time of the latest call that passed one.
    pub(super) fn is_expired_by_now(&self, record: &Record) -> bool {
        let latest = self.memory().latest;
        latest.is_some_and(|now| record.is_expired(now))
    }

    pub(super) fn fails() -> StoreError {
        StoreError::new(StoreErrorKind::Unavailable, "seeded fault")
    }

    /// The record of `id`, live or expired.
    pub(super) async fn fetch(&self, id: &SessionId) -> Result<Option<Record>, StoreError> {
        self.memory().mentioned.insert(*id);
        if self.handle().deleted.contains(id) {
            return Ok(None);
        }
        self.inner.load(id, Freshness::Latest).await
    }

    /// All sessions of `user`, live or expired.
    pub(super) async fn sessions(&self, user: &UserId) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for summary in self.inner.list_by_user(user, Timestamp::from_millis(i64::MIN)).await? {
            records.extend(self.fetch(&summary.id).await?);
        }
        Ok(records)
    }

    /// All sessions that were ever created and are still there.
    pub(super) async fn everything(&self) -> Result<Vec<Record>, StoreError> {
        let ids: Vec<SessionId> = self.memory().created.keys().copied().collect();
        let mut records = Vec::new();
        for id in ids {
            records.extend(self.fetch(&id).await?);
        }
        Ok(records)
    }

    /// All anonymous sessions.
    pub(super) async fn anonymous(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = self.everything().await?;
        records.retain(|record| record.user().is_none());
        Ok(records)
    }

    /// Stores `record` over anything that is there.
    pub(super) async fn put(&self, record: &Record) -> Result<(), StoreError> {
        if let Some(stored) = self.inner.load(&record.summary.id, Freshness::Latest).await? {
            self.remove(&stored).await?;
        }
        let _ = self.inner.create(CreateRequest::new(record), Timestamp::EPOCH).await?;
        self.handle().deleted.remove(&record.summary.id);
        Ok(())
    }

    pub(super) async fn remove(&self, record: &Record) -> Result<(), StoreError> {
        let _ = self.inner.delete(&record.summary.id, record.user()).await?;
        Ok(())
    }
}

impl fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BrokenStore");
        shown.field("inner", &self.inner).field("fault", &self.fault);
        if self.is(StoreFault::DebugShowsUsers) {
            let users: Vec<String> = self.memory().users.iter().map(|user| user.as_str().to_owned()).collect();
            shown.field("users", &users);
        }
        shown.finish_non_exhaustive()
    }
}
