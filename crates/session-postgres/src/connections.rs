//! The connections that operations use: a few of the pool's, kept from one operation to the next.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// How often somebody looks for connections that are kept for nothing. One that was not used in between goes back.
const TICK: Duration = Duration::from_secs(1);
/// After so many ticks a connection goes back to the pool in any case, which then looks at its age.
const TICKS_KEPT: u64 = 60;

/// What a store takes from its pool.
///
/// The pool asks the server for a sign of life whenever it gets a connection back, so a connection that is used through
/// it is busy for two round trips. Those that are kept are not, and need no waiting in line. They are at most half of
/// the pool, less what others have taken from it, so that an application that shares the pool is never kept waiting.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    /// How long the pool may take for its sign of life.
    patience: Duration,
    /// As many as the pool has connections. Whoever waits here gets the next connection that is free, be it kept or not;
    /// in the pool's line he would not see those that are kept.
    turns: Arc<Semaphore>,
    kept: Mutex<Kept>,
    /// Connections that are not the pool's at the moment because of us.
    ours: AtomicUsize,
    /// The number of ticks so far.
    now: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// The last one was used last.
    idle: Vec<Idle>,
    /// How many are kept, those in use included.
    total: usize,
    /// Where `watch` runs, unless it has ended.
    watch: Option<(Handle, tokio::task::AbortHandle)>,
}

#[derive(Debug)]
struct Idle {
    connection: PoolConnection<Postgres>,
    /// The ticks at which it was first kept and last used.
    since: u64,
    used: u64,
}

impl Connections {
    pub(crate) fn new(pool: PgPool, patience: Duration) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(pool.options().get_max_connections() as usize));
        let (kept, ours, now) = (Mutex::default(), AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Self { pool, patience, turns, kept, ours, now })
    }

    /// A connection that is closed when it is dropped, because the operation failed, timed out or was cancelled: a
    /// reply may be under way on it, and the next user would read it. [`Lease::give_back`] is the only way to its next
    /// use.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Lease, sqlx::Error> {
        let turn = match Arc::clone(&self.turns).try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => {
                let turn = Arc::clone(&self.turns).acquire_owned();
                let turn = timeout(self.pool.options().get_acquire_timeout(), turn).await;
                turn.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?
            }
        };
        let idle = if self.pool.is_closed() { None } else { self.lock().idle.pop() };
        let (connection, since) = match idle {
            Some(idle) => (idle.connection, Some(idle.since)),
            None => {
                let connection = self.pool.acquire().await?;
                self.ours.fetch_add(1, Ordering::Relaxed);
                (connection, None)
            }
        };
        Ok(Lease { connection: Some(connection), since, home: Arc::clone(self), _turn: turn })
    }

    /// After a restart of the server every idle connection is dead; without this, each would cost a request.
    pub(crate) fn discard_idle(&self) {
        let kept = self.take_idle(|_| true);
        self.ours.fetch_sub(kept.len(), Ordering::Relaxed);
        // Bounded by the size of the pool: others may open new connections at the same time.
        let pooled = (0..self.pool.options().get_max_connections()).map_while(|_| self.pool.try_acquire());
        for mut connection in kept.into_iter().chain(pooled) {
            connection.close_on_drop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps those no longer of which this is true.
    fn take_idle(&self, leaves: impl Fn(&Idle) -> bool) -> Vec<PoolConnection<Postgres>> {
        let mut kept = self.lock();
        let taken: Vec<_> = kept.idle.extract_if(.., |idle| leaves(idle)).map(|idle| idle.connection).collect();
        kept.total -= taken.len();
        taken
    }

    /// Keeps the connection, or says that the pool should have it.
    fn keep(
        self: &Arc<Self>,
        connection: PoolConnection<Postgres>,
        since: Option<u64>,
    ) -> Result<(), PoolConnection<Postgres>> {
        let in_use = (self.pool.size() as usize).saturating_sub(self.pool.num_idle());
        let others = in_use.saturating_sub(self.ours.load(Ordering::Relaxed));
        let room = (self.pool.options().get_max_connections() as usize / 2).saturating_sub(others);
        let now = self.now.load(Ordering::Relaxed);
        let mut kept = self.lock();
        let total = kept.total + usize::from(since.is_none());
        let old = since.is_some_and(|since| now - since >= TICKS_KEPT);
        if total > room || old || self.pool.is_closed() {
            kept.total -= usize::from(since.is_some());
            return Err(connection);
        }
        kept.total = total;
        kept.idle.push(Idle { connection, since: since.unwrap_or(now), used: now });
        if kept.watch.as_ref().is_none_or(|(_, task)| task.is_finished()) {
            let task = tokio::spawn(watch(Arc::downgrade(self), self.pool.close_event())).abort_handle();
            kept.watch = Some((Handle::current(), task));
        }
        Ok(())
    }

    /// Hands a connection on which nothing is under way to the pool, in the background.
    ///
    /// The pool first asks the server for a sign of life and waits for it without limit. If the network dies in that
    /// moment, the connection's place in the pool would be lost for good; hence the timeout.
    fn hand_over(self: &Arc<Self>, mut connection: PoolConnection<Postgres>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let _ = timeout(this.patience, connection.return_to_pool()).await;
            this.ours.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((runtime, task)) = &kept.watch {
            task.abort();
            // The driver needs a runtime to return them to the pool, and the store may be dropped outside of one.
            let _inside = runtime.enter();
            kept.idle.clear();
        }
    }
}

/// Gives connections back that nobody needs, until none is kept.
async fn watch(connections: Weak<Connections>, mut close: sqlx::pool::CloseEvent) {
    loop {
        let closed = close.do_until(sleep(TICK)).await.is_err();
        let Some(connections) = connections.upgrade() else { return };
        let now = connections.now.fetch_add(1, Ordering::Relaxed);
        for connection in connections.take_idle(|idle| closed || idle.used < now) {
            connections.hand_over(connection);
        }
        let mut kept = connections.lock();
        if kept.total == 0 || closed {
            kept.watch = None;
            return;
        }
    }
}

/// A connection in use.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    /// If it is one of those that are kept: since which tick.
    since: Option<u64>,
    home: Arc<Connections>,
    _turn: OwnedSemaphorePermit,
}

impl Lease {
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Nothing is under way on it.
    pub(crate) fn give_back(mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(connection) = self.home.keep(connection, self.since)
        {
            self.home.hand_over(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        connection.close_on_drop();
        self.home.lock().total -= usize::from(self.since.is_some());
        self.home.ours.fetch_sub(1, Ordering::Relaxed);
    }
}
