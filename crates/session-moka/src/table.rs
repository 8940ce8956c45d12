//! [`Table`]: all sessions, with the cache of the busy ones.

use std::hash::BuildHasher as _;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use foldhash::quality::RandomState;
use session_core::store::Record;
use session_core::{SessionId, StoreError, Timestamp, UserId};

use crate::cache::Cache;
use crate::entry::Entry;
use crate::expiry::{self, Uptime};
use crate::stripe::Stripe;
use crate::visitors::Visitors;

/// Number of locks. With a million sessions, each guards a thousand, which are swept in some 20 µs.
///
/// Held while a session is decoded (0.5 µs each) or moved, never across an await.
const STRIPES: usize = 1024;

/// In how many ticks all stripes are swept: a pass over a million sessions takes about 20 ms of one core.
const TICKS_PER_PASS: usize = 8;

// Why two structures. Measured with 1 000 000 sessions of 236 bytes of data in 3 values (425 bytes encoded), each of
// its own user; 2 cores, glibc; resident bytes per session, and the time of one load, among 1000 sessions and among
// all:
//
//   moka of Arc<Record>, no index by user                     1617 B    0.24 µs    2.8 µs
//   moka of encoded records, no index by user                  785 B    0.70 µs    3.0 µs
//   the same with Expiry and an eviction listener              849 B    inserting takes twice as long
//   ordered map of encoded records, which is its own index     525 B    0.62 µs    2.4 µs
//   the same, and moka for the busy ones: this                 556 B    0.25 µs    2.7 µs
//
// (Records have become more compact since: 350 B for the last line.)
//
// Each entry of moka costs 350 bytes, which is well spent on a session that is read all the time. So moka is what it
// was made to be, a bounded cache that may forget, and the truth is in a table: there a quota, a limit, expiry and an
// index by user are exact without an eviction listener.
//
// Every change of a session, in both structures, happens under the lock of its stripe. So the cache equals the table
// whenever that lock is free, and a load that finds its session in the cache needs no stripe. A load that took its copy
// just before a change is linearized before it.
pub(crate) struct Table {
    stripes: Box<[Mutex<Stripe>]>,
    pub(crate) cache: Cache,
    pub(crate) visitors: Visitors,
    /// Sessions in all stripes, and those about to be inserted.
    count: AtomicUsize,
    max_sessions: usize,
    tags: RandomState,
    uptime: Uptime,
    /// Ends the sweeper when it is dropped.
    _stop: mpsc::Sender<()>,
}

impl Table {
    /// An empty table, and the thread that sweeps it.
    ///
    /// # Panics
    /// If the operating system cannot create a thread.
    pub(crate) fn start(max_sessions: usize) -> Arc<Self> {
        let (stop, stopped) = mpsc::channel();
        let table = Arc::new(Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(Stripe::new())).collect(),
            cache: Cache::new(),
            visitors: Visitors::new(),
            count: AtomicUsize::new(0),
            max_sessions,
            tags: RandomState::default(),
            uptime: Uptime::start(),
            _stop: stop,
        });
        let (weak, mut part) = (Arc::downgrade(&table), 0);
        expiry::spawn(stopped, move || {
            let Some(table) = weak.upgrade() else { return ControlFlow::Break(()) };
            table.sweep(part);
            part = (part + 1) % TICKS_PER_PASS;
            ControlFlow::Continue(())
        });
        table
    }

    /// How many sessions are stored.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Locks the stripe of this session.
    pub(crate) fn stripe_of(&self, id: &SessionId) -> MutexGuard<'_, Stripe> {
        self.stripe_of_shard(id.shard())
    }

    /// Locks the stripe of this shard.
    pub(crate) fn stripe_of_shard(&self, shard: u16) -> MutexGuard<'_, Stripe> {
        self.lock(stripe(shard))
    }

    /// Locks one stripe after the other, from that of `shard` on.
    pub(crate) fn stripes_from(&self, shard: u16) -> impl Iterator<Item = MutexGuard<'_, Stripe>> {
        (stripe(shard)..STRIPES).map(|stripe| self.lock(stripe))
    }

    /// Locks the stripe of `id` and, if it is another one, that of `other`; always the lower one first.
    pub(crate) fn stripes_of(
        &self,
        id: &SessionId,
        other: Option<&SessionId>,
    ) -> (MutexGuard<'_, Stripe>, Option<MutexGuard<'_, Stripe>>) {
        let first = stripe(id.shard());
        match other.map(|other| stripe(other.shard())) {
            Some(other) if other < first => {
                let other = self.lock(other);
                (self.lock(first), Some(other))
            }
            Some(other) if other > first => {
                let first = self.lock(first);
                (first, Some(self.lock(other)))
            }
            Some(_) | None => (self.lock(first), None),
        }
    }

    /// A hash of the user. Some bits are enough to tell the users of one shard apart, mostly. Not SipHash: who finds users with
    /// the same bits has only given himself more sessions to be compared.
    pub(crate) fn tag(&self, user: Option<&UserId>) -> u16 {
        self.tags.hash_one(user) as u16
    }

    /// [`Uptime::free_at`].
    pub(crate) fn free_at(&self, deadline: Timestamp, now: Timestamp) -> u32 {
        self.uptime.free_at(deadline, now)
    }

    /// # Errors
    /// As [`Record::encode`].
    pub(crate) fn entry(&self, record: &Record, now: Timestamp) -> Result<Entry, StoreError> {
        Entry::new(record, self.tag(record.user()), self.free_at(record.deadline(), now))
    }

    /// Counts one more session, if the quota allows it.
    pub(crate) fn reserve(&self) -> bool {
        let next = |count: usize| (count < self.max_sessions).then_some(count.saturating_add(1));
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Counts fewer sessions.
    pub(crate) fn release(&self, sessions: usize) {
        self.count.fetch_sub(sessions, Ordering::Relaxed);
    }

    /// Removes a session, but not from the count. `stripe` is its own.
    pub(crate) fn remove(&self, stripe: &mut Stripe, id: &SessionId) {
        if let Some(entry) = stripe.remove(id) {
            self.uncache(id, &entry);
        }
    }

    /// Removes sessions, also from the count. `stripe` is theirs.
    pub(crate) fn remove_all(&self, stripe: &mut Stripe, ids: &[SessionId]) {
        let removed = ids.iter().filter_map(|id| Some((*id, stripe.remove(id)?))).collect::<Vec<_>>();
        self.forget(&removed);
    }

    /// Ends a visitor that was taken out of [`Visitors`]; whether it was still live. No stripe is locked.
    pub(crate) fn end_visitor(&self, id: &SessionId, now: Timestamp) -> bool {
        let mut stripe = self.stripe_of(id);
        let was_live = stripe.live(id, now).is_some();
        self.remove_all(&mut stripe, &[*id]);
        was_live
    }

    /// Removes up to `limit` expired sessions; returns how many.
    pub(crate) fn remove_expired(&self, now: Timestamp, limit: usize) -> usize {
        let mut removed = 0;
        for stripe in 0..STRIPES {
            if removed == limit {
                break;
            }
            let mut stripe = self.lock(stripe);
            let expired = stripe.remove_expired(now, limit - removed);
            self.forget(&expired);
            removed += expired.len();
        }
        removed
    }

    /// Frees the sessions whose time has come, in one part of the stripes.
    fn sweep(&self, part: usize) {
        let second = self.uptime.seconds();
        for stripe in (part..STRIPES).step_by(TICKS_PER_PASS) {
            let mut stripe = self.lock(stripe);
            let expired = stripe.sweep(second);
            self.forget(&expired);
        }
        self.cache.run_pending_tasks();
    }

    /// Uncaches and uncounts sessions that were removed from a stripe, while it is still locked.
    fn forget(&self, removed: &[(SessionId, Entry)]) {
        for (id, entry) in removed {
            self.uncache(id, entry);
        }
        self.release(removed.len());
    }

    fn uncache(&self, id: &SessionId, entry: &Entry) {
        self.cache.remove(id);
        if entry.is_visitor() {
            self.visitors.leave(*id, entry.last_seen());
        }
    }

    fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        // A change does not panic midway, so a poisoned lock guards a consistent stripe.
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stripe(shard: u16) -> usize {
    usize::from(shard) % STRIPES
}
