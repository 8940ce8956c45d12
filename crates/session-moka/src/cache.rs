//! [`Cache`]: busy sessions, decoded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use session_core::SessionId;
use session_core::store::Record;

/// What the cached sessions may occupy, in bytes.
const MAX_BYTES: u64 = 32 << 20;

/// What a cached session occupies beside its data, its place in the cache included, in bytes.
const OVERHEAD: usize = 1400;

/// A bounded cache of decoded records. It may forget any of them: each is in its stripe too.
///
/// Not hashed with SipHash: the cache is bounded, and only ids that we generated get into it.
pub(crate) struct Cache(moka::sync::Cache<SessionId, Arc<Mutex<Record>>, RandomState>);

impl Cache {
    pub(crate) fn new() -> Self {
        let builder = moka::sync::Cache::builder().max_capacity(MAX_BYTES).weigher(weight);
        Self(builder.build_with_hasher(RandomState::default()))
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<Record> {
        self.0.get(id).map(|cached| lock(&cached).clone())
    }

    pub(crate) fn insert(&self, record: Record) {
        self.0.insert(record.summary.id, Arc::new(Mutex::new(record)));
    }

    /// Changes the record, if it is cached.
    pub(crate) fn update(&self, id: &SessionId, change: impl FnOnce(&mut Record)) {
        let Some(cached) = self.0.get(id) else { return };
        let mut record = lock(&cached);
        let size = record.data.size();
        change(&mut record);
        if record.data.size() != size {
            // An entry is weighed when it is inserted, and never again.
            let record = record.clone();
            self.insert(record);
        }
    }

    pub(crate) fn remove(&self, id: &SessionId) {
        self.0.invalidate(id);
    }

    /// Frees what was removed or evicted.
    pub(crate) fn run_pending_tasks(&self) {
        self.0.run_pending_tasks();
    }
}

fn weight(_: &SessionId, cached: &Arc<Mutex<Record>>) -> u32 {
    u32::try_from(OVERHEAD + lock(cached).data.size()).unwrap_or(u32::MAX)
}

fn lock(cached: &Mutex<Record>) -> MutexGuard<'_, Record> {
    // A change does not panic midway, so a poisoned lock guards a consistent record.
    cached.lock().unwrap_or_else(PoisonError::into_inner)
}
