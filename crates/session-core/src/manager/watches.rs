//! [`Watches`]: who waits for the end of which session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch::{self, Receiver, Sender};

use crate::model::id::SessionId;

/// The sessions that somebody waits for the end of.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<SessionId, Weak<Sender<bool>>>>);

impl Watches {
    /// What tells that `id` has ended. With the sender, if the caller is the first, and has to see to it.
    pub(super) fn subscribe(&self, id: SessionId) -> (Receiver<bool>, Option<Arc<Sender<bool>>>) {
        let mut watches = self.lock();
        if let Some(watch) = watches.get(&id).and_then(Weak::upgrade) {
            return (watch.subscribe(), None);
        }
        let (watch, receiver) = watch::channel(false);
        let watch = Arc::new(watch);
        watches.insert(id, Arc::downgrade(&watch));
        (receiver, Some(watch))
    }

    /// Tells those who wait that this process has ended a session.
    pub(super) fn end(&self, id: &SessionId) {
        let watch = self.lock().remove(id).and_then(|watch| watch.upgrade());
        if let Some(watch) = watch {
            let _ = watch.send(true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Weak<Sender<bool>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops waiting for `id` if nobody does any more.
    pub(super) fn is_abandoned(&self, id: &SessionId, watch: &Sender<bool>) -> bool {
        let mut watches = self.lock();
        // Under the lock: nobody can subscribe meanwhile.
        let is_abandoned = watch.receiver_count() == 0;
        if is_abandoned && watches.get(id).is_some_and(|other| std::ptr::eq(other.as_ptr(), watch)) {
            watches.remove(id);
        }
        is_abandoned
    }
}
