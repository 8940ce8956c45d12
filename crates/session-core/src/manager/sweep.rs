//! The clean-up of expired records, for stores that do not do it themselves.

use std::num::NonZeroU32;
use std::time::Duration;

use super::SessionManager;
use super::patience::Patience;
use crate::entropy;

/// The mean pause between two sweeps.
const PAUSE: Duration = Duration::from_secs(5);

/// The pause while there is more to delete. A request that meets a call may wait some milliseconds for a core: with a
/// pause forty times as long as a call, few do. Smaller batches meet more of them for the same number of records.
const SHORT_PAUSE: Duration = Duration::from_millis(200);

/// How many records one call may delete.
const BATCH: NonZeroU32 = NonZeroU32::new(1000).unwrap();

impl SessionManager {
    /// Deletes expired records, in batches of up to 1000, about every five seconds, for as long as it is polled; while there are
    /// more, up to five batches per second, which leaves room for requests. A million takes one node three to four minutes
    /// with PostgreSQL, and an hour with SQLite, where requests and clean-up share the cores.
    /// Never returns: spawn it, and abort or drop it to stop.
    ///
    /// ```
    /// # use session_core::SessionManager;
    /// # fn start(manager: SessionManager) {
    /// tokio::spawn(manager.clone().sweep());
    /// # }
    /// ```
    ///
    /// For a store whose records stay until [`delete_expired`](Self::delete_expired) is called, such as one in a SQL
    /// database; it does no harm to another. Every node may run one: the pauses are random, so nodes do not sweep in
    /// step. A store that fails is asked again after the next pause, and observers are told each time. One round trip per
    /// batch.
    pub async fn sweep(self) -> ! {
        let mut pause = self.random_pause();
        loop {
            tokio::time::sleep(pause).await;
            let patience = Patience::begin(SHORT_PAUSE);
            pause = match self.delete_expired(BATCH).await {
                Ok(deleted) if deleted >= u64::from(BATCH.get()) => SHORT_PAUSE,
                // It took its time, and has stopped before its time was over.
                Ok(deleted) if deleted > 0 && patience.is_over() => SHORT_PAUSE,
                // The observers know about the error already.
                Ok(_) | Err(_) => self.random_pause(),
            };
        }
    }

    /// From half to one and a half times [`PAUSE`].
    fn random_pause(&self) -> Duration {
        // Without randomness nothing is unsafe here; nodes may meet, that is all.
        let [random] = entropy::random::<1>(self.inner.entropy.as_ref()).unwrap_or([128]);
        PAUSE / 2 + PAUSE * u32::from(random) / 255
    }
}
