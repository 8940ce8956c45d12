//! [`MokaStore`]: the contract of `SessionStore`, each operation one step under the lock of its stripe.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version, layout,
};
use session_core::{DeleteOutcome, SessionId, StoreError, StoreErrorKind, Timestamp, UserId};

use crate::entry::decode;
use crate::table::Table;

/// Keeps sessions in the memory of this process. Cheap to clone: clones are handles to one store.
///
/// `Debug` shows how many sessions there are, nothing of them.
#[derive(Clone)]
pub struct MokaStore {
    table: Arc<Table>,
}

/// Sets up a [`MokaStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MokaStoreBuilder {
    max_sessions: usize,
}

impl MokaStore {
    /// An empty store without a quota.
    ///
    /// # Panics
    /// If the operating system cannot create a thread.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder, for a store with a quota.
    pub fn builder() -> MokaStoreBuilder {
        MokaStoreBuilder { max_sessions: usize::MAX }
    }

    /// How many sessions are stored, including expired ones that were not freed yet.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.table.len()
    }

    /// [`SessionStore::create`], once. `None` if the quota is used up.
    fn try_create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<Option<CreateOutcome>, StoreError> {
        let CreateRequest { record, replaces, limit, .. } = request;
        let (table, id) = (&*self.table, record.id());
        if record.user().is_some_and(|user| user.shard() != id.shard()) {
            // The session would be missing from every list of this user.
            let detail = "the id of the session is not in the shard of its user";
            return Err(StoreError::new(StoreErrorKind::Other, detail));
        }
        let mut entry = table.entry(record, now)?;
        let (mut stripe, mut other) = table.stripes_of(&id, replaces.map(|replaced| replaced.id).as_ref());
        match stripe.live(&id, now) {
            Some(stored) if stored.version() == record.version => {
                return Ok(Some(CreateOutcome::Created { evicted: Vec::new() }));
            }
            Some(_) => return Ok(Some(CreateOutcome::IdTaken)),
            None => {}
        }
        if let Some(replaced) = replaces {
            match other.as_ref().unwrap_or(&stripe).live(&replaced.id, now) {
                None => return Ok(Some(CreateOutcome::ReplacedAbsent)),
                Some(stored) if stored.version() != replaced.version => {
                    return Ok(Some(CreateOutcome::ReplacedChanged));
                }
                Some(_) => {}
            }
        }
        let mut evicted = Vec::new();
        if let (Some(limit), Some(user)) = (limit, record.user()) {
            let replaced = replaces.as_ref().map(|replaced| &replaced.id);
            let candidates = stripe
                .of_user(user, id.shard(), table.tag(Some(user)))
                .filter(|(id, entry)| Some(*id) != replaced && !entry.is_expired(now))
                .map(|(id, entry)| entry.candidate(id))
                .collect();
            match limit.select_evictions(candidates) {
                Some(ids) => evicted = ids,
                None => return Ok(Some(CreateOutcome::LimitReached)),
            }
        }
        let removed = evicted.len() + usize::from(replaces.is_some()) + usize::from(stripe.contains(&id));
        // The new session takes the place of a removed one: if that were released first, another session could take it.
        if removed == 0 && !table.reserve() {
            return Ok(None);
        }
        if let Some(replaced) = replaces {
            table.remove(other.as_mut().unwrap_or(&mut stripe), &replaced.id);
        }
        for id in evicted.iter().chain([&id]) {
            table.remove(&mut stripe, id);
        }
        let mut too_many = Vec::new();
        if let Some(visitors) = request.visitor() {
            entry = entry.into_visitor();
            too_many = table.visitors.enter(id, entry.last_seen(), visitors.max().get() as usize);
        }
        stripe.insert(id, entry);
        table.release(removed.saturating_sub(1));
        drop((stripe, other));
        evicted.extend(too_many.into_iter().filter(|id| table.end_visitor(id, now)));
        Ok(Some(CreateOutcome::Created { evicted }))
    }
}

impl Default for MokaStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MokaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MokaStore").field("session_count", &self.session_count()).finish_non_exhaustive()
    }
}

impl MokaStoreBuilder {
    /// The quota: how many sessions may be stored. By default, as many as there is memory for.
    ///
    /// For a session that would exceed it, unless it replaces another or an expired one can be freed, the visitor that was
    /// used least recently ends. If there is none, it is refused with [`Full`](session_core::StoreErrorKind::Full): no session
    /// of a user is dropped for it.
    pub fn max_sessions(mut self, max: usize) -> Self {
        self.max_sessions = max;
        self
    }

    /// The store, empty.
    ///
    /// # Panics
    /// If the operating system cannot create a thread.
    #[must_use]
    pub fn build(self) -> MokaStore {
        MokaStore { table: Table::start(self.max_sessions) }
    }
}

#[async_trait]
impl SessionStore for MokaStore {
    fn name(&self) -> &'static str {
        "moka"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        if let Some(record) = self.table.cache.get(id) {
            return Ok(Some(record));
        }
        let mut stripe = self.table.stripe_of(id);
        let Some(entry) = stripe.get_mut(id) else { return Ok(None) };
        if entry.count_load() {
            let record = entry.decode(id)?;
            self.table.cache.insert(record.clone());
            return Ok(Some(record));
        }
        let bytes = entry.copy();
        drop(stripe);
        decode(id, bytes).map(Some)
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        if request.visitor().is_some_and(|limit| self.table.visitors.len() >= limit.max().get() as usize) {
            // No live visitor ends for one that has expired.
            self.table.remove_expired(now, usize::MAX);
        }
        if let Some(outcome) = self.try_create(request, now)? {
            return Ok(outcome);
        }
        self.table.remove_expired(now, usize::MAX);
        let mut ended = Vec::new();
        loop {
            match self.try_create(request, now)? {
                Some(CreateOutcome::Created { mut evicted }) => {
                    evicted.extend(ended);
                    return Ok(CreateOutcome::Created { evicted });
                }
                Some(outcome) => return Ok(outcome),
                None => {}
            }
            let Some(visitor) = self.table.visitors.take_outside(request.record.id().shard()) else {
                return Err(StoreError::new(StoreErrorKind::Full, "as many sessions are stored as the quota allows"));
            };
            ended.extend(self.table.end_visitor(&visitor, now).then_some(visitor));
        }
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let (table, id) = (&*self.table, record.id());
        let mut entry = table.entry(record, now)?;
        let mut stripe = table.stripe_of(&id);
        let Some(stored) = stripe.live(&id, now) else { return Ok(UpdateOutcome::Absent) };
        if stored.version() == record.version {
            return Ok(UpdateOutcome::Applied);
        }
        if stored.version() != expected {
            return Ok(UpdateOutcome::Conflict);
        }
        entry.follow(stored);
        let before = stored.last_seen();
        let last_seen = stored.last_seen().max(record.summary.last_seen);
        if last_seen > record.summary.last_seen {
            entry.set_last_seen(last_seen, table.free_at(entry.deadline_if(last_seen), now))?;
        }
        if entry.is_visitor() && last_seen > before {
            table.visitors.used(id, before, last_seen);
        }
        stripe.insert(id, entry);
        table.cache.update(&id, |cached| *cached = record.clone().touched(last_seen));
        Ok(UpdateOutcome::Applied)
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let mut stripe = self.table.stripe_of(id);
        let Some(entry) = stripe.get_mut(id).filter(|entry| !entry.is_expired(now)) else {
            return Ok(TouchOutcome::Absent);
        };
        let before = entry.last_seen();
        if now > before {
            entry.set_last_seen(now, self.table.free_at(entry.deadline_if(now), now))?;
            if entry.is_visitor() {
                self.table.visitors.used(*id, before, now);
            }
            self.table.cache.update(id, |cached| cached.summary.last_seen = now);
        }
        Ok(TouchOutcome::Applied)
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let mut stripe = self.table.stripe_of(id);
        let tag = self.table.tag(user);
        if !stripe.get(id).is_some_and(|entry| entry.has_tag(tag) && entry.is_of(&layout::owner(user))) {
            return Ok(DeleteOutcome::Absent);
        }
        self.table.remove_all(&mut stripe, &[*id]);
        Ok(DeleteOutcome::Deleted)
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        let (shard, tag) = (user.shard(), self.table.tag(Some(user)));
        let stripe = self.table.stripe_of_shard(shard);
        for (id, entry) in stripe.of_user(user, shard, tag).filter(|(_, entry)| !entry.is_expired(now)) {
            listing.add(*id, entry.summary(id))?;
        }
        Ok(listing)
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        let (mut ids, mut live) = (Vec::new(), Listing::default());
        let (shard, tag) = (user.shard(), self.table.tag(Some(user)));
        let mut stripe = self.table.stripe_of_shard(shard);
        for (id, entry) in stripe.of_user(user, shard, tag).filter(|(id, _)| Some(*id) != keep) {
            ids.push(*id);
            if !entry.is_expired(now) {
                live.add(*id, entry.summary(id))?;
            }
        }
        self.table.remove_all(&mut stripe, &ids);
        Ok(live)
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let mut behind = after.map(Cursor::session_id).transpose()?;
        let (mut listing, mut last, mut left) = (Listing::default(), behind, limit.get());
        for stripe in self.table.stripes_from(behind.map_or(0, |id| id.shard())) {
            // Only in the first stripe is there anything that was on a page before.
            for (id, entry) in stripe.behind(behind.take().as_ref()).filter(|(_, entry)| !entry.is_expired(now)) {
                if left == 0 {
                    return Ok(Page::new(listing, last.as_ref().map(Cursor::behind)));
                }
                listing.add(*id, entry.summary(id))?;
                (last, left) = (Some(*id), left - 1);
            }
        }
        Ok(Page::new(listing, None))
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        let stripes = self.table.stripes_from(0);
        let live = stripes.map(|stripe| stripe.behind(None).filter(|(_, entry)| !entry.is_expired(now)).count());
        Ok(Count::exact(live.sum::<usize>() as u64))
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        Ok(self.table.remove_expired(now, limit.get() as usize) as u64)
    }
}
