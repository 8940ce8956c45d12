//! [`Cache`]: the copies of a process, and what is known of them.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::quality::RandomState;
use quick_cache::Weighter;
use session_core::store::{FeedEvent, Record, Version};
use session_core::{SessionId, Timestamp};

use crate::clock::Time;
use crate::machine::{Content, Copies, Fill, Followed, Held, Limits, Stripe, Ticket};

/// Sessions of one user are in one stripe: an id begins with the shard of its user.
const STRIPES: usize = 256;

/// What a copy takes beside its values, with its place in the cache, in bytes. `tests/memory.rs` measures it.
const OVERHEAD: usize = 1000;

/// Copies of sessions, and the rules around them.
pub(crate) struct Cache {
    stripes: Box<[Slot]>,
    copies: Kept,
    followed: ArcSwap<Followed>,
    pub(crate) limits: Limits,
    time: Arc<dyn Time>,
    pub(crate) counts: Counts,
}

#[derive(Default)]
struct Slot {
    stripe: Mutex<Stripe>,
    /// That of the stripe, for those who only read.
    epoch: AtomicU64,
    /// Loads that a copy answered, and loads that none did. Here, for a count of all would be written by every thread at once.
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What rarely happened, since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) refused: AtomicU64,
    pub(crate) losses: AtomicU64,
}

impl Counts {
    fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Cache {
    pub(crate) fn new(limits: Limits, capacity: u64, time: Arc<dyn Time>) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Slot::default()).collect(),
            copies: Kept::new(capacity),
            followed: ArcSwap::from_pointee(Followed::new(time.now())),
            limits,
            time,
            counts: Counts::default(),
        }
    }

    /// The copy of `id`, if it may be given now; counted.
    pub(crate) fn look_up(&self, id: &SessionId) -> Option<Record> {
        let (copy, slot) = (self.get(id), self.slot(id));
        Counts::add(if copy.is_some() { &slot.hits } else { &slot.misses });
        copy
    }

    /// The copy of `id`, if it may be given now.
    pub(crate) fn get(&self, id: &SessionId) -> Option<Record> {
        // In this order, for this thread may be stopped between any two lines. A copy that is there after this was read has seen
        // all that the feed had told until then, whatever happens to it next; and the time is read last.
        let followed = self.followed.load();
        let held = self.copies.0.get(id)?;
        let is_good = held.epoch == self.slot(id).epoch.load(Ordering::Acquire)
            && self.limits.allow(held.since, &followed, self.time.now_for_age());
        is_good.then(|| Record { is_copy: true, ..held.content.clone() })
    }

    /// A load of `id` is about to be sent.
    pub(crate) fn begin_load(&self, id: SessionId) -> UnderWay<'_> {
        self.begin(id, Dropped::Nothing)
    }

    /// A write of `id` is about to be sent.
    pub(crate) fn begin_write(&self, id: SessionId) -> UnderWay<'_> {
        self.begin(id, Dropped::InDoubt)
    }

    fn begin(&self, id: SessionId, dropped: Dropped) -> UnderWay<'_> {
        let ticket = self.slot(&id).lock().begin(id, self.time.now());
        UnderWay { cache: self, id, ticket: Some(ticket), dropped }
    }

    /// The session ended.
    pub(crate) fn ended(&self, id: SessionId) {
        self.slot(&id).lock().ended(id, &self.copies);
    }

    /// The session was used.
    pub(crate) fn touched(&self, id: SessionId, seen: Timestamp) {
        self.slot(&id).lock().touched(id, seen, &self.copies);
    }

    /// Sessions of `shard` ended, and nobody knows which.
    pub(crate) fn flush(&self, shard: u16) {
        let slot = self.slot_of(shard);
        let mut stripe = slot.lock();
        stripe.flush();
        slot.epoch.store(stripe.epoch(), Ordering::Release);
    }

    /// What the feed told. In the order in which it told it.
    pub(crate) fn heard(&self, event: FeedEvent) {
        match event {
            FeedEvent::Changed { id, version } => self.changed(id, version),
            FeedEvent::Ended { id } => self.ended(id),
            FeedEvent::Beat { asked } => {
                let (asked, now) = (self.time.at(asked), self.time.now());
                let before = self.followed.rcu(|followed| followed.beat(asked, now));
                if !before.is_live() && self.followed.load().is_live() {
                    tracing::info!("what other processes do to sessions is told: copies are good for longer");
                }
            }
            FeedEvent::Lost => {
                let now = self.time.now();
                let before = self.followed.rcu(|followed| followed.lost(now));
                // Once for each outage, however often a feed says so.
                if before.is_live() {
                    Counts::add(&self.counts.losses);
                    tracing::info!(
                        "what other processes do to sessions is not told any more: copies are good for `max_stale`"
                    );
                }
            }
        }
    }

    /// The session was changed.
    pub(crate) fn changed(&self, id: SessionId, version: Option<Version>) {
        self.slot(&id).lock().changed(id, version, &self.copies);
    }

    /// How long ago what the feed has told ends; `None` while it is lost.
    pub(crate) fn lag(&self) -> Option<Duration> {
        self.followed.load().lag(self.time.now())
    }

    /// How many copies there are, and how many bytes they take.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.copies.0.len() as u64, self.copies.0.weight())
    }

    /// How many loads a copy answered, and how many none did.
    pub(crate) fn looked_up(&self) -> (u64, u64) {
        let sum = |count: fn(&Slot) -> &AtomicU64| {
            self.stripes.iter().fold(0_u64, |sum, slot| sum.wrapping_add(count(slot).load(Ordering::Relaxed)))
        };
        (sum(|slot| &slot.hits), sum(|slot| &slot.misses))
    }

    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.stripes.iter().map(|slot| slot.lock().under_way()).sum()
    }

    fn slot(&self, id: &SessionId) -> &Slot {
        self.slot_of(id.shard())
    }

    fn slot_of(&self, shard: u16) -> &Slot {
        &self.stripes[usize::from(shard) % STRIPES]
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Stripe> {
        self.stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("limits", &self.limits).field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// What is known of an operation that got no answer, because its caller has gone.
#[derive(Clone, Copy)]
enum Dropped {
    Nothing,
    InDoubt,
}

/// An operation that was sent. Dropped, it has failed.
#[must_use]
pub(crate) struct UnderWay<'c> {
    cache: &'c Cache,
    id: SessionId,
    ticket: Option<Ticket>,
    dropped: Dropped,
}

impl UnderWay<'_> {
    /// The store has this.
    pub(crate) fn found(mut self, record: Record) {
        let fill = self.settle(|stripe, ticket, copies| stripe.found(ticket, record, copies));
        if fill == Some(Fill::Refused) {
            Counts::add(&self.cache.counts.refused);
        }
    }

    /// The session ended.
    pub(crate) fn absent(mut self) {
        let _ = self.settle(Stripe::absent);
    }

    /// The store does not have it.
    pub(crate) fn missing(mut self) {
        let _ = self.settle(Stripe::missing);
    }

    /// The store may have anything.
    pub(crate) fn in_doubt(mut self) {
        self.settle(Stripe::doubtful);
    }

    /// Nothing was changed, and nothing was learnt.
    pub(crate) fn unchanged(mut self) {
        self.settle(|stripe, ticket, _| stripe.abandon(ticket));
    }

    fn settle<T>(&mut self, with: impl FnOnce(&mut Stripe, Ticket, &Kept) -> T) -> Option<T> {
        let ticket = self.ticket.take()?;
        Some(with(&mut self.cache.slot(&self.id).lock(), ticket, &self.cache.copies))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        match self.dropped {
            Dropped::Nothing => self.settle(|stripe, ticket, _| stripe.abandon(ticket)),
            Dropped::InDoubt => self.settle(Stripe::doubtful),
        };
    }
}

/// Records, within a bound. Not hashed with SipHash: what is kept was found in the store, so its id is one that we generated.
/// One that may not be given any more goes when there is no room.
struct Kept(quick_cache::sync::Cache<SessionId, Arc<Held<Record>>, Weight, RandomState>);

impl Kept {
    fn new(capacity: u64) -> Self {
        let items = usize::try_from(capacity).unwrap_or(usize::MAX) / OVERHEAD;
        Self(quick_cache::sync::Cache::with(items, capacity, Weight, RandomState::default(), Default::default()))
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<SessionId, Arc<Held<Record>>> for Weight {
    fn weight(&self, _: &SessionId, held: &Arc<Held<Record>>) -> u64 {
        let record = &held.content;
        // Values are parts of what was read, if that is there.
        let values = record.replaces.as_ref().map_or(0, Bytes::len).max(record.data.size());
        let binding = record.binding.as_ref().map_or(0, Bytes::len);
        (OVERHEAD + values + binding) as u64
    }
}

impl Copies<Record> for Kept {
    fn get(&self, id: &SessionId) -> Option<impl Deref<Target = Held<Record>>> {
        self.0.get(id)
    }

    fn put(&self, id: SessionId, held: Held<Record>) {
        self.0.insert(id, Arc::new(held));
    }

    fn remove(&self, id: &SessionId) {
        self.0.remove(id);
    }
}

impl Content for Record {
    fn version(&self) -> Version {
        self.version
    }

    fn seen(&self) -> Timestamp {
        self.summary.last_seen
    }

    fn seen_at(self, seen: Timestamp) -> Self {
        if self.summary.last_seen < seen { self.touched(seen) } else { self }
    }
}
