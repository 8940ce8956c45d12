//! [`UnsettledKeys`]: what statements that were abandoned may still do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::types::Uuid;
use tokio::sync::watch;

/// The keys of statements that were abandoned, and may still be executed.
#[derive(Default)]
pub(crate) struct UnsettledKeys(Mutex<HashMap<Uuid, Entry>>);

/// The statements of one key.
struct Entry {
    count: usize,
    /// Dropped with the last of them.
    over: watch::Sender<()>,
}

/// A statement that was abandoned. Dropped when it is known to be over.
pub(crate) struct Unsettled {
    keys: Arc<UnsettledKeys>,
    key: Uuid,
}

impl UnsettledKeys {
    pub(crate) fn add(self: &Arc<Self>, key: Uuid) -> Unsettled {
        self.lock().entry(key).or_insert_with(|| Entry { count: 0, over: watch::Sender::new(()) }).count += 1;
        Unsettled { keys: Arc::clone(self), key }
    }

    /// Waits until no statement of this key may still be executed.
    pub(crate) async fn settled(&self, key: &Uuid) {
        loop {
            let Some(mut over) = self.lock().get(key).map(|entry| entry.over.subscribe()) else { return };
            // An error, when the sender is dropped.
            let _ = over.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        let mut keys = self.keys.lock();
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.count -= 1;
            if entry.count == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_key_is_settled_when_the_last_of_its_statements_is_over() {
        let (keys, key) = (Arc::new(UnsettledKeys::default()), Uuid::from_u128(1));
        for first_is_over_first in [true, false] {
            let statements = (keys.add(key), keys.add(key));
            let _another = keys.add(Uuid::from_u128(2));
            let mut settled = pin!(keys.settled(&key));
            let mut is_settled = || settled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            assert!(!is_settled());
            let (over, running) = if first_is_over_first { statements } else { (statements.1, statements.0) };
            drop(over);
            assert!(!is_settled());
            drop(running);
            assert!(is_settled());
        }
    }
}
