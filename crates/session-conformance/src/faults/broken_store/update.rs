//! `update` and `touch` with one broken rule.

use std::time::Duration;

use session_core::store::{Data, Record, TouchOutcome, UpdateOutcome, Version};
use session_core::{SessionId, StoreError, Timestamp};

use super::base::BrokenStore;
use crate::faults::store_fault::StoreFault as Fault;

impl BrokenStore {
    pub(super) async fn update_broken(
        &self,
        record: &Record,
        expected: Version,
        now: Timestamp,
    ) -> Result<UpdateOutcome, StoreError> {
        let record = &self.with_timeouts_as_stored(record);
        let _mine = if self.is(Fault::UpdateLockedPerHandle) { Some(self.handle_turn.lock().await) } else { None };
        let mut turn = self.turn().await;
        self.handle().loaded.remove(&record.summary.id);
        let Some(stored) = self.fetch(&record.summary.id).await? else {
            if self.is(Fault::UpdateInserts) {
                self.put(record).await?;
                return Ok(UpdateOutcome::Applied);
            }
            return Ok(if self.is(Fault::UpdateAbsentIsConflict) {
                UpdateOutcome::Conflict
            } else {
                UpdateOutcome::Absent
            });
        };
        if self.is_expired(&stored, now) && !self.is(Fault::UpdateRevivesExpired) {
            return Ok(UpdateOutcome::Absent);
        }
        let same = |a: Version, b: Version| a == b || self.is(Fault::UpdateIgnoresNonce) && a.number == b.number;
        if same(stored.version, record.version) {
            if self.is(Fault::UpdateRepeatRewrites) {
                self.put(record).await?;
            }
            return Ok(if self.is(Fault::UpdateRepeatConflicts) {
                UpdateOutcome::Conflict
            } else {
                UpdateOutcome::Applied
            });
        }
        if !same(stored.version, expected) && !self.is(Fault::UpdateIgnoresVersion) {
            return Ok(UpdateOutcome::Conflict);
        }
        if self.is(Fault::UpdateNotAtomic) || self.is(Fault::UpdateLockedPerHandle) {
            turn = self.pause(turn).await;
        }
        if self.is(Fault::UpdateDeletesFirst) {
            self.remove(&stored).await?;
            turn = self.pause(turn).await;
        }
        let next = self.merge(stored, record);
        self.put(&next).await?;
        if self.is(Fault::UpdateHitsAllOfUser)
            && let Some(user) = next.user()
        {
            for other in self.sessions(user).await? {
                self.put(&Record { data: next.data.clone(), ..other }).await?;
            }
        }
        drop(turn);
        let mut memory = self.memory();
        memory.written.insert(next.summary.id, next.clone());
        if self.is(Fault::IndexAppends)
            && let Some(user) = next.user()
        {
            memory.index.entry(user.clone()).or_default().push(next.summary.id);
        }
        Ok(UpdateOutcome::Applied)
    }

    /// What `record` becomes when it is written over `stored`.
    fn merge(&self, stored: Record, record: &Record) -> Record {
        let mut next = record.clone().touched(stored.summary.last_seen.max(record.summary.last_seen));
        if self.is(Fault::UpdateRewindsLastSeen) {
            next.summary.last_seen = record.summary.last_seen;
        }
        if self.is(Fault::UpdateKeepsLastSeen) {
            next.summary.last_seen = stored.summary.last_seen;
        }
        if self.is(Fault::UpdateKeepsTimeouts) {
            next.summary.timeouts = stored.summary.timeouts;
        }
        if self.is(Fault::UpdateMergesValues) {
            for name in stored.data.names() {
                if let (Some(value), None) = (stored.data.get(name.as_bytes()), record.data.get(name.as_bytes())) {
                    next.data.insert(name.to_owned().into(), value.clone());
                }
            }
        }
        next
    }

    pub(super) async fn touch_broken(&self, id: &SessionId, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let mut turn = self.turn().await;
        self.handle().loaded.remove(id);
        let Some(stored) = self.fetch(id).await? else {
            let forgotten = self.memory().written.get(id).cloned();
            return Ok(match forgotten {
                Some(forgotten) if self.is(Fault::TouchInserts) => {
                    self.put(&forgotten).await?;
                    TouchOutcome::Applied
                }
                Some(_) | None if self.is(Fault::TouchUnknownApplied) => TouchOutcome::Applied,
                Some(_) | None => TouchOutcome::Absent,
            });
        };
        if self.is_expired(&stored, self.time(now)) && !self.is(Fault::TouchRevivesExpired) {
            return Ok(TouchOutcome::Absent);
        }
        if now <= stored.summary.last_seen && self.is(Fault::TouchRepeatAbsent) {
            return Ok(TouchOutcome::Absent);
        }
        if self.is(Fault::TouchThrottled) && now.since(stored.summary.last_seen) < Duration::from_secs(60) {
            return Ok(TouchOutcome::Applied);
        }
        let last_seen = if self.is(Fault::TouchBackwards) { now } else { stored.summary.last_seen.max(now) };
        let mut next = stored.clone();
        next.summary.last_seen = last_seen;
        if self.is(Fault::TouchBumpsVersion) {
            next.version.number += 1;
        }
        if self.is(Fault::TouchDropsValues) {
            next.data = Data::default();
        }
        if self.is(Fault::TouchNotAtomic) {
            turn = self.pause(turn).await;
            match self.fetch(id).await? {
                Some(current) => next = current,
                None => return Ok(TouchOutcome::Absent),
            }
            next.summary.last_seen = last_seen;
        }
        if self.is(Fault::TouchWritesBack) {
            turn = self.pause(turn).await;
        }
        self.put(&next).await?;
        drop(turn);
        self.memory().touched.insert(*id, last_seen);
        Ok(TouchOutcome::Applied)
    }
}
