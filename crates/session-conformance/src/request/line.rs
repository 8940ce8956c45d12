//! [`Line`]: the line between a node and its store, which can be watched and cut.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};

/// What is wrong with a line.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Every operation fails, unexecuted.
    Down,
    /// The operation of this name fails, unexecuted.
    DownAt(&'static str),
    /// No operation ever answers.
    Hangs,
    /// Every operation is executed, and its answer lost.
    LosesAnswers,
    /// The next operation is executed, and its answer lost.
    LosesOneAnswer,
    /// What is stored cannot be decoded.
    Corrupt,
    /// Answers get mixed up: a load gets this record.
    Crossed(Box<Record>),
}

/// A store as a node sees it. Gives way before and after each operation, so that requests interleave and can be dropped
/// there.
#[derive(Debug)]
pub(crate) struct Line {
    store: Arc<dyn SessionStore>,
    /// Seeded: loads are answered from memory until this node writes something.
    caches: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trouble: Trouble,
    calls: Vec<&'static str>,
    cache: HashMap<SessionId, Option<Record>>,
}

impl Line {
    pub(crate) fn new(store: Arc<dyn SessionStore>, caches: bool) -> Self {
        Self { store, caches, state: Mutex::default() }
    }

    /// The store itself: what is seen there is not seen by the line.
    pub(crate) fn store(&self) -> &dyn SessionStore {
        self.store.as_ref()
    }

    /// From now on this is wrong.
    pub(crate) fn suffer(&self, trouble: Trouble) {
        self.state().trouble = trouble;
    }

    /// The names of the operations since this was asked last, in order.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, id: &SessionId) -> Option<Option<Record>> {
        let mut state = self.state();
        let cached = state.cache.get(id).filter(|_| matches!(state.trouble, Trouble::None)).cloned()?;
        state.calls.push("load");
        Some(cached)
    }

    async fn carry<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let trouble = {
            let mut state = self.state();
            state.calls.push(operation);
            if operation != "load" {
                state.cache.clear();
            }
            state.trouble.clone()
        };
        tokio::task::yield_now().await;
        let answer = match trouble {
            Trouble::Down => Err(StoreError::new(StoreErrorKind::Unavailable, "the line is cut")),
            Trouble::DownAt(other) if other == operation => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "the line is cut"))
            }
            Trouble::Hangs => std::future::pending().await,
            Trouble::LosesAnswers => {
                answer.await?;
                Err(StoreError::new(StoreErrorKind::Timeout, "the answer got lost"))
            }
            Trouble::LosesOneAnswer => {
                self.suffer(Trouble::None);
                answer.await?;
                Err(StoreError::new(StoreErrorKind::Unavailable, "the answer got lost"))
            }
            Trouble::Corrupt => Err(StoreError::new(StoreErrorKind::Corrupt, "the record is damaged")),
            Trouble::None | Trouble::DownAt(_) | Trouble::Crossed(_) => answer.await,
        };
        tokio::task::yield_now().await;
        answer
    }
}

#[async_trait]
impl SessionStore for Line {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        if let Some(record) = self.cached(id) {
            return Ok(record);
        }
        let record = self.carry("load", self.store.load(id, freshness)).await?;
        let mut state = self.state();
        if self.caches {
            state.cache.insert(*id, record.clone());
        }
        Ok(if let Trouble::Crossed(other) = &state.trouble { Some((**other).clone()) } else { record })
    }

    async fn create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.carry("create", self.store.create(admission, now)).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.carry("update", self.store.update(record, expected, now)).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.carry("touch", self.store.touch(id, user, now)).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.carry("delete", self.store.delete(id, user)).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.carry("list_by_user", self.store.list_by_user(user, now)).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.carry("delete_by_user", self.store.delete_by_user(user, keep)).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.carry("delete_expired", self.store.delete_expired(now, limit)).await
    }
}
