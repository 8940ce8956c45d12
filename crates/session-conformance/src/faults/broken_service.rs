//! [`BrokenService`]: a service with one fault that shows when its servers are disrupted.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, Namespace, SessionId, StoreError, StoreErrorKind, Timestamp, UserId};

use super::fault::Fault;
use crate::outcome::Failure;
use crate::reference::Sessions;
use crate::reference_harness::ReferenceService;
use crate::service::{Disruption, Service};

/// The reference service with one fault.
#[derive(Debug)]
pub(crate) struct BrokenService {
    inner: ReferenceService,
    fault: Fault,
    memory: Arc<Mutex<Memory>>,
}

/// What the nodes of a broken service share.
#[derive(Debug, Default)]
struct Memory {
    begun: bool,
    ended: bool,
    nodes: usize,
    /// The sessions at the beginning of the disruption.
    before: Sessions,
    created: HashMap<SessionId, Record>,
    /// Sessions that were loaded in vain.
    missed: Vec<SessionId>,
    /// The reply to the last load.
    last: Option<Option<Record>>,
}

impl BrokenService {
    pub(crate) fn new(fault: Fault, disruption: Disruption) -> Self {
        Self { inner: ReferenceService::new(disruption), fault, memory: Arc::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Service for BrokenService {
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let inner = self.inner.open(namespace).await?;
        let mut memory = self.memory();
        memory.nodes += 1;
        let number = memory.nodes;
        Ok(Arc::new(BrokenNode { inner, fault: self.fault, number, memory: Arc::clone(&self.memory) }))
    }

    async fn begin(&self) -> Result<(), Failure> {
        self.inner.begin().await?;
        let mut memory = self.memory();
        let mut sessions = self.inner.store.lock();
        memory.begun = true;
        memory.before = sessions.clone();
        for record in memory.created.values() {
            match (self.fault, sessions.load(&record.id())) {
                (Fault::RestartForgetsSessions, _) => drop(sessions.records.remove(&record.id())),
                (Fault::RestartRevivesLogouts | Fault::FailoverRevivesLogouts, None)
                | (Fault::RestartForgetsChanges, Some(_)) => sessions.put(record.clone()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn end(&self) -> Result<(), Failure> {
        self.inner.end().await?;
        let mut memory = self.memory();
        memory.ended = true;
        if self.fault == Fault::OutageEndsSessions {
            self.inner.store.lock().records.retain(|id, _| !memory.missed.contains(id));
        }
        Ok(())
    }
}

/// A node of a broken service.
#[derive(Debug)]
struct BrokenNode {
    inner: Arc<dyn SessionStore>,
    fault: Fault,
    /// 1 for the first node that was opened.
    number: usize,
    memory: Arc<Mutex<Memory>>,
}

impl BrokenNode {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the fault, and the disruption has begun.
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault && self.memory().begun
    }

    /// Whether this is the fault, and the disruption is in progress.
    fn is_during(&self, fault: Fault) -> bool {
        self.is(fault) && !self.memory().ended
    }

    async fn fail_if_broken(&self) -> Result<(), StoreError> {
        if self.is_during(Fault::OutageHangs) {
            std::future::pending::<()>().await;
        }
        let over = self.memory().ended && (self.is(Fault::OutageNeverEnds) || self.is(Fault::FreezeNeverEnds));
        if over { Err(StoreError::new(StoreErrorKind::Unavailable, "seeded fault")) } else { Ok(()) }
    }

    fn looks_absent(&self) -> bool {
        self.is_during(Fault::OutageLooksAbsent) || self.is_during(Fault::FreezeLooksAbsent)
    }
}

#[async_trait]
impl SessionStore for BrokenNode {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.fail_if_broken().await?;
        if self.looks_absent() || self.is(Fault::MovedShardsVanish) && id.shard().is_multiple_of(2) {
            return Ok(None);
        }
        if self.is(Fault::FailoverSplitsNodes) && self.number == 2 {
            return Ok(self.memory().before.load(id).cloned());
        }
        let found = match self.inner.load(id, freshness).await {
            Err(_) if self.is(Fault::LostReplyLooksAbsent) => return Ok(None),
            Err(error) => {
                self.memory().missed.push(*id);
                return Err(error);
            }
            Ok(found) => found,
        };
        if self.is(Fault::LostReplyShiftsAnswers) {
            return Ok(self.memory().last.replace(found.clone()).unwrap_or(found));
        }
        if self.is(Fault::TimeZoneShiftsTimes) {
            let shifted = |record: &Record| record.summary.last_seen + Duration::from_secs(60 * 60);
            return Ok(found.map(|record| record.clone().touched(shifted(&record))));
        }
        Ok(found)
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.fail_if_broken().await?;
        if self.is_during(Fault::OutageLooksDone) {
            return Ok(CreateOutcome::Created { evicted: Vec::new() });
        }
        let outcome = self.inner.create(request, now).await?;
        self.memory().created.insert(request.record.id(), request.record.clone());
        Ok(outcome)
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.fail_if_broken().await?;
        if self.is_during(Fault::OutageLooksDone) {
            return Ok(UpdateOutcome::Applied);
        }
        if self.is(Fault::ForgottenScriptsFail) {
            return Err(StoreError::new(StoreErrorKind::Other, "seeded fault"));
        }
        match self.inner.update(record, expected, now).await {
            Err(_) if self.is(Fault::LostReplyConflicts) => Ok(UpdateOutcome::Conflict),
            Err(_) if self.is(Fault::LostReplyAppliedTwice) => {
                let mut again = record.clone();
                again.version.number += 1;
                self.inner.update(&again, record.version, now).await
            }
            answer => answer,
        }
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.fail_if_broken().await?;
        if self.is_during(Fault::OutageLooksDone) {
            return Ok(TouchOutcome::Applied);
        }
        self.inner.touch(id, user, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.fail_if_broken().await?;
        if self.is_during(Fault::OutageLooksDone) {
            return Ok(DeleteOutcome::Deleted);
        }
        let answer = self.inner.delete(id, user).await;
        let created = self.memory().created.get(id).cloned();
        if let (Err(_), Some(record), true) = (&answer, created, self.is(Fault::LostReplyUndone)) {
            let _ = self.inner.create(CreateRequest::new(&record), record.summary.created_at).await?;
            return Ok(DeleteOutcome::Deleted);
        }
        answer
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        self.fail_if_broken().await?;
        if self.looks_absent() {
            return Ok(Listing::default());
        }
        self.inner.list_by_user(user, now).await
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        self.fail_if_broken().await?;
        self.inner.delete_by_user(user, keep, now).await
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        self.fail_if_broken().await?;
        if self.looks_absent() {
            return Ok(Page::default());
        }
        self.inner.list_all(after, limit, now).await
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.fail_if_broken().await?;
        if self.looks_absent() {
            return Ok(Count::exact(0));
        }
        self.inner.count(now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.fail_if_broken().await?;
        self.inner.delete_expired(now, limit).await
    }
}
