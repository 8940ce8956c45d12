//! `create` with one broken rule.

use std::cmp::Ordering;
use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, Record};
use session_core::{LimitPolicy, SessionId, SessionLimit, StoreError, Timeouts, Timestamp};

use super::base::BrokenStore;
use crate::faults::store_fault::StoreFault as Fault;

/// What the limit says about a new session.
enum Admission {
    /// It may be stored once these sessions are evicted.
    Evicting(Vec<Record>),
    Full,
}

impl BrokenStore {
    pub(super) async fn create_broken(
        &self,
        request: CreateRequest<'_>,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let CreateRequest { record, replaces, limit } = request;
        let record = &self.with_timeouts_as_stored(record);
        let _mine = if self.is(Fault::LimitLockedPerHandle) { Some(self.handle_turn.lock().await) } else { None };
        let mut turn = self.turn().await;
        if self.is(Fault::ReplacesCheckedFirst)
            && let Some(replaces) = &replaces
            && self.fetch(&replaces.id).await?.is_none()
        {
            return Ok(CreateOutcome::ReplacedAbsent);
        }
        if let Some(stored) = self.fetch(&record.summary.id).await? {
            let repeated = stored.version == record.version
                || self.is(Fault::CreateIgnoresNonce) && stored.version.number == record.version.number;
            match (self.is_expired(&stored, now), repeated) {
                (false, true) => return self.repeat(record, limit).await,
                (false, false) if !self.is(Fault::CreateOverwrites) => return Ok(CreateOutcome::IdTaken),
                (true, _) if self.is(Fault::ExpiredKeepsId) => return Ok(CreateOutcome::IdTaken),
                (true | false, _) => {}
            }
        }
        if self.is(Fault::CreateNotAtomic) {
            turn = self.pause(turn).await;
        }
        let mut leaving = None;
        if let Some(replaces) = &replaces {
            match self.fetch(&replaces.id).await? {
                Some(old) if !self.is_expired(&old, now) || self.is(Fault::ReplaceAcceptsExpired) => {
                    if old.version != replaces.version && !self.is(Fault::ReplaceIgnoresVersion) {
                        if self.is(Fault::EvictsBeforeReplace)
                            && let Admission::Evicting(victims) = self.check_limit(record, None, limit, now).await?
                        {
                            self.evict(&victims).await?;
                        }
                        return Ok(CreateOutcome::ReplacedChanged);
                    }
                    leaving = Some(old);
                }
                Some(_) | None if self.is(Fault::ReplaceIgnoresAbsence) => {}
                Some(_) | None => return Ok(CreateOutcome::ReplacedAbsent),
            }
        }
        if self.is(Fault::ReplaceBeforeLimit)
            && let Some(old) = &leaving
        {
            self.remove(old).await?;
        }
        let victims = match self.check_limit(record, leaving.as_ref(), limit, now).await? {
            Admission::Evicting(victims) => victims,
            Admission::Full => {
                if self.is(Fault::RejectStores) {
                    self.insert(record).await?;
                }
                return Ok(CreateOutcome::LimitReached);
            }
        };
        if limit.is_some() && (self.is(Fault::LimitNotAtomic) || self.is(Fault::LimitLockedPerHandle)) {
            turn = self.pause(turn).await;
        }
        if self.is(Fault::ReplaceNotAtomic) && leaving.is_some() {
            self.insert(record).await?;
            turn = self.pause(turn).await;
        }
        if let Some(old) = &leaving {
            self.replace(old, record).await?;
        }
        let mut evicted: Vec<SessionId> = victims.iter().map(|victim| victim.summary.id).collect();
        for (at, victim) in victims.iter().enumerate() {
            if at > 0 && self.is(Fault::EvictsOneByOne) {
                turn = self.pause(turn).await;
            }
            if at == 0 || !self.is(Fault::EvictedStay) {
                self.remove(victim).await?;
            }
        }
        if !evicted.contains(&record.summary.id) {
            self.insert(record).await?;
        }
        if self.is(Fault::IndexNotAtomic)
            && let Some(user) = record.user()
        {
            let mut index = self.memory().index.get(user).cloned().unwrap_or_default();
            turn = self.pause(turn).await;
            index.push(record.summary.id);
            self.memory().index.insert(user.clone(), index);
        }
        drop(turn);
        if self.is(Fault::EvictedNotReported) {
            evicted.truncate(1);
        }
        Ok(CreateOutcome::Created { evicted })
    }

    async fn repeat(&self, record: &Record, limit: Option<SessionLimit>) -> Result<CreateOutcome, StoreError> {
        if self.is(Fault::CreateRepeatIsTaken) {
            return Ok(CreateOutcome::IdTaken);
        }
        if self.is(Fault::CreateRepeatRewrites) {
            self.put(record).await?;
        }
        if self.is(Fault::LimitCountsItself)
            && let (Some(limit), Some(user)) = (limit, record.user())
            && self.sessions(user).await?.len() >= limit.max.get() as usize
        {
            return Ok(CreateOutcome::LimitReached);
        }
        Ok(CreateOutcome::Created { evicted: Vec::new() })
    }

    async fn replace(&self, old: &Record, new: &Record) -> Result<(), StoreError> {
        let left_behind = if old.summary.id.shard() == new.summary.id.shard() {
            Fault::ReplaceLeavesOwnShard
        } else {
            Fault::ReplaceLeavesOtherShard
        };
        if !self.is(left_behind) {
            self.remove(old).await?;
        }
        if self.is(Fault::ReplaceKeepsIndex) {
            self.memory().ghosts.push(old.clone());
        }
        Ok(())
    }

    async fn insert(&self, record: &Record) -> Result<(), StoreError> {
        self.put(record).await?;
        self.handle().created.insert(record.summary.id);
        self.handle().loaded.remove(&record.summary.id);
        let mut memory = self.memory();
        memory.created.insert(record.summary.id, record.clone());
        memory.written.insert(record.summary.id, record.clone());
        memory.touched.insert(record.summary.id, record.summary.last_seen);
        if let Some(user) = record.user() {
            memory.users.insert(user.clone());
            if self.is(Fault::IndexAppends) {
                memory.index.entry(user.clone()).or_default().push(record.summary.id);
            }
        }
        Ok(())
    }

    async fn check_limit(
        &self,
        record: &Record,
        leaving: Option<&Record>,
        limit: Option<SessionLimit>,
        now: Timestamp,
    ) -> Result<Admission, StoreError> {
        let Some(limit) = limit else { return Ok(Admission::Evicting(Vec::new())) };
        let mut others = match record.user() {
            Some(user) => self.indexed(user).await?,
            None if self.is(Fault::LimitsAnonymous) => self.anonymous().await?,
            None => return Ok(Admission::Evicting(Vec::new())),
        };
        if self.is(Fault::LimitCountsAnonymous) {
            others.extend(self.anonymous().await?);
        }
        others.retain(|other| {
            other.summary.id != record.summary.id
                && (self.is(Fault::LimitCountsExpired) || !self.is_expired(other, now))
                && (self.is(Fault::LimitCountsReplaced) || leaving.is_none_or(|old| old.summary.id != other.summary.id))
                && (!self.is(Fault::LimitPerKind) || other.summary.kind == record.summary.kind)
        });
        let mut count = others.len() + 1;
        if self.is(Fault::LimitForgetsLogout)
            && let Some(user) = record.user()
        {
            count += self.memory().logouts.get(user).copied().unwrap_or_default();
        }
        let mut excess = count.saturating_sub(limit.max.get() as usize);
        match limit.at_limit {
            LimitPolicy::Reject if excess > 0 => return Ok(Admission::Full),
            LimitPolicy::EvictLeastRecent => excess += usize::from(self.is(Fault::EvictLeastRecentOffByOne)),
            LimitPolicy::Reject | LimitPolicy::EvictOldest => {}
        }
        if self.is(Fault::EvictsNewest) {
            others.push(record.clone());
        }
        if self.is(Fault::EvictsOneAtMost) {
            excess = excess.min(1);
        }
        others.sort_by(|a, b| self.eviction_order(limit.at_limit, a, b));
        others.truncate(excess);
        Ok(Admission::Evicting(others))
    }

    async fn evict(&self, victims: &[Record]) -> Result<(), StoreError> {
        for victim in victims {
            self.remove(victim).await?;
        }
        Ok(())
    }

    /// Which session is evicted first.
    fn eviction_order(&self, at_limit: LimitPolicy, a: &Record, b: &Record) -> Ordering {
        let oldest = at_limit == LimitPolicy::EvictOldest;
        let by_use = if oldest { self.is(Fault::EvictOldestByUse) } else { !self.is(Fault::EvictLeastRecentByAge) };
        let reversed =
            if oldest { self.is(Fault::OldestTiesReversed) } else { self.is(Fault::LeastRecentTiesReversed) };
        let moment = |record: &Record| if by_use { self.last_use(record) } else { record.summary.created_at };
        let ties = a.summary.id.cmp(&b.summary.id);
        moment(a).cmp(&moment(b)).then(if reversed { ties.reverse() } else { ties })
    }

    fn last_use(&self, record: &Record) -> Timestamp {
        let memory = self.memory();
        let known = match self.fault {
            Fault::LimitIgnoresTouch => memory.written.get(&record.summary.id).map(|written| written.summary.last_seen),
            Fault::LimitIgnoresUpdate => memory.touched.get(&record.summary.id).copied(),
            _ => None,
        };
        known.unwrap_or(record.summary.last_seen)
    }

    /// `record` with its timeouts as they are stored.
    pub(super) fn with_timeouts_as_stored(&self, record: &Record) -> Record {
        let stored = |timeout: Duration| match self.fault {
            Fault::WholeSeconds => Duration::from_secs(timeout.as_millis().div_ceil(1000) as u64),
            Fault::ThirtyTwoBits => timeout.min(Duration::from_millis(i32::MAX as u64)),
            _ => timeout,
        };
        let Timeouts { idle, absolute } = record.summary.timeouts;
        let mut record = record.clone();
        record.summary.timeouts = Timeouts { idle: stored(idle), absolute: stored(absolute) };
        record
    }
}
