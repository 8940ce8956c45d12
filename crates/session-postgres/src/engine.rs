//! How a statement is executed: on which connection, within which time, and when again.

use std::sync::Arc;
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::time::timeout;

use crate::connections::{Connections, Lease};
use crate::error::{self, store_error};
use crate::migrate::{self, SchemaName};
use crate::row::Statement;
use crate::store::Pooler;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) pool: PgPool,
    pub(crate) schema: SchemaName,
    pub(crate) timeout: Duration,
    pub(crate) pooler: Pooler,
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: Settings,
    connections: Arc<Connections>,
}

impl Engine {
    pub(crate) fn new(settings: Settings) -> Self {
        let connections = Connections::new(settings.pool.clone(), settings.timeout);
        Self { settings, connections }
    }

    pub(crate) async fn migrate(&self) -> Result<(), sqlx::Error> {
        let mut lease = self.connections.acquire().await?;
        migrate::run(lease.connection()?, &self.settings.schema).await?;
        lease.give_back();
        Ok(())
    }

    /// A statement, with the name of the schema in its place.
    pub(crate) fn sql(&self, sql: &str) -> Arc<str> {
        self.settings.schema.substitute(sql).into()
    }

    pub(crate) async fn acquire(&self) -> Result<Lease, sqlx::Error> {
        self.connections.acquire().await
    }

    /// Executes one statement within the timeout.
    pub(crate) async fn run(
        &self,
        operation: &'static str,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.in_time(operation, self.attempts(operation, sql, bind)).await
    }

    /// The timeout of the store, for all that an operation does.
    pub(crate) async fn in_time<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let elapsed = |_| store_error(StoreErrorKind::Timeout, operation, "no answer within the timeout");
        timeout(self.settings.timeout, call).await.unwrap_or_else(|error| Err(elapsed(error)))
    }

    /// Executes one statement; once more if it turns out that nothing was done, as on a connection that was closed while
    /// it was idle.
    pub(crate) async fn attempts(
        &self,
        operation: &'static str,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        let attempt = async || self.execute(self.acquire().await?, bind(statement(sql))).await;
        let result = match attempt().await {
            Err(error) if error::was_not_executed(&error) => attempt().await,
            result => result,
        };
        result.map_err(|error| error::from_sqlx(operation, Arc::new(error)))
    }

    /// Executes one statement once.
    pub(crate) async fn execute(&self, mut lease: Lease, statement: Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        let result = execute(lease.connection()?, self.settings.pooler, statement).await;
        match &result {
            Ok(_) => lease.give_back(),
            Err(error) if error::is_connection_lost(error) => self.connections.discard_idle(),
            Err(_) => {}
        }
        result
    }
}

pub(crate) fn statement(sql: &Arc<str>) -> Statement {
    sqlx::query(AssertSqlSafe(Arc::clone(sql)))
}

async fn execute(
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
