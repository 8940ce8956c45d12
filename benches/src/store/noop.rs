//! [`NoopStore`]: the control.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, StoreError, Timestamp, UserId};

/// A store that costs next to nothing, to show what everything around a store costs: one map of records, without
/// encoding, index by user, session limit or expiry.
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

    async fn load(&self, id: &SessionId, _: Freshness) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().get(id).cloned())
    }

    async fn create(&self, request: CreateRequest<'_>, _: Timestamp) -> Result<CreateOutcome, StoreError> {
        let mut records = self.lock();
        if let Some(replaces) = request.replaces {
            records.remove(&replaces.id);
        }
        records.insert(request.record.id(), request.record.clone());
        Ok(CreateOutcome::Created { evicted: Vec::new() })
    }

    async fn update(&self, record: &Record, expected: Version, _: Timestamp) -> Result<UpdateOutcome, StoreError> {
        Ok(match self.lock().get_mut(&record.id()) {
            Some(stored) if stored.version == expected => {
                stored.clone_from(record);
                UpdateOutcome::Applied
            }
            Some(_) => UpdateOutcome::Conflict,
            None => UpdateOutcome::Absent,
        })
    }

    async fn touch(&self, id: &SessionId, _: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        Ok(self.lock().get_mut(id).map_or(TouchOutcome::Absent, |stored| {
            stored.summary.last_seen = stored.summary.last_seen.max(now);
            TouchOutcome::Applied
        }))
    }

    async fn delete(&self, id: &SessionId, _: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        Ok(self.lock().remove(id).map_or(DeleteOutcome::Absent, |_| DeleteOutcome::Deleted))
    }

    async fn list_by_user(&self, _: &UserId, _: Timestamp) -> Result<Listing, StoreError> {
        Ok(Listing::default())
    }

    async fn delete_by_user(&self, _: &UserId, _: Option<&SessionId>, _: Timestamp) -> Result<Listing, StoreError> {
        Ok(Listing::default())
    }

    async fn list_all(&self, _: Option<&Cursor>, _: NonZeroU32, _: Timestamp) -> Result<Page, StoreError> {
        Ok(Page::default())
    }

    async fn count(&self, _: Timestamp) -> Result<Count, StoreError> {
        Ok(Count::exact(0))
    }

    async fn delete_expired(&self, _: Timestamp, _: NonZeroU32) -> Result<u64, StoreError> {
        Ok(0)
    }
}
