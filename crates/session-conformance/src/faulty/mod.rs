//! [`Faulty`]: a store with one broken rule.
//!
//! It does what the contract says, one call at a time, with nothing but `load`, an unlimited `create`, `delete` and
//! `list_by_user` of the store it wraps, and errs in one place. A fault about atomicity gives up its turn there.

mod create;
mod list;
mod other;
mod update;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};

use crate::fault::StoreFault;

/// What all handles on one namespace share.
#[derive(Default)]
pub(crate) struct Shared {
    turn: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

/// What some faults remember, beside the sessions.
#[derive(Default)]
struct Memory {
    /// Sessions as they were created.
    created: HashMap<SessionId, Record>,
    /// Sessions as they were last created or updated.
    written: HashMap<SessionId, Record>,
    /// `last_seen` as it was last created or touched.
    touched: HashMap<SessionId, Timestamp>,
    /// Sessions that can be loaded although they are gone.
    kept: HashMap<SessionId, Record>,
    /// Sessions that are listed although they are gone.
    ghosts: Vec<Record>,
    /// What was written, by user, each time it was.
    index: HashMap<UserId, Vec<SessionId>>,
    users: BTreeSet<UserId>,
    revoked: HashSet<UserId>,
    /// Ids that were ever part of a call.
    mentioned: HashSet<SessionId>,
    logouts: HashMap<UserId, usize>,
    latest: Option<Timestamp>,
    list_is_locked: bool,
}

/// What one handle has for itself.
#[derive(Default)]
struct Own {
    loaded: HashMap<SessionId, Record>,
    created: HashSet<SessionId>,
    deleted: HashSet<SessionId>,
}

/// Somebody's turn: no other call is under way.
type Turn<'t> = tokio::sync::MutexGuard<'t, ()>;

/// `inner` with one broken rule.
pub(crate) struct Faulty {
    inner: Arc<dyn SessionStore>,
    fault: StoreFault,
    shared: Arc<Shared>,
    own: Mutex<Own>,
    own_turn: tokio::sync::Mutex<()>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn SessionStore>, fault: StoreFault, shared: Arc<Shared>) -> Self {
        Self { inner, fault, shared, own: Mutex::default(), own_turn: tokio::sync::Mutex::default() }
    }

    fn is(&self, fault: StoreFault) -> bool {
        self.fault == fault
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&self) -> Turn<'_> {
        self.shared.turn.lock().await
    }

    /// Lets others go first.
    async fn pause<'t>(&'t self, turn: Turn<'t>) -> Turn<'t> {
        drop(turn);
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        self.turn().await
    }

    /// The time, as the fault sees it.
    fn time(&self, now: Timestamp) -> Timestamp {
        self.memory().latest = Some(now);
        match self.fault {
            StoreFault::ExpiresLate => now - Duration::from_millis(1),
            StoreFault::ExpiresEarly => now + Duration::from_millis(1),
            _ => now,
        }
    }

    /// Whether `record` is expired, as the fault sees it.
    fn is_expired(&self, record: &Record, now: Timestamp) -> bool {
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

    /// Whether `record` is expired at the time of the latest call that had one.
    fn is_expired_by_now(&self, record: &Record) -> bool {
        let latest = self.memory().latest;
        latest.is_some_and(|now| record.is_expired(now))
    }

    fn fails() -> StoreError {
        StoreError::new(StoreErrorKind::Unavailable, "seeded fault")
    }

    /// The record of `id`, live or expired.
    async fn fetch(&self, id: &SessionId) -> Result<Option<Record>, StoreError> {
        self.memory().mentioned.insert(*id);
        if self.own().deleted.contains(id) {
            return Ok(None);
        }
        self.inner.load(id, Freshness::Latest).await
    }

    /// All sessions of `user`, live or expired.
    async fn sessions(&self, user: &UserId) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for summary in self.inner.list_by_user(user, Timestamp::from_millis(i64::MIN)).await? {
            records.extend(self.fetch(&summary.id).await?);
        }
        Ok(records)
    }

    /// All sessions that were ever created and are still there.
    async fn everything(&self) -> Result<Vec<Record>, StoreError> {
        let ids: Vec<SessionId> = self.memory().created.keys().copied().collect();
        let mut records = Vec::new();
        for id in ids {
            records.extend(self.fetch(&id).await?);
        }
        Ok(records)
    }

    /// All anonymous sessions.
    async fn visitors(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = self.everything().await?;
        records.retain(|record| record.user().is_none());
        Ok(records)
    }

    /// Stores `record`, whatever is there.
    async fn put(&self, record: &Record) -> Result<(), StoreError> {
        if let Some(stored) = self.inner.load(&record.summary.id, Freshness::Latest).await? {
            self.remove(&stored).await?;
        }
        let _ = self.inner.create(CreateRequest { record, replaces: None, limit: None }, Timestamp::EPOCH).await?;
        self.own().deleted.remove(&record.summary.id);
        Ok(())
    }

    async fn remove(&self, record: &Record) -> Result<(), StoreError> {
        let _ = self.inner.delete(&record.summary.id, record.user()).await?;
        Ok(())
    }
}

#[async_trait]
impl SessionStore for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.read(id).await
    }

    async fn create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.admit(admission, self.time(now)).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.swap(record, expected, self.time(now)).await
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.see(id, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.end(id, user).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.list(user, self.time(now)).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.revoke(user, keep).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.sweep(self.time(now), limit).await
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Faulty");
        shown.field("inner", &self.inner).field("fault", &self.fault);
        if self.is(StoreFault::DebugShowsUsers) {
            let users: Vec<String> = self.memory().users.iter().map(|user| user.as_str().to_owned()).collect();
            shown.field("users", &users);
        }
        shown.finish_non_exhaustive()
    }
}
