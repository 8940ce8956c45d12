//! The contract of `SessionStore`, kept by [`MokaStore`].

use std::num::NonZeroU32;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionSummary, StoreError, Timestamp, UserId};

use crate::MokaStore;
use crate::entry::decode;
use crate::inner::{NAME, stripe};

#[async_trait]
impl SessionStore for MokaStore {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        if let Some(record) = self.inner.busy(id) {
            return Ok(Some(record));
        }
        let mut stripe = self.inner.stripe_of(id);
        let Some(entry) = stripe.get_mut(id) else { return Ok(None) };
        if entry.count_load() {
            let record = entry.decode(id)?;
            self.inner.set_busy(record.clone());
            return Ok(Some(record));
        }
        let bytes = entry.copy();
        drop(stripe);
        decode(id, bytes).map(Some)
    }

    async fn create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.inner.create(admission, now)
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let inner = &self.inner;
        let mut entry = inner.entry(record, now)?;
        let mut stripe = inner.stripe_of(&record.summary.id);
        let Some(stored) = stripe.live(&record.summary.id, now) else { return Ok(UpdateOutcome::Absent) };
        if stored.version() == record.version {
            return Ok(UpdateOutcome::Applied);
        }
        if stored.version() != expected {
            return Ok(UpdateOutcome::Conflict);
        }
        entry.keep_loads(stored);
        let last_seen = stored.last_seen().max(record.summary.last_seen);
        if last_seen > record.summary.last_seen {
            entry.set_last_seen(last_seen, inner.free_at(entry.deadline_if(last_seen), now))?;
        }
        stripe.insert(record.summary.id, entry);
        inner.refresh(&record.summary.id, |busy| *busy = record.clone().touched(last_seen));
        Ok(UpdateOutcome::Applied)
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let inner = &self.inner;
        let mut stripe = inner.stripe_of(id);
        let Some(entry) = stripe.get_mut(id).filter(|entry| !entry.is_expired(now)) else {
            return Ok(TouchOutcome::Absent);
        };
        if now > entry.last_seen() {
            entry.set_last_seen(now, inner.free_at(entry.deadline_if(now), now))?;
            inner.refresh(id, |busy| busy.summary.last_seen = now);
        }
        Ok(TouchOutcome::Applied)
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let mut stripe = self.inner.stripe_of(id);
        let tag = self.inner.tag(user);
        let Some(entry) = stripe.get(id).filter(|entry| entry.has_tag(tag)) else { return Ok(DeleteOutcome::Absent) };
        if entry.decode(id)?.user() != user {
            return Ok(DeleteOutcome::Absent);
        }
        stripe.remove(id);
        self.inner.forget(&[*id]);
        Ok(DeleteOutcome::Deleted)
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let shard = user.shard();
        let records = self.inner.lock(stripe(shard)).of_user(user, shard, self.inner.tag(Some(user)), None)?;
        Ok(records.iter().filter(|record| !record.is_expired(now)).map(|record| record.summary.clone()).collect())
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        let shard = user.shard();
        let mut stripe = self.inner.lock(stripe(shard));
        let records = stripe.of_user(user, shard, self.inner.tag(Some(user)), keep)?;
        let leaving: Vec<SessionId> = records.iter().map(|record| record.summary.id).collect();
        for id in &leaving {
            stripe.remove(id);
        }
        self.inner.forget(&leaving);
        Ok(leaving)
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        Ok(self.inner.remove_expired(now, limit.get() as usize) as u64)
    }
}
