//! `create` with one broken rule.

use std::num::NonZeroU32;

use session_core::store::{CreateOutcome, CreateRequest, Record, Replacement};
use session_core::{LimitPolicy, SessionId, Timestamp};

use super::broken_store::{BrokenStore, Memory, Pace, Turn, select};
use super::fault::Fault;
use crate::reference::{Sessions, evictions};

const CREATED: CreateOutcome = CreateOutcome::Created { evicted: Vec::new() };

impl BrokenStore {
    pub(super) async fn create_broken(&self, request: CreateRequest<'_>, now: Timestamp) -> CreateOutcome {
        let record = self.with_timeouts_as_stored(request.record);
        let CreateRequest { replaces, limit, visitors, .. } = request;
        let _mine = if self.is(Fault::LimitLockedPerHandle) { Some(self.handle_turn.lock().await) } else { None };
        let mut turn = self.turn_at(now).await;
        let mut before = self.view_for(&record.id(), &mut turn);
        turn.mentioned.extend(replaces.as_ref().map(|replaces| replaces.id));
        if self.is(Fault::CreateNotAtomic) && before.load(&record.id()).is_none_or(|stored| stored.is_expired(now)) {
            turn = self.pause(turn).await;
            turn.sessions.records.remove(&record.id());
            before = self.view(&turn);
        }
        let old = replaces.as_ref().and_then(|replaces| before.load(&replaces.id)).cloned();
        let pace = match self.fault {
            Fault::LimitNotAtomic | Fault::LimitLockedPerHandle if limit.is_some() => Pace::Late,
            Fault::ReplaceNotAtomic if old.is_some() => Pace::InsertFirst,
            Fault::EvictsOneByOne if old.is_none() => Pace::OneByOne,
            _ => Pace::AtOnce,
        };
        let request = CreateRequest { record: &record, replaces, limit, visitors };
        let is_visitor = request.visitor().is_some();
        let (answer, after) = self.decide_create(request, old.as_ref(), &before, &turn, now);
        turn = self.write(turn, &before, &after, pace).await;
        let has_it =
            |sessions: &Sessions| sessions.load(&record.id()).is_some_and(|stored| stored.version == record.version);
        if has_it(&after) && !has_it(&before) {
            if let (Fault::ReplaceKeepsIndex, Some(old)) = (self.fault, old) {
                turn.gone.insert(old.id(), old);
            }
            if is_visitor {
                turn.visitors.insert(record.id());
            }
            self.remember_created(record, turn).await;
        }
        answer
    }

    async fn remember_created(&self, record: Record, mut turn: Turn<'_>) {
        let id = record.id();
        self.handle().created.insert(id);
        turn.touched.insert(id, record.summary.last_seen);
        turn.written.insert(id, record.clone());
        turn.created.insert(id, record.clone());
        let Some(user) = record.user() else { return };
        let mut index = turn.index.get(user).cloned().unwrap_or_default();
        if self.is(Fault::IndexNotAtomic) {
            turn = self.pause(turn).await;
        }
        index.push(id);
        turn.index.insert(user.clone(), index);
    }

    /// The answer, and the sessions after it. `old` is the session to replace, live or expired.
    fn decide_create(
        &self,
        request: CreateRequest<'_>,
        old: Option<&Record>,
        before: &Sessions,
        memory: &Memory,
        now: Timestamp,
    ) -> (CreateOutcome, Sessions) {
        let CreateRequest { record, mut replaces, limit, visitors } = request;
        let mut after = before.clone();
        let stored = before.load(&record.id());
        let is_expired = stored.is_some_and(|stored| stored.is_expired(now));
        let is_repeated = !is_expired
            && stored.map(|stored| stored.version).is_some_and(|version| {
                version == record.version
                    || self.is(Fault::CreateIgnoresNonce) && version.number == record.version.number
            });
        let old_is_dead = old.is_none_or(|old| old.is_expired(now));
        match self.fault {
            Fault::ReplacesCheckedFirst if replaces.is_some() && old.is_none() => {
                return (CreateOutcome::ReplacedAbsent, after);
            }
            Fault::CreateIgnoresNonce if is_repeated => return (CREATED, after),
            Fault::CreateRepeatIsTaken if is_repeated => return (CreateOutcome::IdTaken, after),
            Fault::ExpiredKeepsId if is_expired => return (CreateOutcome::IdTaken, after),
            Fault::CreateRepeatRewrites if is_repeated => {
                after.put(record.clone());
                return (CREATED, after);
            }
            Fault::LimitCountsItself if is_repeated => {
                let count = select(before, |user| user.is_some() && user == record.user()).len();
                let is_full = limit.is_some_and(|limit| count >= limit.max.get() as usize);
                return (if is_full { CreateOutcome::LimitReached } else { CREATED }, after);
            }
            Fault::VisitorsEndOnRepetition if is_repeated && visitors.is_some() => {
                let evicted = self.ending_visitors(request, before, memory, now).unwrap_or_default();
                after.records.retain(|id, _| !evicted.contains(id));
                return (CreateOutcome::Created { evicted }, after);
            }
            Fault::CreateOverwrites if !is_repeated => drop(after.records.remove(&record.id())),
            Fault::ReplaceIgnoresVersion => {
                let version = old.map(|old| old.version);
                replaces = replaces.map(|it| Replacement { version: version.unwrap_or(it.version), ..it });
            }
            Fault::ReplaceIgnoresAbsence if old_is_dead => replaces = None,
            Fault::ReplaceAcceptsExpired if old.is_some() && old_is_dead => replaces = None,
            _ => {}
        }
        let answer = after.create(CreateRequest { record, replaces, limit: None, visitors: None }, now);
        let request = CreateRequest { record, replaces, limit, visitors };
        if answer != CREATED || is_repeated {
            let mut after = before.clone();
            if answer == CreateOutcome::ReplacedChanged && self.is(Fault::EvictsBeforeReplace) {
                let request = CreateRequest { replaces: None, ..request };
                let evicted = self.evictions(request, before, memory, now).unwrap_or_default();
                after.records.retain(|id, _| !evicted.contains(id));
            }
            return (answer, after);
        }
        let Some(mut evicted) = self.evictions(request, before, memory, now) else {
            let mut after = before.clone();
            match (self.fault, old) {
                (Fault::RejectStores, _) => after.put(record.clone()),
                (Fault::ReplaceBeforeLimit, Some(old)) => drop(after.records.remove(&old.id())),
                _ => {}
            }
            return (CreateOutcome::LimitReached, after);
        };
        let leave = if self.is(Fault::EvictedStay) { evicted.len().min(1) } else { evicted.len() };
        after.records.retain(|id, _| !evicted[..leave].contains(id));
        if let Some(old) = old {
            let is_own_shard = old.id().shard() == record.id().shard();
            match self.fault {
                Fault::ReplaceLeavesOwnShard if is_own_shard => after.put(old.clone()),
                Fault::ReplaceLeavesOtherShard if !is_own_shard => after.put(old.clone()),
                _ => {}
            }
        }
        if self.is(Fault::EvictedNotReported) {
            evicted.truncate(1);
        }
        (CreateOutcome::Created { evicted }, after)
    }

    /// The sessions that the limit evicts, or `None` if it rejects the new one.
    fn evictions(
        &self,
        request: CreateRequest<'_>,
        before: &Sessions,
        memory: &Memory,
        now: Timestamp,
    ) -> Option<Vec<SessionId>> {
        let CreateRequest { record, replaces, limit, .. } = request;
        if request.visitor().is_some() {
            return self.ending_visitors(request, before, memory, now);
        }
        let Some(mut limit) = limit else { return Some(Vec::new()) };
        let mut others = match record.user() {
            Some(user) => self.indexed(user, before, memory),
            None if self.is(Fault::LimitsAnonymous) => select(before, |user| user.is_none()),
            None => return Some(Vec::new()),
        };
        match self.fault {
            Fault::LimitCountsAnonymous => others.extend(select(before, |user| user.is_none())),
            Fault::LimitForgetsLogout => {
                others.extend(memory.gone.values().filter(|gone| gone.user() == record.user()).cloned());
            }
            _ => {}
        }
        others.retain(|other| {
            let is_leaving = replaces.as_ref().is_some_and(|replaces| replaces.id == other.id());
            other.id() != record.id()
                && (self.is(Fault::LimitCountsExpired) || !other.is_expired(now))
                && (self.is(Fault::LimitCountsReplaced) || !is_leaving)
                && (!self.is(Fault::LimitPerKind) || other.summary.kind == record.summary.kind)
        });
        let is_by_age = limit.at_limit == LimitPolicy::EvictOldest;
        let is_by_use = limit.at_limit == LimitPolicy::EvictLeastRecent;
        let reversed = |id: SessionId| match self.fault {
            Fault::OldestTiesReversed if is_by_age => SessionId::from_bytes(id.as_bytes().map(|byte| !byte)),
            Fault::LeastRecentTiesReversed if is_by_use => SessionId::from_bytes(id.as_bytes().map(|byte| !byte)),
            _ => id,
        };
        match self.fault {
            Fault::EvictOldestByUse if is_by_age => limit.at_limit = LimitPolicy::EvictLeastRecent,
            Fault::EvictLeastRecentByAge if is_by_use => limit.at_limit = LimitPolicy::EvictOldest,
            Fault::EvictLeastRecentOffByOne if is_by_use => {
                limit.max = NonZeroU32::new(limit.max.get() - 1).unwrap_or(NonZeroU32::MIN);
            }
            Fault::EvictsNewest => {
                others.push(record.clone());
                limit.max = limit.max.saturating_add(1);
            }
            _ => {}
        }
        for other in &mut others {
            let id = other.id();
            let last_use = match self.fault {
                Fault::LimitIgnoresTouch => memory.written.get(&id).map(|written| written.summary.last_seen),
                Fault::LimitIgnoresUpdate => memory.touched.get(&id).copied(),
                _ => None,
            };
            other.summary.last_seen = last_use.unwrap_or(other.summary.last_seen);
            other.summary.id = reversed(id);
        }
        let mut evicted = evictions(limit, others.iter().collect())?;
        if self.is(Fault::EvictsOneAtMost) {
            evicted.truncate(1);
        }
        Some(evicted.into_iter().map(reversed).collect())
    }

    /// The visitors that end for a new one, or `None` if that is refused.
    fn ending_visitors(
        &self,
        request: CreateRequest<'_>,
        before: &Sessions,
        memory: &Memory,
        now: Timestamp,
    ) -> Option<Vec<SessionId>> {
        let CreateRequest { record, replaces, .. } = request;
        let mut limit = request.limit_of_owner()?;
        let mut visitors = match self.fault {
            Fault::VisitorsAreNotLimited => return Some(Vec::new()),
            Fault::VisitorsIncludeOthers => select(before, |user| user.is_none()),
            Fault::VisitorsIncludeUsers => select(before, |_| true),
            _ => memory.visitors.iter().filter_map(|id| before.load(id).cloned()).collect(),
        };
        visitors.retain(|visitor| {
            (visitor.id() != record.id() || self.is(Fault::VisitorsEndOnRepetition))
                && replaces.as_ref().is_none_or(|replaces| replaces.id != visitor.id())
                && (self.is(Fault::VisitorsCountExpired) || !visitor.is_expired(now))
        });
        match self.fault {
            Fault::VisitorsAreRejected => limit.at_limit = LimitPolicy::Reject,
            Fault::VisitorsEndByAge => limit.at_limit = LimitPolicy::EvictOldest,
            _ => {}
        }
        let mut ended = evictions(limit, visitors.iter().collect())?;
        if self.is(Fault::EvictsOneAtMost) {
            ended.truncate(1);
        }
        Some(ended)
    }
}
