//! [`Inner`]: the table of sessions, and the cache of the busy ones.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState as FastState;
use moka::sync::Cache;
use session_core::store::{CreateOutcome, CreateRequest, LimitCandidate, Record};
use session_core::{SessionId, StoreError, StoreErrorKind, Timestamp, UserId};

use crate::entry::Entry;
use crate::stripe::Stripe;
use crate::sweep;

pub(crate) const NAME: &str = "moka";

/// Number of locks. With a million sessions, each guards a thousand, which the sweeper visits in some 20 µs.
///
/// Kept locked while a session is decoded (0.5 µs each) or moved, never across an await.
const STRIPES: usize = 1024;

/// How long after its deadline a session may be freed. The deadline is compared with a clock that can be set, this
/// with one that cannot: the slack is for the steps by which the former is adjusted.
const SLACK: Duration = Duration::from_secs(5);

/// What decoded sessions may occupy, in bytes.
const HOT_BYTES: u64 = 32 << 20;

/// What a decoded session occupies beside its data, with its place in the cache, in bytes.
const HOT_OVERHEAD: usize = 1400;

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
// index by user are exact without a listener that runs on somebody's thread, under somebody's lock.
//
// Every change of a session, in both structures, happens under the lock of its stripe. So what the cache holds equals
// what the table holds whenever that lock is free, and a load that finds its session in the cache needs no stripe. A
// load that took its copy just before a change answers as if it had come before.
pub(crate) struct Inner {
    stripes: Box<[Mutex<Stripe>]>,
    /// Busy sessions, decoded. A cache: what it forgets is in the stripe.
    ///
    /// Not with SipHash: what is in here is bounded, and its ids are random and ours; none that a client made up gets in.
    hot: Cache<SessionId, Arc<Mutex<Record>>, FastState>,
    /// Sessions in all stripes, and those about to be inserted.
    count: AtomicUsize,
    max_sessions: usize,
    tags: RandomState,
    started: Instant,
    /// Ends the sweeper when it is dropped.
    _stop: mpsc::Sender<()>,
}

impl Inner {
    /// An empty store, and its sweeper.
    pub(crate) fn start(max_sessions: usize) -> Arc<Self> {
        let (stop, stopped) = mpsc::channel();
        let inner = Arc::new(Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(Stripe::new())).collect(),
            hot: Cache::builder().max_capacity(HOT_BYTES).weigher(weight).build_with_hasher(FastState::default()),
            count: AtomicUsize::new(0),
            max_sessions,
            tags: RandomState::new(),
            started: Instant::now(),
            _stop: stop,
        });
        sweep::start(&inner, stopped);
        inner
    }

    /// How many sessions are stored.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        lock(&self.stripes[stripe])
    }

    pub(crate) fn stripe_of(&self, id: &SessionId) -> MutexGuard<'_, Stripe> {
        self.lock(stripe(id.shard()))
    }

    /// Locks the stripe of `id` and, if it is another one, that of `other`; always the lower one first.
    fn stripes_of(
        &self,
        id: &SessionId,
        other: Option<&SessionId>,
    ) -> (MutexGuard<'_, Stripe>, Option<MutexGuard<'_, Stripe>>) {
        let home = stripe(id.shard());
        match other.map(|other| stripe(other.shard())) {
            Some(other) if other < home => {
                let other = self.lock(other);
                (self.lock(home), Some(other))
            }
            Some(other) if other > home => {
                let home = self.lock(home);
                (home, Some(self.lock(other)))
            }
            Some(_) | None => (self.lock(home), None),
        }
    }

    /// The session as it is in the cache of busy ones. No stripe need be locked.
    pub(crate) fn busy(&self, id: &SessionId) -> Option<Record> {
        self.hot.get(id).map(|busy| lock(&busy).clone())
    }

    /// Puts a session into the cache. Its stripe is locked, so that it is not outdated when it gets there.
    pub(crate) fn set_busy(&self, record: Record) {
        self.hot.insert(record.summary.id, Arc::new(Mutex::new(record)));
    }

    /// Changes a session in the cache, if it is there, as it was changed in its stripe, which is still locked.
    pub(crate) fn refresh(&self, id: &SessionId, change: impl FnOnce(&mut Record)) {
        let Some(busy) = self.hot.get(id) else { return };
        let mut record = lock(&busy);
        let size = record.data.size();
        change(&mut record);
        if record.data.size() != size {
            // The cache asks for the weight of what is inserted, and never again.
            let record = record.clone();
            self.set_busy(record);
        }
    }

    pub(crate) fn tag(&self, user: Option<&UserId>) -> u16 {
        // Some bits are enough to tell the users of one shard apart, mostly.
        self.tags.hash_one(user) as u16
    }

    /// The second of the store's life.
    fn second(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// From when on a session with this deadline may be freed: not before it has lived its time as counted from the
    /// call that writes it, by whatever clock `now` was read from.
    pub(crate) fn free_at(&self, deadline: Timestamp, now: Timestamp) -> u32 {
        let lives = (self.started.elapsed() + deadline.since(now) + SLACK).as_secs();
        u32::try_from(lives.saturating_add(1)).unwrap_or(u32::MAX)
    }

    pub(crate) fn entry(&self, record: &Record, now: Timestamp) -> Result<Entry, StoreError> {
        let free_at = self.free_at(record.deadline(), now);
        Entry::new(record, self.tag(record.user()), free_at)
    }

    /// [`SessionStore::create`](session_core::store::SessionStore::create), once. `None` if the quota is used up.
    fn try_create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<Option<CreateOutcome>, StoreError> {
        let CreateRequest { record, replaces, limit } = admission;
        if record.user().is_some_and(|user| user.shard() != record.summary.id.shard()) {
            // Nobody would find it there who looks for the sessions of this user.
            return Err(failed(StoreErrorKind::Other, "the id of the session is not in the shard of its user"));
        }
        let entry = self.entry(record, now)?;
        let (mut home, mut other) = self.stripes_of(&record.summary.id, replaces.map(|replaces| replaces.id).as_ref());
        match home.live(&record.summary.id, now) {
            Some(stored) if stored.version() == record.version => {
                return Ok(Some(CreateOutcome::Created { evicted: Vec::new() }));
            }
            Some(_) => return Ok(Some(CreateOutcome::IdTaken)),
            None => {}
        }
        if let Some(replaces) = replaces {
            match other.as_ref().unwrap_or(&home).live(&replaces.id, now) {
                None => return Ok(Some(CreateOutcome::ReplacedAbsent)),
                Some(stored) if stored.version() != replaces.version => {
                    return Ok(Some(CreateOutcome::ReplacedChanged));
                }
                Some(_) => {}
            }
        }
        let mut evicted = Vec::new();
        if let (Some(limit), Some(user)) = (limit, record.user()) {
            let replaced = replaces.as_ref().map(|replaces| &replaces.id);
            let mut others = home.of_user(user, record.summary.id.shard(), self.tag(Some(user)), replaced)?;
            others.retain(|other| !other.is_expired(now));
            let others = others.iter().map(|other| LimitCandidate {
                id: other.summary.id,
                created_at: other.summary.created_at,
                last_seen: other.summary.last_seen,
            });
            match limit.select_evictions(others.collect()) {
                Some(leaving) => evicted = leaving,
                None => return Ok(Some(CreateOutcome::LimitReached)),
            }
        }
        let leaving = evicted.len() + usize::from(replaces.is_some()) + usize::from(home.contains(&record.summary.id));
        // Those that leave are subtracted together with the one that comes: in between, another could take their place.
        if leaving == 0 && !self.reserve() {
            return Ok(None);
        }
        if let Some(replaces) = replaces {
            self.remove(other.as_mut().unwrap_or(&mut home), &replaces.id);
        }
        for id in evicted.iter().chain([&record.summary.id]) {
            self.remove(&mut home, id);
        }
        home.insert(record.summary.id, entry);
        self.count.fetch_sub(leaving.saturating_sub(1), Ordering::Relaxed);
        Ok(Some(CreateOutcome::Created { evicted }))
    }

    /// [`SessionStore::create`](session_core::store::SessionStore::create).
    pub(crate) fn create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        if let Some(admitted) = self.try_create(admission, now)? {
            return Ok(admitted);
        }
        self.remove_expired(now, usize::MAX);
        let full = || failed(StoreErrorKind::Full, "as many sessions are stored as the quota allows");
        self.try_create(admission, now)?.ok_or_else(full)
    }

    /// Counts one more session, if there is room for it.
    fn reserve(&self) -> bool {
        let room = |count: usize| (count < self.max_sessions).then_some(count.saturating_add(1));
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    /// Removes a session from both structures, but not from the count.
    fn remove(&self, stripe: &mut Stripe, id: &SessionId) {
        stripe.remove(id);
        self.hot.invalidate(id);
    }

    /// Removes up to `limit` expired sessions; returns how many.
    pub(crate) fn remove_expired(&self, now: Timestamp, limit: usize) -> usize {
        let mut removed = 0;
        for stripe in 0..STRIPES {
            if removed == limit {
                break;
            }
            let mut stripe = self.lock(stripe);
            let ids = stripe.remove_expired(now, limit - removed);
            self.forget(&ids);
            removed += ids.len();
        }
        removed
    }

    /// Frees what may be freed in every `step`th stripe from `first` on.
    pub(crate) fn sweep(&self, first: usize, step: usize) {
        let second = self.second();
        for stripe in (first..STRIPES).step_by(step) {
            let mut stripe = self.lock(stripe);
            let ids = stripe.sweep(second);
            self.forget(&ids);
        }
        self.hot.run_pending_tasks();
    }

    /// Does what is left to do for sessions that were removed from a stripe, while it is still locked.
    pub(crate) fn forget(&self, ids: &[SessionId]) {
        for id in ids {
            self.hot.invalidate(id);
        }
        self.count.fetch_sub(ids.len(), Ordering::Relaxed);
    }
}

pub(crate) fn stripe(shard: u16) -> usize {
    usize::from(shard) % STRIPES
}

pub(crate) fn in_moka(error: StoreError) -> StoreError {
    error
}

fn failed(kind: StoreErrorKind, detail: &'static str) -> StoreError {
    in_moka(StoreError::new(kind, detail))
}

fn weight(_: &SessionId, busy: &Arc<Mutex<Record>>) -> u32 {
    u32::try_from(HOT_OVERHEAD + lock(busy).data.size()).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two steps of one change, so that a poisoned lock guards something whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
