//! What keeps the requests of one process from disturbing each other at one session: commits queue after a conflict, and
//! activity is recorded once.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::timeout;

use crate::clock::Timestamp;
use crate::model::id::SessionId;
use crate::model::record::Record;

/// For each session, what the last of these commits wrote.
type Turns = HashMap<SessionId, Arc<AsyncMutex<Option<Record>>>>;

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

    /// Waits for the other commits of `id` in this process, at most for `patience`; `None` if that was too short.
    pub(super) async fn turn(&self, id: SessionId, patience: Duration) -> Option<Turn<'_>> {
        let mutex = {
            let mut turns = self.lock();
            let mutex = Arc::clone(turns.entry(id).or_default());
            self.len.store(turns.len(), Ordering::Release);
            mutex
        };
        // Exists before the wait, so that a request that gives up while waiting cleans up too.
        let mut turn = Turn { queue: self, id, guard: None };
        turn.guard = Some(timeout(patience, mutex.lock_owned()).await.ok()?);
        Some(turn)
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
    guard: Option<OwnedMutexGuard<Option<Record>>>,
}

impl Turn<'_> {
    /// What the commit before this one wrote. It may have changed since (a logout, a touch, another process): the
    /// compare-and-swap tells.
    pub(super) fn take_latest(&mut self) -> Option<Record> {
        self.guard.as_mut()?.take()
    }

    /// Leaves what was written to the next commit.
    pub(super) fn leave(&mut self, record: &Record) {
        if record.id() == self.id
            && let Some(guard) = &mut self.guard
        {
            **guard = Some(record.clone());
        }
    }
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

/// How many touches are remembered.
const TOUCHES: usize = 1024;

/// The latest touches of this process: requests that were opened before any of them touched the session need not touch it
/// once more. Forgets; then there is one touch too many.
pub(super) struct RecentTouches(Mutex<Vec<Option<(SessionId, Timestamp)>>>);

impl Default for RecentTouches {
    fn default() -> Self {
        Self(Mutex::new(vec![None; TOUCHES]))
    }
}

impl RecentTouches {
    /// Whether the caller is to touch `id` at `now`: no other request did, or is about to, in the `interval` before.
    pub(super) fn claim(&self, id: SessionId, now: Timestamp, interval: Duration) -> bool {
        let mut slots = self.lock();
        let slot = &mut slots[Self::slot(&id)];
        let is_recent = slot.is_some_and(|(of, at)| of == id && at <= now && now < at + interval);
        if !is_recent {
            *slot = Some((id, now));
        }
        !is_recent
    }

    /// Takes a claim back: the touch failed.
    pub(super) fn release(&self, id: &SessionId) {
        let mut slots = self.lock();
        let slot = &mut slots[Self::slot(id)];
        if slot.is_some_and(|(of, _)| of == *id) {
            *slot = None;
        }
    }

    fn slot(id: &SessionId) -> usize {
        let [.., high, low] = *id.as_bytes();
        usize::from(u16::from_be_bytes([high, low])) % TOUCHES
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<(SessionId, Timestamp)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
