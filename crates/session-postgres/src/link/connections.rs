//! [`Connections`]: what the store takes from its pool, a few of them kept between two statements.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlx::pool::{CloseEvent, PoolConnection};
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::link::home::Home;

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
    /// Held by the one that cancels: it has one place.
    pub(crate) canceller: Arc<tokio::sync::Mutex<()>>,
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
    /// Where they were opened.
    home: Option<Arc<Home>>,
    /// The task that runs [`reap_idle`].
    reaper: Option<AbortHandle>,
}

struct IdleConnection {
    connection: PoolConnection<Postgres>,
    backend: Option<Backend>,
    /// The tick since which it is kept.
    kept_since: u64,
    /// The tick of its last use.
    last_used: u64,
}

/// A process of the server: the number, and when it began, because numbers are used again. 0 if that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) pid: i32,
    pub(crate) began: i64,
}

impl Connections {
    pub(crate) fn new(pool: PgPool, return_timeout: Duration) -> Arc<Self> {
        let kept = Mutex::new(IdleSet { home: Home::here(), ..IdleSet::default() });
        let (checked_out, tick) = (AtomicUsize::new(0), AtomicU64::new(0));
        let canceller = Arc::default();
        Arc::new(Self { pool, return_timeout, canceller, kept, checked_out, tick })
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The home of the store: the runtime that it was opened in. If that has ended, or there was none, that of the
    /// caller from now on; `None` if the caller has none either.
    pub(crate) fn home(&self) -> Option<Arc<Home>> {
        let mut kept = self.lock();
        if let Some(home) = &kept.home
            && !home.has_ended()
        {
            return Some(Arc::clone(home));
        }
        let home = Home::here()?;
        let before = kept.home.replace(Arc::clone(&home));
        drop(kept);
        if before.is_some() {
            // What was opened there is dead.
            self.discard_idle();
        }
        Some(home)
    }

    /// A kept connection, or else one of the pool. To be called at home: the pool may open it.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Held, sqlx::Error> {
        if let Some(held) = self.take_kept() {
            return Ok(held);
        }
        let home = self.home().ok_or(sqlx::Error::WorkerCrashed)?;
        let connection = self.pool.acquire().await?;
        self.checked_out.fetch_add(1, Ordering::Relaxed);
        Ok(self.held(home, connection, None, None))
    }

    pub(crate) fn take_kept(self: &Arc<Self>) -> Option<Held> {
        let home = self.home().filter(|_| !self.pool.is_closed())?;
        let idle = self.lock().idle.pop()?;
        Some(self.held(home, idle.connection, idle.backend, Some(idle.kept_since)))
    }

    fn held(
        self: &Arc<Self>,
        home: Arc<Home>,
        connection: PoolConnection<Postgres>,
        backend: Option<Backend>,
        kept_since: Option<u64>,
    ) -> Held {
        let connections = Arc::clone(self);
        Held { connection: Some(connection), backend, in_transaction: false, kept_since, connections, home }
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
        backend: Option<Backend>,
        kept_since: Option<u64>,
        home: &Arc<Home>,
    ) -> Result<(), PoolConnection<Postgres>> {
        let in_use = (self.pool.size() as usize).saturating_sub(self.pool.num_idle());
        let by_others = in_use.saturating_sub(self.checked_out.load(Ordering::Relaxed));
        let max_kept = (self.pool.options().get_max_connections() as usize / 2).saturating_sub(by_others);
        let tick = self.tick.load(Ordering::Relaxed);
        let mut kept = self.lock();
        let total = kept.total + usize::from(kept_since.is_none());
        let is_old = kept_since.is_some_and(|since| tick - since >= MAX_TICKS);
        if total > max_kept || is_old || self.pool.is_closed() || home.has_ended() {
            kept.total -= usize::from(kept_since.is_some());
            return Err(connection);
        }
        kept.total = total;
        let kept_since = kept_since.unwrap_or(tick);
        kept.idle.push(IdleConnection { connection, backend, kept_since, last_used: tick });
        if kept.reaper.as_ref().is_none_or(AbortHandle::is_finished) {
            let reap = reap_idle(Arc::downgrade(self), Arc::clone(home), self.pool.close_event());
            kept.reaper = Some(home.runtime().spawn(reap).abort_handle());
        }
        Ok(())
    }

    /// Returns a connection to the pool, in the background. No reply may be outstanding on it.
    ///
    /// The pool pings the server first, without a timeout. If the network fails at that moment, the connection's place
    /// in the pool would be lost for good; hence ours.
    fn return_to_pool(self: &Arc<Self>, mut connection: PoolConnection<Postgres>, home: &Home) {
        let checked_out = CheckedOut(Arc::clone(self));
        // A runtime that has ended drops the task at once, and the driver needs one to drop a connection.
        let _guard = home.runtime().enter();
        home.runtime().spawn(async move {
            let return_timeout = checked_out.0.return_timeout;
            let _ = timeout(return_timeout, connection.return_to_pool()).await;
        });
    }
}

/// A connection that goes back to the pool.
struct CheckedOut(Arc<Connections>);

impl Drop for CheckedOut {
    fn drop(&mut self) {
        self.0.checked_out.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(reaper) = &kept.reaper {
            reaper.abort();
        }
        if let Some(home) = &kept.home {
            // The driver needs a runtime to return them to the pool, and the store may be dropped outside of one.
            let _guard = home.runtime().enter();
            kept.idle.clear();
        }
    }
}

/// Returns unused connections to the pool, until none is kept.
async fn reap_idle(connections: Weak<Connections>, home: Arc<Home>, mut close: CloseEvent) {
    loop {
        let closed = close.do_until(sleep(TICK)).await.is_err();
        let Some(connections) = connections.upgrade() else { return };
        let tick = connections.tick.fetch_add(1, Ordering::Relaxed);
        for connection in connections.take_idle(|idle| closed || idle.last_used < tick) {
            connections.return_to_pool(connection, &home);
        }
        let mut kept = connections.lock();
        if kept.total == 0 || closed {
            kept.reaper = None;
            return;
        }
    }
}

/// A connection in use. Closed when it is dropped; only [`release`](Self::release) makes it available again.
pub(crate) struct Held {
    connection: Option<PoolConnection<Postgres>>,
    /// What executes its statements, once that is known.
    pub(crate) backend: Option<Backend>,
    /// Behind a pooler, a transaction keeps the backend.
    pub(crate) in_transaction: bool,
    /// The tick since which it is kept, if it is.
    kept_since: Option<u64>,
    connections: Arc<Connections>,
    /// For what is left to do with it, wherever it is dropped.
    home: Arc<Home>,
}

impl Held {
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Makes the connection available again. No reply may be outstanding on it.
    pub(crate) fn release(mut self) {
        let backend = self.backend.filter(|_| !self.in_transaction);
        if let Some(connection) = self.connection.take()
            && let Err(connection) = self.connections.keep(connection, backend, self.kept_since, &self.home)
        {
            self.connections.return_to_pool(connection, &self.home);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        self.connections.lock().total -= usize::from(self.kept_since.is_some());
        self.connections.checked_out.fetch_sub(1, Ordering::Relaxed);
        connection.close_on_drop();
        let _guard = self.home.runtime().enter();
        drop(connection);
    }
}
