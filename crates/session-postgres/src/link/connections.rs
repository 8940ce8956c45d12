//! [`Connections`]: the connections that statements are executed on, a few of them kept between two statements.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::pool::{CloseEvent, PoolConnection};
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The time between two ticks of the reaper. A connection that was not used since the last tick goes back to the pool.
const TICK: Duration = Duration::from_secs(1);
/// After so many ticks a connection goes back to the pool in any case, which then enforces its own maximum age.
const MAX_TICKS: u64 = 60;

/// What a store takes from its pool.
///
/// The pool pings the server whenever it gets a connection back, so a connection that is taken from the pool is busy
/// for two round trips. A kept connection is busy for one, and no operation has to queue in the pool for it. At most
/// half of the pool's connections are kept, less those that the application has taken, so that the application never
/// waits for an idle connection.
pub(crate) struct Connections {
    pool: PgPool,
    /// How long the pool may take to get a connection back, its ping included.
    return_timeout: Duration,
    /// As many as the pool has connections. An operation that waits here gets the next free connection, kept or not; in
    /// the pool's own queue it would not get a kept one.
    permits: Arc<Semaphore>,
    kept: Mutex<IdleSet>,
    /// Connections taken from the pool, in use or idle.
    checked_out: AtomicUsize,
    tick: AtomicU64,
}

/// The kept connections.
#[derive(Default)]
struct IdleSet {
    /// Ordered by last use.
    idle: Vec<IdleConnection>,
    /// How many are kept, those in use included.
    total: usize,
    /// The task that runs [`reap_idle`], and its runtime.
    reaper: Option<(Handle, AbortHandle)>,
}

struct IdleConnection {
    connection: PoolConnection<Postgres>,
    /// The tick since which it is kept.
    kept_since: u64,
    /// The tick of its last use.
    last_used: u64,
}

impl Connections {
    pub(crate) fn new(pool: PgPool, return_timeout: Duration) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(pool.options().get_max_connections() as usize));
        let (kept, checked_out, tick) = (Mutex::default(), AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Self { pool, return_timeout, permits, kept, checked_out, tick })
    }

    /// A connection that is closed when it is dropped, because the operation failed, timed out or was cancelled: a
    /// reply may still arrive on it, and the next operation would read that. Only [`Lease::release`] makes it available
    /// again.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Lease, sqlx::Error> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let permit = Arc::clone(&self.permits).acquire_owned();
                let permit = timeout(self.pool.options().get_acquire_timeout(), permit).await;
                permit.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?
            }
        };
        let idle = if self.pool.is_closed() { None } else { self.lock().idle.pop() };
        let (connection, kept_since) = match idle {
            Some(idle) => (idle.connection, Some(idle.kept_since)),
            None => {
                let connection = self.pool.acquire().await?;
                self.checked_out.fetch_add(1, Ordering::Relaxed);
                (connection, None)
            }
        };
        Ok(Lease { connection: Some(connection), kept_since, connections: Arc::clone(self), _permit: permit })
    }

    /// Closes all idle connections, also the pool's. After a restart of the server they are dead, and each would fail
    /// an operation.
    pub(crate) fn discard_idle(&self) {
        let kept = self.take_idle(|_| true);
        self.checked_out.fetch_sub(kept.len(), Ordering::Relaxed);
        // Bounded by the size of the pool: new connections may be opened at the same time.
        let pooled = (0..self.pool.options().get_max_connections()).map_while(|_| self.pool.try_acquire());
        for mut connection in kept.into_iter().chain(pooled) {
            connection.close_on_drop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, IdleSet> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the idle connections that match from the set.
    fn take_idle(&self, matches: impl Fn(&IdleConnection) -> bool) -> Vec<PoolConnection<Postgres>> {
        let mut kept = self.lock();
        let taken: Vec<_> = kept.idle.extract_if(.., |idle| matches(idle)).map(|idle| idle.connection).collect();
        kept.total -= taken.len();
        taken
    }

    /// Keeps the connection, or returns it if it should go back to the pool.
    fn keep(
        self: &Arc<Self>,
        connection: PoolConnection<Postgres>,
        kept_since: Option<u64>,
    ) -> Result<(), PoolConnection<Postgres>> {
        let in_use = (self.pool.size() as usize).saturating_sub(self.pool.num_idle());
        let by_others = in_use.saturating_sub(self.checked_out.load(Ordering::Relaxed));
        let max_kept = (self.pool.options().get_max_connections() as usize / 2).saturating_sub(by_others);
        let tick = self.tick.load(Ordering::Relaxed);
        let mut kept = self.lock();
        let total = kept.total + usize::from(kept_since.is_none());
        let is_old = kept_since.is_some_and(|since| tick - since >= MAX_TICKS);
        if total > max_kept || is_old || self.pool.is_closed() {
            kept.total -= usize::from(kept_since.is_some());
            return Err(connection);
        }
        kept.total = total;
        kept.idle.push(IdleConnection { connection, kept_since: kept_since.unwrap_or(tick), last_used: tick });
        if kept.reaper.as_ref().is_none_or(|(_, task)| task.is_finished()) {
            let task = tokio::spawn(reap_idle(Arc::downgrade(self), self.pool.close_event())).abort_handle();
            kept.reaper = Some((Handle::current(), task));
        }
        Ok(())
    }

    /// Returns a connection to the pool, in the background. No reply may be outstanding on it.
    ///
    /// The pool pings the server first, without a timeout. If the network fails at that moment, the connection's place
    /// in the pool would be lost for good; hence ours.
    fn return_to_pool(self: &Arc<Self>, mut connection: PoolConnection<Postgres>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let _ = timeout(this.return_timeout, connection.return_to_pool()).await;
            this.checked_out.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((runtime, task)) = &kept.reaper {
            task.abort();
            // The driver needs a runtime to return them to the pool, and the store may be dropped outside of one.
            let _guard = runtime.enter();
            kept.idle.clear();
        }
    }
}

/// Returns unused connections to the pool, until none is kept.
async fn reap_idle(connections: Weak<Connections>, mut close: CloseEvent) {
    loop {
        let closed = close.do_until(sleep(TICK)).await.is_err();
        let Some(connections) = connections.upgrade() else { return };
        let tick = connections.tick.fetch_add(1, Ordering::Relaxed);
        for connection in connections.take_idle(|idle| closed || idle.last_used < tick) {
            connections.return_to_pool(connection);
        }
        let mut kept = connections.lock();
        if kept.total == 0 || closed {
            kept.reaper = None;
            return;
        }
    }
}

/// A connection in use.
pub(crate) struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    /// The tick since which it is kept, if it is.
    kept_since: Option<u64>,
    connections: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Makes the connection available again. No reply may be outstanding on it.
    pub(crate) fn release(mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(connection) = self.connections.keep(connection, self.kept_since)
        {
            self.connections.return_to_pool(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        connection.close_on_drop();
        self.connections.lock().total -= usize::from(self.kept_since.is_some());
        self.connections.checked_out.fetch_sub(1, Ordering::Relaxed);
    }
}
