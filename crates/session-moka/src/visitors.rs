//! [`Visitors`]: anonymous sessions under a limit, in the order of their use.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{SessionId, Timestamp};

/// The visitors, least recently used first.
///
/// Changed under the lock of the session's stripe, and locked last. Takes about 40 bytes a visitor.
pub(crate) struct Visitors(Mutex<BTreeSet<(Timestamp, SessionId)>>);

impl Visitors {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Adds one; returns those that are too many then, of which it is none.
    pub(crate) fn enter(&self, id: SessionId, last_seen: Timestamp, max: usize) -> Vec<SessionId> {
        let mut visitors = self.lock();
        let excess = (visitors.len() + 1).saturating_sub(max);
        let ended = (0..excess).map_while(|_| visitors.pop_first()).map(|(_, id)| id).collect();
        visitors.insert((last_seen, id));
        ended
    }

    /// Takes out the one that was used least recently, outside `shard` if there is one.
    pub(crate) fn take_outside(&self, shard: u16) -> Option<SessionId> {
        let mut visitors = self.lock();
        let outside = visitors.iter().find(|(_, id)| id.shard() != shard);
        let found = *outside.or(visitors.first())?;
        visitors.remove(&found);
        Some(found.1)
    }

    /// Notes that one was used. Not if it has been taken out: it is about to end.
    pub(crate) fn used(&self, id: SessionId, before: Timestamp, now: Timestamp) {
        let mut visitors = self.lock();
        if visitors.remove(&(before, id)) {
            visitors.insert((now, id));
        }
    }

    pub(crate) fn leave(&self, id: SessionId, last_seen: Timestamp) {
        self.lock().remove(&(last_seen, id));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(Timestamp, SessionId)>> {
        // A change does not panic midway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
