//! `list_by_user` and `delete_by_user` with one broken rule.

use std::collections::BTreeSet;

use session_core::store::Record;
use session_core::{Device, Kind, SessionId, SessionSummary, StoreError, Timestamp, UserId};

use super::base::BrokenStore;
use crate::faults::store_fault::StoreFault as Fault;

impl BrokenStore {
    pub(super) async fn list_broken(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let mut turn = self.turn().await;
        if self.is(Fault::DroppedListLocks) {
            if self.memory().list_is_locked {
                return Err(Self::fails());
            }
            let unfinished = Unfinished(self);
            turn = self.pause(turn).await;
            // Finished: nothing is left locked.
            std::mem::forget(unfinished);
        }
        if self.is(Fault::ListUnknownFails) && !self.memory().users.contains(user) {
            return Err(Self::fails());
        }
        if self.is(Fault::RevokedStayHidden) && self.memory().revoked.contains(user) {
            return Ok(Vec::new());
        }
        let mut records = self.indexed(user).await?;
        if self.is(Fault::ListShowsAnonymous) {
            records.extend(self.anonymous().await?);
        }
        drop(turn);
        records.extend(self.memory().ghosts.iter().filter(|ghost| ghost.user() == Some(user)).cloned());
        records.retain(|record| self.is(Fault::ListShowsExpired) || !self.is_expired(record, now));
        let memory = self.memory();
        if self.is(Fault::ListCutAtFifty) {
            records.truncate(50);
        }
        Ok(records.iter().map(|record| self.summary(record, memory.created.get(&record.summary.id))).collect())
    }

    fn summary(&self, record: &Record, created: Option<&Record>) -> SessionSummary {
        let mut summary = record.summary.clone();
        if self.is(Fault::ListDropsDevice) {
            summary.device = Device::new();
        }
        if let Some(created) = created {
            if self.is(Fault::ListIsStale) {
                let last_seen = summary.last_seen;
                summary = created.summary.clone();
                summary.last_seen = last_seen;
            }
            if self.is(Fault::TouchSkipsList) {
                summary.last_seen = created.summary.last_seen;
            }
        }
        summary
    }

    /// The sessions that the index has for `user`, live or expired.
    pub(super) async fn indexed(&self, user: &UserId) -> Result<Vec<Record>, StoreError> {
        let known = self.memory().users.clone();
        let mut records = Vec::new();
        for other in known.iter().filter(|other| self.confuses(user, other)) {
            records.extend(self.sessions(other).await?);
        }
        let index = self.memory().index.get(user).cloned().unwrap_or_default();
        match self.fault {
            Fault::IndexNotAtomic => records.retain(|record| index.contains(&record.summary.id)),
            Fault::HandleIndex => records.retain(|record| self.handle().created.contains(&record.summary.id)),
            Fault::IndexAppends => {
                let find = |id| records.iter().find(|record| record.summary.id == id).cloned();
                records = index.into_iter().filter_map(find).collect();
            }
            _ => {}
        }
        Ok(records)
    }

    /// Whether the sessions of `other` are taken for those of `user`.
    fn confuses(&self, user: &UserId, other: &UserId) -> bool {
        let (user, other) = (user.as_str(), other.as_str());
        let until_nul = |text: &'_ str| text.split('\0').next().unwrap_or_default().to_owned();
        user == other
            || match self.fault {
                Fault::UserCutAtNul => until_nul(user) == until_nul(other),
                Fault::UserIsPrefix => other.strip_prefix(user).is_some_and(|rest| rest.starts_with(':')),
                Fault::UserFoldsCase => user.to_lowercase() == other.to_lowercase(),
                Fault::UserCutAt255 => user.as_bytes().iter().take(255).eq(other.as_bytes().iter().take(255)),
                _ => false,
            }
    }

    pub(super) async fn delete_by_user_broken(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut turn = self.turn().await;
        if self.is(Fault::RevokeUnknownFails) && !self.memory().users.contains(user) {
            return Err(Self::fails());
        }
        let mut records = self.indexed(user).await?;
        if self.is(Fault::RevokeEndsAnonymous) {
            records.extend(self.anonymous().await?);
        }
        records.retain(|record| {
            (self.is(Fault::RevokeIgnoresKeep) || Some(&record.summary.id) != keep)
                && !(self.is(Fault::RevokeSparesExpired) && self.is_expired_by_now(record))
                && !(self.is(Fault::RevokeSparesRefresh) && record.summary.kind == Kind::Refresh)
        });
        if self.is(Fault::RevokeCutAtFifty) {
            records.truncate(50);
        }
        for (at, record) in records.iter().enumerate() {
            if at > 0 && self.is(Fault::RevokeOneByOne) {
                turn = self.pause(turn).await;
            }
            self.remove(record).await?;
        }
        drop(turn);
        self.handle().loaded.clear();
        let mut memory = self.memory();
        memory.revoked.insert(user.clone());
        *memory.logouts.entry(user.clone()).or_default() += records.len();
        // An index may have a session several times.
        let ids: BTreeSet<SessionId> = records.iter().map(|record| record.summary.id).collect();
        let mut ids: Vec<SessionId> = ids.into_iter().collect();
        if self.is(Fault::RevokeReportsOne) {
            ids.truncate(1);
        }
        Ok(ids)
    }
}

/// Locks the list when it is dropped.
struct Unfinished<'f>(&'f BrokenStore);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.memory().list_is_locked = true;
    }
}
