//! [`Executor`]: executes a statement on a connection, within the timeout, once more where that is safe.

use std::sync::Arc;
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::link::connections::Connections;
use crate::link::error::{had_no_effect, is_connection_lost, no_connection, store_error};
use crate::link::home::Home;
use crate::link::lease::{Lease, Statement};
use crate::link::places::{Places, Purpose};
use crate::link::unsettled::UnsettledKeys;

/// What is between this process and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooler {
    /// No pooler, or one that keeps track of prepared statements: PgBouncer from 1.21 on with `max_prepared_statements`
    /// above zero. Each statement is prepared once per connection.
    Transparent,
    /// A pooler in transaction mode that does not: PgBouncer before 1.21. Each operation prepares its statement anew,
    /// inside a transaction that keeps preparation and execution on one server: four round trips instead of one, and no
    /// batches.
    Transaction,
}

pub(crate) struct Executor {
    pub(crate) timeout: Duration,
    pub(crate) pooler: Pooler,
    connections: Arc<Connections>,
    places: Arc<Places>,
    unsettled: Arc<UnsettledKeys>,
    /// For statements that wait for a row that another transaction holds.
    pub(crate) waiting: Semaphore,
}

impl Executor {
    pub(crate) fn new(pool: PgPool, timeout: Duration, pooler: Pooler) -> Self {
        let places = Places::of(pool.options().get_max_connections() as usize);
        let (waiting, unsettled) = (Semaphore::new(places.for_waiting()), Arc::default());
        Self { timeout, pooler, connections: Connections::new(pool, timeout), places, unsettled, waiting }
    }

    pub(crate) async fn acquire(&self, purpose: Purpose) -> Result<Lease, sqlx::Error> {
        let patience = self.connections.pool().options().get_acquire_timeout();
        let place = self.places.take(purpose, patience).await?;
        let (unsettled, timeout) = (Arc::clone(&self.unsettled), self.timeout);
        if let Some(held) = self.connections.take_kept() {
            return Ok(Lease::new(held, place, unsettled, timeout));
        }
        // In a task: a caller that goes away leaves the connection it asked for to the next one.
        let home = self.home().ok_or(sqlx::Error::WorkerCrashed)?;
        let connections = Arc::clone(&self.connections);
        let take = async move { Ok(Lease::new(connections.take().await?, place, unsettled, timeout)) };
        home.runtime().spawn(take).await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// Where tasks go on that must not end with the runtime of their caller.
    pub(crate) fn home(&self) -> Option<Arc<Home>> {
        self.connections.home()
    }

    /// Where the connections of the pool lead to.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        (*self.connections.pool().connect_options()).clone()
    }

    /// Translates an error of the driver. That there was no connection is told with the size of the pool.
    pub(crate) fn store_error(&self, error: impl Into<Arc<sqlx::Error>>) -> StoreError {
        match error.into() {
            error if matches!(*error, sqlx::Error::PoolTimedOut) => {
                no_connection(self.connections.pool().options().get_max_connections())
            }
            error => store_error(error),
        }
    }

    /// [`execute`](Self::execute), within the timeout.
    pub(crate) async fn run(
        &self,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.within_timeout(self.execute(Purpose::Other, sql, None, bind)).await
    }

    /// The same for a statement that concerns the row `key`, once no abandoned statement of that key may still be
    /// executed.
    pub(crate) async fn run_settled(
        &self,
        key: Uuid,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        let run = async {
            self.unsettled.settled(&key).await;
            self.execute(Purpose::Other, sql, Some(key), bind).await
        };
        self.within_timeout(run).await
    }

    /// One timeout for everything that an operation does.
    pub(crate) async fn within_timeout<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let elapsed = |_| Err(StoreError::new(StoreErrorKind::Timeout, "no answer within the timeout"));
        timeout(self.timeout, operation).await.unwrap_or_else(elapsed)
    }

    /// Executes one statement, as [`execute_on`](Self::execute_on) does.
    pub(crate) async fn execute(
        &self,
        purpose: Purpose,
        sql: &Arc<str>,
        key: Option<Uuid>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        let lease = self.acquire(purpose).await.map_err(|error| self.store_error(error).unsent())?.with_key(key);
        self.execute_on(lease, purpose, sql, bind).await.map_err(|error| self.store_error(error))
    }

    /// Executes one statement on this connection. If it had no effect there, as on a connection that was closed while
    /// it was idle, it is executed once more, on another.
    pub(crate) async fn execute_on(
        &self,
        lease: Lease,
        purpose: Purpose,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let key = lease.key();
        let statement = || bind(sqlx::query(AssertSqlSafe(Arc::clone(sql))));
        match self.attempt(lease, sql, statement()).await {
            Err(Attempt::WithoutEffect(_)) => {
                let lease = self.acquire(purpose).await?.with_key(key);
                self.attempt(lease, sql, statement()).await.map_err(Attempt::error)
            }
            result => result.map_err(Attempt::error),
        }
    }

    async fn attempt(&self, mut lease: Lease, sql: &Arc<str>, statement: Statement) -> Result<Vec<PgRow>, Attempt> {
        if self.pooler == Pooler::Transparent {
            let identified = lease.identify().await;
            if identified.is_err() {
                return self.end(lease, identified).map(|()| Vec::new()).map_err(Attempt::before);
            }
        }
        let result = match self.pooler {
            Pooler::Transaction => lease.in_transaction(sql, statement).await,
            Pooler::Transparent => match lease.begin(sql) {
                Ok(connection) => statement.fetch_all(connection).await,
                Err(error) => Err(error),
            },
        };
        self.end(lease, result).map_err(Attempt::after)
    }

    fn end<T>(&self, lease: Lease, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        lease.end(&result);
        if result.as_ref().is_err_and(is_connection_lost) {
            self.connections.discard_idle();
        }
        result
    }
}

/// What became of a statement that failed.
enum Attempt {
    /// It certainly had no effect, and may have one on another connection.
    WithoutEffect(sqlx::Error),
    Failed(sqlx::Error),
}

impl Attempt {
    /// The connection failed before the statement was sent.
    fn before(error: sqlx::Error) -> Self {
        if is_connection_lost(&error) { Self::WithoutEffect(error) } else { Self::after(error) }
    }

    fn after(error: sqlx::Error) -> Self {
        if had_no_effect(&error) { Self::WithoutEffect(error) } else { Self::Failed(error) }
    }

    fn error(self) -> sqlx::Error {
        let (Self::WithoutEffect(error) | Self::Failed(error)) = self;
        error
    }
}
