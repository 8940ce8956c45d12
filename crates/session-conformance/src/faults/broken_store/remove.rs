//! `load`, `delete` and `delete_expired` with one broken rule.

use std::num::NonZeroU32;

use bytes::Bytes;
use session_core::store::{Data, Record};
use session_core::{DeleteOutcome, Device, SessionId, StoreError, Timestamp, UserId};

use super::base::BrokenStore;
use crate::faults::store_fault::StoreFault as Fault;

impl BrokenStore {
    pub(super) async fn load_broken(&self, id: &SessionId) -> Result<Option<Record>, StoreError> {
        let _turn = self.turn().await;
        if self.is(Fault::LoadUnknownFails) && !self.memory().mentioned.contains(id) {
            return Err(Self::fails());
        }
        if self.is(Fault::HandleCaches)
            && let Some(loaded) = self.handle().loaded.get(id)
        {
            return Ok(Some(loaded.clone()));
        }
        let id = self.id_as_stored(id);
        let found = self.fetch(&id).await?.or_else(|| self.memory().kept.get(&id).cloned());
        let Some(mut record) = found else { return Ok(None) };
        if self.is(Fault::LoadDropsDevice) {
            record.summary.device = Device::new();
        }
        record.data = self.as_loaded(&record.data);
        self.handle().loaded.insert(id, record.clone());
        Ok(Some(record))
    }

    /// The id of the session that is found under `id`.
    fn id_as_stored(&self, id: &SessionId) -> SessionId {
        let similar = |other: &&SessionId| other.as_bytes()[..15] == id.as_bytes()[..15];
        let memory = self.memory();
        let found = self.is(Fault::IdTruncated).then(|| memory.created.keys().filter(similar).min().copied());
        found.flatten().unwrap_or(*id)
    }

    fn as_loaded(&self, data: &Data) -> Data {
        let mut loaded = Data::default();
        for name in data.names() {
            let Some(value) = data.get(name.as_bytes()) else { continue };
            let (mut name, mut value) = (name.to_owned(), value.clone());
            match self.fault {
                Fault::ValuesAreText => value = Bytes::from(String::from_utf8_lossy(&value).into_owned()),
                Fault::EmptyValuesVanish if value.is_empty() => continue,
                Fault::LargeValuesCut => value.truncate(64 * 1024),
                Fault::NamesFoldCase => name = name.to_lowercase(),
                _ => {}
            }
            loaded.insert(name.into(), value);
        }
        loaded
    }

    pub(super) async fn delete_broken(
        &self,
        id: &SessionId,
        user: Option<&UserId>,
    ) -> Result<DeleteOutcome, StoreError> {
        let mut turn = self.turn().await;
        self.handle().loaded.remove(id);
        let absent = if self.is(Fault::DeleteAlwaysDeleted) { DeleteOutcome::Deleted } else { DeleteOutcome::Absent };
        let Some(stored) = self.fetch(id).await? else {
            return if self.is(Fault::DeleteUnknownFails) { Err(Self::fails()) } else { Ok(absent) };
        };
        if stored.user() != user && !self.is(Fault::DeleteIgnoresOwner) {
            return Ok(absent);
        }
        if self.is(Fault::DeleteSparesExpired) && self.is_expired_by_now(&stored) {
            return Ok(absent);
        }
        if self.is(Fault::DeleteNotAtomic) {
            turn = self.pause(turn).await;
        }
        if self.is(Fault::DeleteTakesSiblings)
            && let Some(user) = user
        {
            for sibling in self.sessions(user).await? {
                self.remove(&sibling).await?;
            }
        }
        if self.is(Fault::DeleteStaysInHandle) {
            self.handle().deleted.insert(*id);
        } else {
            self.remove(&stored).await?;
        }
        drop(turn);
        let mut memory = self.memory();
        if let Some(user) = user {
            *memory.logouts.entry(user.clone()).or_default() += 1;
        }
        match self.fault {
            Fault::DeleteKeepsAnonymous if user.is_none() => {
                memory.kept.insert(*id, stored);
            }
            Fault::DeleteKeepsIndex => memory.ghosts.push(stored),
            _ => {}
        }
        Ok(DeleteOutcome::Deleted)
    }

    pub(super) async fn delete_expired_broken(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let turn = self.turn().await;
        let mut records = self.everything().await?;
        let written = |record: &Record| self.memory().written.get(&record.summary.id).cloned();
        records.retain(|record| match self.fault {
            Fault::SweepTakesLive => true,
            Fault::SweepIgnoresTouch => written(record).is_some_and(|written| written.is_expired(now)),
            _ => record.is_expired(now),
        });
        if !self.is(Fault::SweepIgnoresLimit) {
            records.truncate(limit.get() as usize);
        }
        let turn = if self.is(Fault::SweepNotAtomic) { self.pause(turn).await } else { turn };
        for record in &records {
            self.remove(record).await?;
        }
        drop(turn);
        self.handle().loaded.clear();
        Ok(if self.is(Fault::SweepReportsLimit) { u64::from(limit.get()) } else { records.len() as u64 })
    }
}
