//! The operations of [`BrokenStore`].

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Data, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, Device, Kind, SessionId, StoreError, Timestamp, UserId};

use super::broken_store::{BrokenStore, Pace, failure, select};
use super::fault::Fault;
use crate::reference::Sessions;

#[async_trait]
impl SessionStore for BrokenStore {
    fn name(&self) -> &'static str {
        "broken"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let memory = self.turn().await;
        if self.is(Fault::LoadUnknownFails) && !memory.mentioned.contains(id) {
            return Err(failure());
        }
        if self.is(Fault::HandleCaches)
            && let Some(loaded) = self.handle().loaded.get(id)
        {
            return Ok(Some(loaded.clone()));
        }
        let sessions = self.view(&memory);
        let found = match self.fault {
            Fault::IdTruncated => {
                let is_similar = |other: &&SessionId| other.as_bytes()[..15] == id.as_bytes()[..15];
                sessions.records.keys().filter(is_similar).min().and_then(|id| sessions.load(id))
            }
            Fault::DeleteKeepsAnonymous => sessions.load(id).or_else(|| memory.gone.get(id)),
            _ => sessions.load(id),
        };
        let Some(found) = found else { return Ok(None) };
        let mut record = memory.as_written(found, self.fault);
        if self.is(Fault::LoadDropsDevice) {
            record.summary.device = Device::new();
        }
        record.data = self.as_loaded(&record.data);
        self.handle().loaded.insert(*id, record.clone());
        Ok(Some(record))
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        Ok(self.create_broken(request, self.time(now)).await)
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let (id, now) = (record.id(), self.time(now));
        let record = &self.with_timeouts_as_stored(record);
        let _mine = if self.is(Fault::UpdateLockedPerHandle) { Some(self.handle_turn.lock().await) } else { None };
        let mut turn = self.turn_at(now).await;
        let before = self.view_for(&id, &mut turn);
        let mut after = before.clone();
        let stored = before.load(&id);
        let is_repeated = stored.is_some_and(|stored| stored.version == record.version);
        let answer = match (self.fault, stored) {
            (Fault::UpdateInserts, None) => {
                after.put(record.clone());
                UpdateOutcome::Applied
            }
            (Fault::UpdateAbsentIsConflict, None) => UpdateOutcome::Conflict,
            (Fault::UpdateRevivesExpired, _) => after.update(record, expected, Timestamp::EPOCH),
            (Fault::UpdateIgnoresNonce, Some(stored)) if stored.version.number == record.version.number => {
                UpdateOutcome::Applied
            }
            (Fault::UpdateIgnoresNonce, Some(stored)) if stored.version.number == expected.number => {
                after.update(record, stored.version, now)
            }
            (Fault::UpdateIgnoresVersion, Some(stored)) => after.update(record, stored.version, now),
            (Fault::UpdateRepeatConflicts, _) if is_repeated => UpdateOutcome::Conflict,
            (Fault::UpdateRepeatRewrites, _) if is_repeated => {
                after.put(record.clone());
                UpdateOutcome::Applied
            }
            _ => after.update(record, expected, now),
        };
        if is_repeated || answer != UpdateOutcome::Applied {
            drop(self.write(turn, &before, &after, Pace::AtOnce).await);
            return Ok(answer);
        }
        if let (Some(stored), Some(next)) = (stored, after.get_mut(&id)) {
            self.merge(stored, record, next);
        }
        if self.is(Fault::UpdateHitsAllOfUser) && record.user().is_some() {
            for other in after.records.values_mut().filter(|other| other.user() == record.user()) {
                Arc::make_mut(other).data = record.data.clone();
            }
        }
        if self.is(Fault::UpdateDeletesFirst) {
            turn.sessions.records.remove(&id);
        }
        let pace = self.late_if(&[Fault::UpdateNotAtomic, Fault::UpdateLockedPerHandle, Fault::UpdateDeletesFirst]);
        turn = self.write(turn, &before, &after, pace).await;
        turn.written.extend(after.load(&id).map(|next| (id, next.clone())));
        if let (Fault::IndexAppends, Some(user)) = (self.fault, record.user()) {
            turn.index.entry(user.clone()).or_default().push(id);
        }
        Ok(answer)
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let mut turn = self.turn_at(now).await;
        let mut before = self.view_for(id, &mut turn);
        let mut after = before.clone();
        let stored = before.load(id);
        let answer = match (self.fault, stored) {
            (Fault::TouchInserts, None) => turn.written.get(id).map_or(TouchOutcome::Absent, |forgotten| {
                after.put(forgotten.clone());
                TouchOutcome::Applied
            }),
            (Fault::TouchUnknownApplied, None) => TouchOutcome::Applied,
            (Fault::TouchRevivesExpired, _) => after.touch(id, Timestamp::EPOCH),
            (Fault::TouchRepeatAbsent, Some(stored)) if now <= stored.summary.last_seen => TouchOutcome::Absent,
            _ => after.touch(id, self.time(now)),
        };
        if answer != TouchOutcome::Applied {
            return Ok(answer);
        }
        if let (Some(stored), Some(next)) = (stored, after.get_mut(id)) {
            self.touched(stored, next, now);
        }
        let last_seen = after.load(id).map(|next| next.summary.last_seen);
        if self.is(Fault::TouchNotAtomic) {
            turn = self.pause(turn).await;
            before = self.view(&turn);
            after = before.clone();
            let Some(current) = after.get_mut(id) else { return Ok(TouchOutcome::Absent) };
            current.summary.last_seen = last_seen.unwrap_or(now);
        }
        turn = self.write(turn, &before, &after, self.late_if(&[Fault::TouchWritesBack])).await;
        turn.touched.extend(last_seen.map(|last_seen| (*id, last_seen)));
        Ok(answer)
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let mut turn = self.turn().await;
        let before = self.view_for(id, &mut turn);
        let mut after = before.clone();
        let stored = before.load(id);
        let answer = match (self.fault, stored) {
            (Fault::DeleteUnknownFails, None) => return Err(failure()),
            (Fault::DeleteSparesExpired, Some(stored)) if turn.is_expired_by_now(stored) => DeleteOutcome::Absent,
            (Fault::DeleteIgnoresOwner, Some(stored)) => after.delete(id, stored.user()),
            _ => after.delete(id, user),
        };
        let (DeleteOutcome::Deleted, Some(stored)) = (answer, stored) else {
            return Ok(if self.is(Fault::DeleteAlwaysDeleted) { DeleteOutcome::Deleted } else { answer });
        };
        if let (Fault::DeleteTakesSiblings, Some(user)) = (self.fault, user) {
            after.delete_by_user(user, None, Timestamp::EPOCH);
        }
        if self.is(Fault::DeleteStaysInHandle) {
            self.handle().deleted.insert(*id);
            return Ok(answer);
        }
        turn = self.write(turn, &before, &after, self.late_if(&[Fault::DeleteNotAtomic])).await;
        match self.fault {
            Fault::DeleteKeepsAnonymous if user.is_some() => {}
            Fault::DeleteKeepsAnonymous | Fault::DeleteKeepsIndex | Fault::LimitForgetsLogout => {
                turn.gone.insert(*id, stored.clone());
            }
            _ => {}
        }
        Ok(answer)
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        let now = self.time(now);
        let mut memory = self.turn_at(now).await;
        if self.is(Fault::DroppedListLocks) {
            if self.shared.list_is_locked.load(Ordering::SeqCst) {
                return Err(failure());
            }
            let unfinished = Unfinished(&self.shared.list_is_locked);
            memory = self.pause(memory).await;
            // Finished: nothing is left locked.
            std::mem::forget(unfinished);
        }
        if self.is(Fault::ListUnknownFails) && !memory.knows(user) {
            return Err(failure());
        }
        if self.is(Fault::RevokedStayHidden) && memory.revoked.contains(user) {
            return Ok(Listing::default());
        }
        let sessions = self.view(&memory);
        let mut records = self.indexed(user, &sessions, &memory);
        match self.fault {
            Fault::ListShowsAnonymous => records.extend(select(&sessions, |owner| owner.is_none())),
            Fault::DeleteKeepsIndex | Fault::ReplaceKeepsIndex => {
                records.extend(memory.gone.values().filter(|gone| gone.user() == Some(user)).cloned());
            }
            _ => {}
        }
        records.retain(|record| self.is(Fault::ListShowsExpired) || !record.is_expired(now));
        if self.is(Fault::ListCutAtFifty) {
            records.truncate(50);
        }
        let summary = |record: &Record| {
            let mut summary = memory.as_written(record, self.fault).summary;
            match (self.fault, memory.created.get(&record.id())) {
                (Fault::ListDropsDevice, _) => summary.device = Device::new(),
                (Fault::ListIsStale, Some(created)) => {
                    summary = created.clone().touched(summary.last_seen).summary;
                }
                (Fault::TouchSkipsList, Some(created)) => summary.last_seen = created.summary.last_seen,
                _ => {}
            }
            summary
        };
        let mut listing = Listing::default();
        listing.sessions.extend(records.iter().map(summary));
        Ok(listing)
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        let mut turn = self.turn().await;
        if self.is(Fault::RevokeUnknownFails) && !turn.knows(user) {
            return Err(failure());
        }
        let before = self.view(&turn);
        let mut records = self.indexed(user, &before, &turn);
        if self.is(Fault::RevokeEndsAnonymous) {
            records.extend(select(&before, |owner| owner.is_none()));
        }
        records.retain(|record| {
            (self.is(Fault::RevokeIgnoresKeep) || Some(&record.id()) != keep)
                && !(self.is(Fault::RevokeSparesExpired) && turn.is_expired_by_now(record))
                && !(self.is(Fault::RevokeSparesRefresh) && record.summary.kind == Kind::Refresh)
        });
        if self.is(Fault::RevokeCutAtFifty) {
            records.truncate(50);
        }
        // An index may have a session several times.
        let ended: BTreeSet<SessionId> = records.iter().map(Record::id).collect();
        let counts = |record: &&Record| self.is(Fault::RevokeReportsExpired) || !record.is_expired(now);
        let reported: BTreeMap<SessionId, &Record> = records.iter().filter(counts).map(|it| (it.id(), it)).collect();
        let most = if self.is(Fault::RevokeReportsOne) { 1 } else { usize::MAX };
        let mut listing = Listing::default();
        listing.sessions.extend(reported.into_values().take(most).map(|record| {
            let mut summary = turn.as_written(record, self.fault).summary;
            match (self.fault, turn.created.get(&record.id())) {
                (Fault::RevokeDropsDevice, _) => summary.device = Device::new(),
                (Fault::RevokeReportsAsCreated, Some(created)) => summary = created.summary.clone(),
                _ => {}
            }
            summary
        }));
        let mut after = before.clone();
        after.records.retain(|id, _| !ended.contains(id));
        let pace = if self.is(Fault::RevokeOneByOne) { Pace::OneByOne } else { Pace::AtOnce };
        turn = self.write(turn, &before, &after, pace).await;
        self.handle().loaded.clear();
        turn.revoked.insert(user.clone());
        turn.gone
            .extend(records.into_iter().filter(|_| self.is(Fault::LimitForgetsLogout)).map(|gone| (gone.id(), gone)));
        Ok(listing)
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let now = self.time(now);
        let mut sessions = self.view(&*self.turn_at(now).await);
        match self.fault {
            Fault::PagesSkipAnonymous => sessions.records.retain(|_, record| record.user().is_some()),
            Fault::PagesCountOffsets => return Ok(by_offset(&sessions, after, limit, now)),
            _ => {}
        }
        let limit = if self.is(Fault::PagesIgnoreLimit) { NonZeroU32::MAX } else { limit };
        let now = if self.is(Fault::PagesShowExpired) { Timestamp::EPOCH } else { now };
        let after = match after.map(Cursor::session_id).transpose() {
            Err(_) if self.is(Fault::PagesTakeAnyCursor) => None,
            after => after?,
        };
        let mut page = sessions.list_all(after, limit, now);
        if self.is(Fault::PagesDropDevice) {
            page.listing.sessions.iter_mut().for_each(|session| session.device = Device::new());
        }
        if self.is(Fault::PagesEndEarly) {
            page.next = None;
        }
        if let (Fault::PagesSkipOne, Some(next)) = (self.fault, &page.next) {
            let skipped = sessions.list_all(Some(next.session_id()?), NonZeroU32::MIN, now);
            page.next = skipped.next;
        }
        Ok(page)
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        let now = self.time(now);
        let mut sessions = self.view(&*self.turn_at(now).await);
        match self.fault {
            Fault::CountsUsersOnly => sessions.records.retain(|_, record| record.user().is_some()),
            Fault::CountsExpired => return Ok(sessions.count(Timestamp::EPOCH)),
            _ => {}
        }
        Ok(sessions.count(now))
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let now = self.time(now);
        let turn = self.turn_at(now).await;
        let before = self.view(&turn);
        let is_due = |record: &Record| match (self.fault, turn.written.get(&record.id())) {
            (Fault::SweepTakesLive, _) => true,
            (Fault::SweepIgnoresTouch, Some(written)) => written.is_expired(now),
            _ => turn.as_written(record, self.fault).is_expired(now),
        };
        let most = if self.is(Fault::SweepIgnoresLimit) { usize::MAX } else { limit.get() as usize };
        let mut after = before.clone();
        let count = after.records.extract_if(|_, record| is_due(record)).take(most).count() as u64;
        drop(self.write(turn, &before, &after, self.late_if(&[Fault::SweepNotAtomic])).await);
        self.handle().loaded.clear();
        Ok(if self.is(Fault::SweepReportsLimit) { u64::from(limit.get()) } else { count })
    }
}

impl BrokenStore {
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

    /// Breaks `next`, which `record` became when it was written over `stored`.
    fn merge(&self, stored: &Record, record: &Record, next: &mut Record) {
        match self.fault {
            Fault::UpdateRewindsLastSeen => next.summary.last_seen = record.summary.last_seen,
            Fault::UpdateKeepsLastSeen => next.summary.last_seen = stored.summary.last_seen,
            Fault::UpdateKeepsTimeouts => next.summary.timeouts = stored.summary.timeouts,
            Fault::UpdateMergesValues => {
                for name in stored.data.names() {
                    if let (Some(value), None) = (stored.data.get(name.as_bytes()), record.data.get(name.as_bytes())) {
                        next.data.insert(name.to_owned().into(), value.clone());
                    }
                }
            }
            _ => {}
        }
    }

    /// Breaks `next`, which `stored` became when it was touched.
    fn touched(&self, stored: &Record, next: &mut Record, now: Timestamp) {
        let seen = stored.summary.last_seen;
        next.summary.last_seen = match self.fault {
            Fault::TouchBackwards => now,
            Fault::TouchThrottled if now.since(seen) < Duration::from_secs(60) => seen,
            _ => seen.max(now),
        };
        let moved = next.summary.last_seen.since(seen);
        let timeouts = &mut next.summary.timeouts;
        match self.fault {
            Fault::TouchBumpsVersion => next.version.number += 1,
            Fault::TouchDropsValues => next.data = Data::default(),
            Fault::TouchKeepsDeadline => timeouts.idle = timeouts.idle.saturating_sub(moved),
            Fault::TouchIgnoresAbsoluteDeadline if !moved.is_zero() => {
                timeouts.absolute = Duration::from_secs(u32::MAX.into());
            }
            _ => {}
        }
    }
}

/// Locks the list when it is dropped.
struct Unfinished<'f>(&'f AtomicBool);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A page that begins behind as many sessions as the cursor says.
fn by_offset(sessions: &Sessions, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Page {
    let offset = after.and_then(|after| after.as_str().parse().ok()).unwrap_or(0);
    let mut all = sessions.list_all(None, NonZeroU32::MAX, now);
    let left = all.listing.sessions.split_off(offset.min(all.listing.sessions.len()));
    let mut page = Page::default();
    page.listing.sessions.extend(left.iter().take(limit.get() as usize).cloned());
    let end = offset + page.listing.sessions.len();
    page.next = (page.listing.sessions.len() < left.len()).then(|| Cursor::new(end.to_string()));
    page
}
