//! [`ReferenceStore`]: the contract of `SessionStore`, as plainly as it can be written.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use session_core::{
    Admission, Admitted, AtLimit, Deleted, Record, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    Touched, Updated, UserId, Version,
};

/// The contract, executable: one map under one lock. What the suite is tested against, and what to read when the prose
/// of [`SessionStore`] leaves a question. Not for production: every operation visits every session.
#[derive(Debug, Default)]
pub struct ReferenceStore {
    records: Mutex<HashMap<SessionId, Record>>,
}

impl ReferenceStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for ReferenceStore {
    fn name(&self) -> &'static str {
        "reference"
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().get(id).cloned())
    }

    async fn create(&self, admission: Admission<'_>, now: Timestamp) -> Result<Admitted, StoreError> {
        let Admission { record, replaces, limit } = admission;
        let mut records = self.lock();
        match live(&records, &record.id, now) {
            Some(stored) if stored.version == record.version => return Ok(Admitted::Created { evicted: Vec::new() }),
            Some(_) => return Ok(Admitted::Occupied),
            None => {}
        }
        let mut leaving = Vec::new();
        if let Some(replaces) = replaces {
            match live(&records, &replaces.id, now) {
                None => return Ok(Admitted::ReplacedAbsent),
                Some(stored) if stored.version != replaces.version => return Ok(Admitted::ReplacedChanged),
                Some(stored) => leaving.push(stored.id),
            }
        }
        let mut evicted = Vec::new();
        if let (Some(limit), Some(user)) = (limit, record.user()) {
            let mut others: Vec<&Record> = records
                .values()
                .filter(|other| other.user() == Some(user) && !other.is_expired(now) && !leaving.contains(&other.id))
                .collect();
            let excess = (others.len() + 1).saturating_sub(limit.max.get() as usize);
            match limit.at_limit {
                AtLimit::Reject if excess > 0 => return Ok(Admitted::LimitReached),
                AtLimit::Reject => {}
                AtLimit::EvictOldest => others.sort_by_key(|other| (other.created_at, other.id)),
                AtLimit::EvictLeastRecent => others.sort_by_key(|other| (other.last_seen, other.id)),
            }
            evicted.extend(others.iter().take(excess).map(|other| other.id));
        }
        for id in leaving.iter().chain(&evicted) {
            records.remove(id);
        }
        records.insert(record.id, record.clone());
        Ok(Admitted::Created { evicted })
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<Updated, StoreError> {
        let mut records = self.lock();
        let Some(stored) = live(&records, &record.id, now) else { return Ok(Updated::Absent) };
        if stored.version == record.version {
            return Ok(Updated::Applied);
        }
        if stored.version != expected {
            return Ok(Updated::Conflict);
        }
        let last_seen = stored.last_seen.max(record.last_seen);
        records.insert(record.id, Record { last_seen, ..record.clone() });
        Ok(Updated::Applied)
    }

    async fn touch(
        &self,
        id: &SessionId,
        _user: Option<&UserId>,
        seen: Timestamp,
        now: Timestamp,
    ) -> Result<Touched, StoreError> {
        let mut records = self.lock();
        match records.get_mut(id) {
            Some(stored) if !stored.is_expired(now) => {
                stored.last_seen = stored.last_seen.max(seen);
                Ok(Touched::Applied)
            }
            Some(_) | None => Ok(Touched::Absent),
        }
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<Deleted, StoreError> {
        let mut records = self.lock();
        if records.get(id).is_some_and(|stored| stored.user() == user) {
            records.remove(id);
            return Ok(Deleted::Deleted);
        }
        Ok(Deleted::Absent)
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let records = self.lock();
        let mine = records.values().filter(|record| record.user() == Some(user) && !record.is_expired(now));
        Ok(mine.map(Record::summary).collect())
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        let mut records = self.lock();
        let mine = records.values().filter(|record| record.user() == Some(user) && Some(&record.id) != keep);
        let leaving: Vec<SessionId> = mine.map(|record| record.id).collect();
        for id in &leaving {
            records.remove(id);
        }
        Ok(leaving)
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let mut records = self.lock();
        let expired = records.values().filter(|record| record.is_expired(now)).take(limit.get() as usize);
        let leaving: Vec<SessionId> = expired.map(|record| record.id).collect();
        for id in &leaving {
            records.remove(id);
        }
        Ok(leaving.len() as u64)
    }
}

/// The record of `id`, unless it is expired: to every method that takes the time, an expired record is absent.
fn live<'r>(records: &'r HashMap<SessionId, Record>, id: &SessionId, now: Timestamp) -> Option<&'r Record> {
    records.get(id).filter(|record| !record.is_expired(now))
}
