//! [`FaultyStore`]: a store whose connection can be watched and made to fail.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};

/// How a store fails.
#[derive(Clone, Debug)]
pub(crate) enum InjectedFault {
    /// Every operation fails before it is executed.
    Unavailable,
    /// The operation of this name fails before it is executed.
    UnavailableAt(&'static str),
    /// No operation ever returns.
    Hang,
    /// Every operation is executed, and its reply lost.
    LoseReplies,
    /// The next operation is executed, and its reply lost.
    LoseNextReply,
    /// No record can be decoded.
    Corrupt,
    /// Replies are mixed up: every load returns this record.
    WrongRecord(Box<Record>),
}

/// A correct store until a fault is injected. Yields before and after each operation, so that requests interleave and
/// can be dropped there.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn SessionStore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<InjectedFault>,
    calls: Vec<&'static str>,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn SessionStore>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// The store itself: its operations neither fail nor count.
    pub(crate) fn inner(&self) -> &dyn SessionStore {
        self.inner.as_ref()
    }

    /// Fails from now on.
    pub(crate) fn inject(&self, fault: InjectedFault) {
        self.state().fault = Some(fault);
    }

    /// Works again.
    pub(crate) fn heal(&self) {
        self.state().fault = None;
    }

    /// The names of the operations since the last call of this, in order.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut state = self.state();
            state.calls.push(operation);
            state.fault.clone()
        };
        tokio::task::yield_now().await;
        let result = match fault {
            Some(InjectedFault::Unavailable) => fails(StoreErrorKind::Unavailable),
            Some(InjectedFault::UnavailableAt(other)) if other == operation => fails(StoreErrorKind::Unavailable),
            Some(InjectedFault::Hang) => std::future::pending().await,
            Some(InjectedFault::LoseReplies) => call.await.and(fails(StoreErrorKind::Timeout)),
            Some(InjectedFault::LoseNextReply) => {
                self.heal();
                call.await.and(fails(StoreErrorKind::Unavailable))
            }
            Some(InjectedFault::Corrupt) => fails(StoreErrorKind::Corrupt),
            Some(InjectedFault::UnavailableAt(_) | InjectedFault::WrongRecord(_)) | None => call.await,
        };
        tokio::task::yield_now().await;
        result
    }
}

fn fails<T>(kind: StoreErrorKind) -> Result<T, StoreError> {
    Err(StoreError::new(kind, "injected fault"))
}

#[async_trait]
impl SessionStore for FaultyStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let record = self.run("load", self.inner.load(id, freshness)).await?;
        Ok(if let Some(InjectedFault::WrongRecord(other)) = &self.state().fault {
            Some((**other).clone())
        } else {
            record
        })
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.run("create", self.inner.create(request, now)).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.run("update", self.inner.update(record, expected, now)).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.run("touch", self.inner.touch(id, user, now)).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.run("delete", self.inner.delete(id, user)).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.run("list_by_user", self.inner.list_by_user(user, now)).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.run("delete_by_user", self.inner.delete_by_user(user, keep)).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.run("delete_expired", self.inner.delete_expired(now, limit)).await
    }
}
