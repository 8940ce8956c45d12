//! [`RecordingStore`]: a store that records the operations requested of it.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};

/// Records the operations and every record written, and fails on demand. Share it with an `Arc`.
#[derive(Debug)]
pub struct RecordingStore {
    inner: Box<dyn SessionStore>,
    calls: Mutex<Vec<&'static str>>,
    written: Mutex<Vec<(SessionId, Bytes)>>,
    failing: AtomicBool,
}

impl RecordingStore {
    /// Records what happens to `inner`.
    #[must_use]
    pub fn new(inner: impl SessionStore) -> Self {
        Self { inner: Box::new(inner), calls: Mutex::default(), written: Mutex::default(), failing: false.into() }
    }

    /// The operations since the last call of this method, in order. Each is one round trip.
    #[must_use]
    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut lock(&self.calls))
    }

    /// Every record that was ever passed to the store: its id, and its encoding as a backend stores it.
    #[must_use]
    pub fn written(&self) -> Vec<(SessionId, Bytes)> {
        lock(&self.written).clone()
    }

    /// Makes every operation fail from now on, or none.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    fn record(&self, operation: &'static str) -> Result<&dyn SessionStore, StoreError> {
        lock(&self.calls).push(operation);
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "injected failure"));
        }
        Ok(&*self.inner)
    }

    fn keep(&self, record: &Record) -> Result<(), StoreError> {
        lock(&self.written).push((record.id(), record.encode()?));
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
        self.record("load")?.load(id, freshness).await
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let inner = self.record("create")?;
        self.keep(request.record)?;
        inner.create(request, now).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let inner = self.record("update")?;
        self.keep(record)?;
        inner.update(record, expected, now).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.record("touch")?.touch(id, user, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.record("delete")?.delete(id, user).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.record("list_by_user")?.list_by_user(user, now).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.record("delete_by_user")?.delete_by_user(user, keep).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.record("delete_expired")?.delete_expired(now, limit).await
    }
}
