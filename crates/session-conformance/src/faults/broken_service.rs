//! [`BrokenService`]: a service with one fault that shows when its servers are disrupted.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, StoreErrorKind, Timestamp, UserId};

use super::service_fault::ServiceFault as Fault;
use crate::outcome::Failure;
use crate::service::{Disruption, Service};

/// `inner` with one fault.
#[derive(Debug)]
pub(crate) struct BrokenService {
    inner: Box<dyn Service>,
    /// `None` if the fault shows in another disruption.
    fault: Option<Fault>,
    shared: Arc<Mutex<Memory>>,
}

/// What the nodes of a broken service share.
#[derive(Debug, Default)]
struct Memory {
    begun: bool,
    ended: bool,
    nodes: Vec<Arc<dyn SessionStore>>,
    created: HashMap<SessionId, Record>,
    deleted: HashMap<SessionId, Record>,
    used: Vec<(SessionId, Option<UserId>)>,
}

impl BrokenService {
    pub(crate) fn new(inner: Box<dyn Service>, fault: Fault, disruption: Disruption) -> Self {
        let fault = (shows_in(fault) == disruption).then_some(fault);
        Self { inner, fault, shared: Arc::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn delete_all(&self, store: &dyn SessionStore, sessions: &[Record]) -> Result<(), Failure> {
        for record in sessions {
            let _ = store.delete(&record.summary.id, record.user()).await?;
        }
        Ok(())
    }

    async fn create_all(&self, store: &dyn SessionStore, sessions: &[Record]) -> Result<(), Failure> {
        for record in sessions {
            let _ = store.create(CreateRequest::new(record), record.summary.created_at).await?;
        }
        Ok(())
    }
}

/// The disruption in which a fault shows.
fn shows_in(fault: Fault) -> Disruption {
    match fault {
        Fault::RestartForgetsSessions | Fault::RestartRevivesLogouts | Fault::RestartForgetsChanges => {
            Disruption::Restart
        }
        Fault::OutageLooksAbsent
        | Fault::OutageLooksDone
        | Fault::OutageHangs
        | Fault::OutageNeverEnds
        | Fault::OutageEndsSessions => Disruption::Outage,
        Fault::FreezeLooksAbsent | Fault::FreezeNeverEnds => Disruption::Freeze,
        Fault::LostReplyLooksAbsent
        | Fault::LostReplyConflicts
        | Fault::LostReplyAppliedTwice
        | Fault::LostReplyUndone
        | Fault::LostReplyShiftsAnswers => Disruption::LostReply,
        Fault::ForgottenScriptsFail => Disruption::ForgetScripts,
        Fault::TimeZoneShiftsTimes => Disruption::ForeignTimeZone,
        Fault::MovedShardsVanish => Disruption::MoveShards,
        Fault::FailoverRevivesLogouts | Fault::FailoverSplitsNodes => Disruption::Failover,
    }
}

#[async_trait]
impl Service for BrokenService {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let inner = self.inner.open(namespace).await?;
        let number = {
            let mut memory = self.memory();
            memory.nodes.push(Arc::clone(&inner));
            memory.nodes.len()
        };
        let (fault, shared) = (self.fault, Arc::clone(&self.shared));
        Ok(Arc::new(BrokenNode { inner, fault, number, shared, last: Mutex::default(), seen: Mutex::default() }))
    }

    async fn begin(&self) -> Result<(), Failure> {
        self.inner.begin().await?;
        let (store, created, deleted) = {
            let mut memory = self.memory();
            memory.begun = true;
            let store = memory.nodes.first().cloned().ok_or("no node was opened")?;
            let created: Vec<Record> = memory.created.values().cloned().collect();
            (store, created, memory.deleted.values().cloned().collect::<Vec<_>>())
        };
        match self.fault {
            Some(Fault::RestartForgetsSessions) => self.delete_all(&*store, &created).await,
            Some(Fault::RestartRevivesLogouts | Fault::FailoverRevivesLogouts) => {
                self.create_all(&*store, &deleted).await
            }
            Some(Fault::RestartForgetsChanges) => {
                self.delete_all(&*store, &created).await?;
                self.create_all(&*store, &created).await
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn end(&self) -> Result<(), Failure> {
        self.inner.end().await?;
        let used = {
            let mut memory = self.memory();
            memory.ended = true;
            (self.fault == Some(Fault::OutageEndsSessions))
                .then(|| (memory.nodes.first().cloned(), memory.used.clone()))
        };
        if let Some((Some(store), used)) = used {
            for (id, user) in used {
                let _ = store.delete(&id, user.as_ref()).await?;
            }
        }
        Ok(())
    }
}

/// A node of a broken service.
#[derive(Debug)]
struct BrokenNode {
    inner: Arc<dyn SessionStore>,
    fault: Option<Fault>,
    /// 1 for the first node that was opened.
    number: usize,
    shared: Arc<Mutex<Memory>>,
    /// The reply to the last load.
    last: Mutex<Option<Option<Record>>>,
    /// What the former primary answers to loads.
    seen: Mutex<HashMap<SessionId, Option<Record>>>,
}

impl BrokenNode {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<SessionId, Option<Record>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the fault, and the disruption has begun.
    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault) && self.memory().begun
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

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.fail_if_broken().await?;
        if self.looks_absent() || self.is(Fault::MovedShardsVanish) && id.shard().is_multiple_of(2) {
            return Ok(None);
        }
        let seen = self.seen().get(id).cloned();
        if let Some(seen) = seen {
            return Ok(seen);
        }
        let answer = self.inner.load(id, Freshness::Latest).await;
        if answer.is_err() {
            let mut memory = self.memory();
            let user = memory.created.get(id).and_then(|record| record.user().cloned());
            memory.used.push((*id, user));
        }
        let mut answer = match answer {
            Err(_) if self.is(Fault::LostReplyLooksAbsent) => return Ok(None),
            other => other?,
        };
        if self.is(Fault::FailoverSplitsNodes) && self.number == 2 {
            self.seen().insert(*id, answer.clone());
        }
        if self.is(Fault::LostReplyShiftsAnswers) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let before = last.replace(answer.clone());
            return Ok(before.unwrap_or(answer));
        }
        if let Some(record) = &mut answer
            && self.is(Fault::TimeZoneShiftsTimes)
        {
            record.summary.last_seen = record.summary.last_seen + Duration::from_secs(60 * 60);
        }
        Ok(answer)
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.fail_if_broken().await?;
        if self.is_during(Fault::OutageLooksDone) {
            return Ok(CreateOutcome::Created { evicted: Vec::new() });
        }
        let outcome = self.inner.create(request, now).await?;
        self.memory().created.insert(request.record.summary.id, request.record.clone());
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
                let nonce = record.version.nonce;
                let again = Record { version: Version { number: record.version.number + 1, nonce }, ..record.clone() };
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
        let stored = self.memory().created.get(id).cloned();
        match (self.inner.delete(id, user).await, stored) {
            (Err(_), Some(record)) if self.is(Fault::LostReplyUndone) => {
                let _ = self.inner.create(CreateRequest::new(&record), record.summary.created_at).await?;
                Ok(DeleteOutcome::Deleted)
            }
            (answer, stored) => {
                self.memory().deleted.extend(stored.map(|record| (*id, record)));
                answer
            }
        }
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.fail_if_broken().await?;
        if self.looks_absent() {
            return Ok(Vec::new());
        }
        self.inner.list_by_user(user, now).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        self.fail_if_broken().await?;
        self.inner.delete_by_user(user, keep).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.fail_if_broken().await?;
        self.inner.delete_expired(now, limit).await
    }
}
