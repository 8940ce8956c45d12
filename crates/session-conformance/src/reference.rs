//! [`ReferenceStore`]: the contract of `SessionStore` as plain code.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{
    DeleteOutcome, LimitPolicy, SessionId, SessionLimit, SessionSummary, StoreError, Timestamp, UserId,
};

/// The executable contract: one map under one lock. The suite is tested with it, and it answers what the prose of
/// [`SessionStore`] leaves open. Not for production: most operations visit every session.
#[derive(Debug, Default)]
pub struct ReferenceStore {
    sessions: Mutex<Sessions>,
}

impl ReferenceStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the contract says about sequential calls. Recorded histories are checked against it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    /// Shared, because the search for the order of a history copies them at every step.
    pub(crate) records: HashMap<SessionId, Arc<Record>>,
    /// Which of them are anonymous and were created under a limit.
    pub(crate) visitors: HashSet<SessionId>,
    /// Ids that were to be deleted, whether or not they were there.
    pub(crate) ended: HashSet<SessionId>,
}

/// The stored sessions, by id.
pub(crate) type Snapshot = Vec<(SessionId, Version, Timestamp)>;

impl Sessions {
    /// Identifies a state within one history, where a version determines the values.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let sessions = self.records.values().map(|record| (record.id(), record.version, record.summary.last_seen));
        let mut sessions: Snapshot = sessions.collect();
        sessions.sort_unstable_by_key(|(id, ..)| *id);
        sessions
    }

    pub(crate) fn load(&self, id: &SessionId) -> Option<&Record> {
        self.records.get(id).map(Arc::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Record> {
        self.records.get_mut(id).map(Arc::make_mut)
    }

    /// Stores `record` over anything that is there.
    pub(crate) fn put(&mut self, record: Record) {
        self.records.insert(record.id(), Arc::new(record));
    }

    /// What `after`, which was copied from this, has otherwise: deletions as `None`, then insertions.
    pub(crate) fn changes(&self, after: &Self) -> Vec<(SessionId, Option<Arc<Record>>)> {
        let deleted = self.records.keys().filter(|id| !after.records.contains_key(id)).map(|id| (*id, None));
        let is_same = |id, record| self.records.get(id).is_some_and(|before| Arc::ptr_eq(before, record));
        let stored = after.records.iter().filter(|(id, record)| !is_same(*id, record));
        deleted.chain(stored.map(|(id, record)| (*id, Some(Arc::clone(record))))).collect()
    }

    pub(crate) fn create(&mut self, request: CreateRequest<'_>, now: Timestamp) -> CreateOutcome {
        let (CreateRequest { record, replaces, .. }, limit) = (request, request.limit_of_owner());
        match live(&self.records, &record.id(), now) {
            Some(stored) if stored.version == record.version => return CreateOutcome::Created { evicted: Vec::new() },
            Some(_) => return CreateOutcome::IdTaken,
            None => {}
        }
        let mut removed = Vec::new();
        if let Some(replaces) = replaces {
            match live(&self.records, &replaces.id, now) {
                None => return CreateOutcome::ReplacedAbsent,
                Some(stored) if stored.version != replaces.version => return CreateOutcome::ReplacedChanged,
                Some(stored) => removed.push(stored.id()),
            }
        }
        let mut evicted = Vec::new();
        if let Some(limit) = limit {
            let counts = |other: &Record| match record.user() {
                Some(user) => other.user() == Some(user),
                None => self.visitors.contains(&other.id()),
            };
            let others = self
                .records
                .values()
                .map(Arc::as_ref)
                .filter(|other| counts(other) && !other.is_expired(now) && !removed.contains(&other.id()));
            match evictions(limit, others.collect()) {
                Some(oldest) => evicted = oldest,
                None => return CreateOutcome::LimitReached,
            }
        }
        for id in removed.iter().chain(&evicted) {
            self.records.remove(id);
        }
        self.put(record.clone());
        if request.visitor().is_some() {
            self.visitors.insert(record.id());
        }
        CreateOutcome::Created { evicted }
    }

    pub(crate) fn update(&mut self, record: &Record, expected: Version, now: Timestamp) -> UpdateOutcome {
        let Some(stored) = live(&self.records, &record.id(), now) else { return UpdateOutcome::Absent };
        if stored.version == record.version {
            return UpdateOutcome::Applied;
        }
        if stored.version != expected {
            return UpdateOutcome::Conflict;
        }
        let last_seen = stored.summary.last_seen.max(record.summary.last_seen);
        self.put(record.clone().touched(last_seen));
        UpdateOutcome::Applied
    }

    pub(crate) fn touch(&mut self, id: &SessionId, now: Timestamp) -> TouchOutcome {
        match self.get_mut(id) {
            Some(stored) if !stored.is_expired(now) => {
                stored.summary.last_seen = stored.summary.last_seen.max(now);
                TouchOutcome::Applied
            }
            Some(_) | None => TouchOutcome::Absent,
        }
    }

    pub(crate) fn delete(&mut self, id: &SessionId, user: Option<&UserId>) -> DeleteOutcome {
        self.ended.insert(*id);
        if self.records.get(id).is_some_and(|stored| stored.user() == user) {
            self.records.remove(id);
            return DeleteOutcome::Deleted;
        }
        DeleteOutcome::Absent
    }

    pub(crate) fn list_by_user(&self, user: &UserId, now: Timestamp) -> Listing {
        let mut listing = Listing::default();
        let mine = self.records.values().filter(|record| record.user() == Some(user) && !record.is_expired(now));
        listing.sessions.extend(mine.map(|record| record.summary.clone()));
        listing
    }

    /// The live sessions behind `after`, in the order of their ids.
    pub(crate) fn list_all(&self, after: Option<SessionId>, limit: NonZeroU32, now: Timestamp) -> Page {
        let mut live: Vec<&SessionSummary> = self.records.values().map(|record| &record.summary).collect();
        live.retain(|session| !session.is_expired(now) && after.is_none_or(|after| session.id > after));
        live.sort_unstable_by_key(|session| session.id);
        let is_last = live.len() <= limit.get() as usize;
        live.truncate(limit.get() as usize);
        let next = live.last().filter(|_| !is_last).map(|last| Cursor::behind(&last.id));
        let mut listing = Listing::default();
        listing.sessions.extend(live.into_iter().cloned());
        Page::new(listing, next)
    }

    pub(crate) fn count(&self, now: Timestamp) -> Count {
        Count::exact(self.records.values().filter(|record| !record.is_expired(now)).count() as u64)
    }

    pub(crate) fn delete_by_user(&mut self, user: &UserId, keep: Option<&SessionId>, now: Timestamp) -> Listing {
        let mut listing = Listing::default();
        let ends = |id: &SessionId, record: &mut Arc<Record>| record.user() == Some(user) && Some(id) != keep;
        let ended = self.records.extract_if(ends).filter(|(_, record)| !record.is_expired(now));
        listing.sessions.extend(ended.map(|(_, record)| record.summary.clone()));
        listing
    }

    pub(crate) fn delete_expired(&mut self, now: Timestamp, limit: NonZeroU32) -> u64 {
        self.records.extract_if(|_, record| record.is_expired(now)).take(limit.get() as usize).count() as u64
    }
}

/// The sessions that a login under `limit` evicts of the `others` of its user, or `None` if it is rejected.
pub(crate) fn evictions(limit: SessionLimit, mut others: Vec<&Record>) -> Option<Vec<SessionId>> {
    let excess = (others.len() + 1).saturating_sub(limit.max.get() as usize);
    match limit.at_limit {
        LimitPolicy::Reject if excess > 0 => return None,
        LimitPolicy::Reject => {}
        LimitPolicy::EvictOldest => others.sort_by_key(|other| (other.summary.created_at, other.id())),
        LimitPolicy::EvictLeastRecent => others.sort_by_key(|other| (other.summary.last_seen, other.id())),
    }
    Some(others.iter().take(excess).map(|other| other.id()).collect())
}

/// The record of `id`, unless it is expired: to every method that takes the time, an expired record is absent.
fn live<'r>(records: &'r HashMap<SessionId, Arc<Record>>, id: &SessionId, now: Timestamp) -> Option<&'r Record> {
    records.get(id).map(Arc::as_ref).filter(|record| !record.is_expired(now))
}

#[async_trait]
impl SessionStore for ReferenceStore {
    fn name(&self) -> &'static str {
        "reference"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().load(id).cloned())
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        Ok(self.lock().create(request, now))
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        Ok(self.lock().update(record, expected, now))
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        Ok(self.lock().touch(id, now))
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        Ok(self.lock().delete(id, user))
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        Ok(self.lock().list_by_user(user, now))
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        Ok(self.lock().delete_by_user(user, keep, now))
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let after = after.map(Cursor::session_id).transpose()?;
        Ok(self.lock().list_all(after, limit, now))
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        Ok(self.lock().count(now))
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        Ok(self.lock().delete_expired(now, limit))
    }
}
