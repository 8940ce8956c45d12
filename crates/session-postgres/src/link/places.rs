//! [`Places`]: how many statements may hold a connection of the pool, and which ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A load: a few places are kept free for them, so that reads go on while writes hang.
    Load,
    /// Any other statement.
    Other,
}

/// The places of a pool. One is kept free, to cancel from: statements have the others.
pub(crate) struct Places {
    /// For all statements.
    all: Quota,
    /// For those that are no loads.
    others: Quota,
}

struct Quota {
    size: usize,
    free: Arc<Semaphore>,
    /// How many are held by statements that were not over in time.
    hung: AtomicUsize,
}

/// The right to hold a connection. Kept until its backend is known to be idle or gone.
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    others: Option<OwnedSemaphorePermit>,
    places: Arc<Places>,
    is_hung: bool,
}

impl Places {
    pub(crate) fn of(max_connections: usize) -> Arc<Self> {
        let all = max_connections.saturating_sub(1).max(1);
        let others = all.saturating_sub((all / 4).max(1)).max(1);
        Arc::new(Self { all: Quota::new(all), others: Quota::new(others) })
    }

    /// A place, within `patience`; at once, or not at all, while statements hang in all of them.
    pub(crate) async fn take(self: &Arc<Self>, purpose: Purpose, patience: Duration) -> Result<Place, sqlx::Error> {
        let quota = match purpose {
            Purpose::Load => &self.all,
            Purpose::Other => &self.others,
        };
        if self.all.is_hung() || quota.is_hung() {
            return Err(sqlx::Error::PoolTimedOut);
        }
        let take = async {
            let others = match purpose {
                Purpose::Load => None,
                Purpose::Other => Some(self.others.take().await?),
            };
            Ok(Place { _all: self.all.take().await?, others, places: Arc::clone(self), is_hung: false })
        };
        timeout(patience, take).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// How many statements may wait for rows that others hold, so that there are places for those that need not.
    pub(crate) fn for_waiting(&self) -> usize {
        (self.others.size / 2).max(1)
    }
}

impl Quota {
    fn new(size: usize) -> Self {
        Self { size, free: Arc::new(Semaphore::new(size)), hung: AtomicUsize::new(0) }
    }

    fn is_hung(&self) -> bool {
        self.hung.load(Ordering::Relaxed) >= self.size
    }

    async fn take(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        Arc::clone(&self.free).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)
    }
}

impl Place {
    /// Notes that the statement was not over in time.
    pub(crate) fn hang(&mut self) {
        if !self.is_hung {
            self.is_hung = true;
            self.count(|hung| hung.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn count(&self, change: impl Fn(&AtomicUsize) -> usize) {
        change(&self.places.all.hung);
        if self.others.is_some() {
            change(&self.places.others.hung);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_hung {
            self.count(|hung| hung.fetch_sub(1, Ordering::Relaxed));
        }
    }
}
