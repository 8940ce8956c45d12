//! Commits of one session queue inside a process, so that nodes contend, not requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::model::id::SessionId;

type Turns = HashMap<SessionId, Arc<AsyncMutex<()>>>;

/// The sessions for which a commit met a conflict and is being repeated. Empty almost always: an uncontended commit
/// costs one load of an atomic.
#[derive(Default)]
pub(super) struct CommitQueue {
    turns: Mutex<Turns>,
    len: AtomicUsize,
}

impl CommitQueue {
    /// Whether a commit of `id` is being repeated right now.
    pub(super) fn is_contended(&self, id: &SessionId) -> bool {
        self.len.load(Ordering::Acquire) != 0 && self.lock().contains_key(id)
    }

    /// Waits for the other commits of `id` in this process.
    pub(super) async fn turn(&self, id: SessionId) -> Turn<'_> {
        let mutex = {
            let mut turns = self.lock();
            let mutex = Arc::clone(turns.entry(id).or_default());
            self.len.store(turns.len(), Ordering::Release);
            mutex
        };
        // Exists before the wait, so that a request dropped while waiting cleans up too.
        let mut turn = Turn { queue: self, id, guard: None };
        turn.guard = Some(mutex.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CommitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitQueue").field("len", &self.len).finish()
    }
}

/// The right to commit one session.
pub(super) struct Turn<'q> {
    queue: &'q CommitQueue,
    id: SessionId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut turns = self.queue.lock();
        // The map's own reference is the last one when the turn is neither held nor waited for.
        if turns.get(&self.id).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            turns.remove(&self.id);
        }
        self.queue.len.store(turns.len(), Ordering::Release);
    }
}
