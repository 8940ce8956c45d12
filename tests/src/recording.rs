//! [`RecordingStore`]: what a request does to its store.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};

/// A store that remembers which operations were asked for and every record that was written, and fails when told to.
///
/// Clones are handles on the same store.
#[derive(Clone, Debug)]
pub struct RecordingStore {
    inner: Arc<dyn SessionStore>,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log {
    calls: Mutex<Vec<&'static str>>,
    written: Mutex<Vec<(SessionId, Bytes)>>,
    failing: AtomicBool,
}

impl RecordingStore {
    /// Records what happens to `inner`.
    #[must_use]
    pub fn new(inner: impl SessionStore) -> Self {
        Self { inner: Arc::new(inner), log: Arc::default() }
    }

    /// The operations since the last time somebody asked, in order. Each is one round trip.
    #[must_use]
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut lock(&self.log.calls))
    }

    /// Every record that was ever handed to the store: its id, and the rest encoded as a backend stores it.
    #[must_use]
    pub fn written(&self) -> Vec<(SessionId, Bytes)> {
        lock(&self.log.written).clone()
    }

    /// From now on, every operation fails, or none does.
    pub fn set_failing(&self, failing: bool) {
        self.log.failing.store(failing, Ordering::SeqCst);
    }

    fn record(&self, operation: &'static str) -> Result<(), StoreError> {
        lock(&self.log.calls).push(operation);
        if self.log.failing.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "told to fail"));
        }
        Ok(())
    }

    fn keep(&self, record: &Record) -> Result<(), StoreError> {
        lock(&self.log.written).push((record.summary.id, record.encode()?));
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl SessionStore for RecordingStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.record("load")?;
        self.inner.load(id, freshness).await
    }

    async fn create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.record("create")?;
        self.keep(admission.record)?;
        self.inner.create(admission, now).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.record("update")?;
        self.keep(record)?;
        self.inner.update(record, expected, now).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.record("touch")?;
        self.inner.touch(id, user, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.record("delete")?;
        self.inner.delete(id, user).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.record("list_by_user")?;
        self.inner.list_by_user(user, now).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.record("delete_by_user")?;
        self.inner.delete_by_user(user, keep).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.record("delete_expired")?;
        self.inner.delete_expired(now, limit).await
    }
}
