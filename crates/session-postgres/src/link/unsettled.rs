//! [`UnsettledKeys`]: what statements that were abandoned may still do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::types::Uuid;
use tokio::sync::watch;

/// The keys of statements that were abandoned, and may still be executed.
#[derive(Default)]
pub(crate) struct UnsettledKeys(Mutex<HashMap<Uuid, watch::Receiver<()>>>);

/// A statement that was abandoned. Dropped when it is known to be over.
pub(crate) struct Unsettled {
    keys: Arc<UnsettledKeys>,
    key: Uuid,
    _over: watch::Sender<()>,
}

impl UnsettledKeys {
    pub(crate) fn add(self: &Arc<Self>, key: Uuid) -> Unsettled {
        let (over, receiver) = watch::channel(());
        self.lock().insert(key, receiver);
        Unsettled { keys: Arc::clone(self), key, _over: over }
    }

    /// Waits until no statement of this key may still be executed.
    pub(crate) async fn settled(&self, key: &Uuid) {
        loop {
            let Some(mut over) = self.lock().get(key).cloned() else { return };
            // An error, when the sender is dropped.
            let _ = over.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}
