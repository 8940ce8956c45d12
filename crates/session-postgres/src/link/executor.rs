//! [`Executor`]: executes a statement on a connection, within the timeout, once more where that is safe.

use std::sync::Arc;
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres};
use tokio::time::timeout;

use crate::error::{had_no_effect, is_connection_lost, store_error};
use crate::link::connections::{Connections, Lease};

pub(crate) type Statement = Query<'static, Postgres, PgArguments>;

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
}

impl Executor {
    pub(crate) fn new(pool: PgPool, timeout: Duration, pooler: Pooler) -> Self {
        Self { timeout, pooler, connections: Connections::new(pool, timeout) }
    }

    pub(crate) async fn acquire(&self) -> Result<Lease, sqlx::Error> {
        self.connections.acquire().await
    }

    /// [`execute`](Self::execute), within the timeout.
    pub(crate) async fn run(
        &self,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.within_timeout(self.execute(sql, bind)).await
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
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        let lease = self.acquire().await.map_err(store_error)?;
        self.execute_on(lease, sql, bind).await.map_err(store_error)
    }

    /// Executes one statement on this connection. If it had no effect there, as on a connection that was closed while
    /// it was idle, it is executed once more, on another.
    pub(crate) async fn execute_on(
        &self,
        lease: Lease,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let statement = || bind(sqlx::query(AssertSqlSafe(Arc::clone(sql))));
        match self.attempt(lease, statement()).await {
            Err(error) if had_no_effect(&error) => self.attempt(self.acquire().await?, statement()).await,
            result => result,
        }
    }

    async fn attempt(&self, mut lease: Lease, statement: Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        let result = fetch_all(lease.connection()?, self.pooler, statement).await;
        match &result {
            Ok(_) => lease.release(),
            Err(error) if is_connection_lost(error) => self.connections.discard_idle(),
            Err(_) => {}
        }
        result
    }
}

async fn fetch_all(
    connection: &mut PgConnection,
    pooler: Pooler,
    statement: Statement,
) -> Result<Vec<PgRow>, sqlx::Error> {
    match pooler {
        Pooler::Transparent => statement.fetch_all(connection).await,
        Pooler::Transaction => {
            let mut transaction = connection.begin().await?;
            let rows = statement.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        }
    }
}
