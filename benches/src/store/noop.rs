//! [`NoopStore`]: the control.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, Timestamp, UserId};

/// A store that costs next to nothing, to see what everything around a store costs: records as they are in one map, no
/// encoding, no index, no limit, no expiry. Not for anything else.
#[derive(Debug, Default)]
pub(crate) struct NoopStore {
    records: Mutex<HashMap<SessionId, Record>>,
}

impl NoopStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for NoopStore {
    fn name(&self) -> &'static str {
        "noop"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().get(id).cloned())
    }

    async fn create(&self, admission: CreateRequest<'_>, _now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let mut records = self.lock();
        if let Some(replaces) = admission.replaces {
            records.remove(&replaces.id);
        }
        records.insert(admission.record.summary.id, admission.record.clone());
        Ok(CreateOutcome::Created { evicted: Vec::new() })
    }

    async fn update(&self, record: &Record, expected: Version, _now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        Ok(match self.lock().get_mut(&record.summary.id) {
            Some(stored) if stored.version == expected => {
                stored.clone_from(record);
                UpdateOutcome::Applied
            }
            Some(_) => UpdateOutcome::Conflict,
            None => UpdateOutcome::Absent,
        })
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        Ok(self.lock().get_mut(id).map_or(TouchOutcome::Absent, |stored| {
            stored.summary.last_seen = stored.summary.last_seen.max(now);
            TouchOutcome::Applied
        }))
    }

    async fn delete(&self, id: &SessionId, _user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        Ok(self.lock().remove(id).map_or(DeleteOutcome::Absent, |_| DeleteOutcome::Deleted))
    }

    async fn list_by_user(&self, user: &UserId, _now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        Ok(self
            .lock()
            .values()
            .filter(|record| record.user() == Some(user))
            .map(|record| record.summary.clone())
            .collect())
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        let mut records = self.lock();
        let leaves = |id: &SessionId, record: &mut Record| record.user() == Some(user) && Some(id) != keep;
        Ok(records.extract_if(leaves).map(|(id, _)| id).collect())
    }

    async fn delete_expired(&self, _now: Timestamp, _limit: NonZeroU32) -> Result<u64, StoreError> {
        Ok(0)
    }
}
