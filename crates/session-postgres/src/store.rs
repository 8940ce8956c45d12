//! [`PostgresStore`].

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::{
    Admission, Admitted, AtLimit, Deleted, Record, SessionId, SessionStore, SessionSummary, StoreError, StoreErrorKind,
    Timestamp, Touched, Updated, UserId, Version,
};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::time::{Instant, timeout_at};

use crate::error::{self, store_error};
use crate::guard::Guard;
use crate::migrate::{self, SchemaName};
use crate::row::{self, Statement, bind_times, column, unexpected};
use crate::statements::Statements;

/// Sessions in a PostgreSQL schema.
///
/// Every operation is one statement and one round trip, apart from what the pool adds: see
/// [`recommended_pool_options`](crate::recommended_pool_options). Clones share the pool.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    schema: SchemaName,
    statements: Arc<Statements>,
    timeout: Duration,
    pooler: Pooler,
}

/// What stands between this process and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or something that keeps track of prepared statements: PgBouncer from 1.21 on with `max_prepared_statements`
    /// above zero. Statements are prepared once for each connection.
    Transparent,
    /// A pooler in transaction mode that does not: PgBouncer before 1.21. Each operation prepares its statement anew, inside
    /// a transaction that keeps preparation and execution on one server: four round trips instead of one.
    Transaction,
}

impl PostgresStore {
    /// A store in the schema `session`, with a timeout of 1.5 seconds. Connects to nothing yet.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let schema = SchemaName::default();
        let statements = Arc::new(Statements::new(&schema));
        Self { pool, schema, statements, timeout: Duration::from_millis(1_500), pooler: Pooler::Transparent }
    }

    /// Keeps the sessions in this schema.
    #[must_use]
    pub fn with_schema(self, schema: SchemaName) -> Self {
        Self { statements: Arc::new(Statements::new(&schema)), schema, ..self }
    }

    /// How long an operation may take, waiting for a connection included. Best a little less than the policy's store timeout, so that
    /// the error says what happened.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What stands between this process and the server.
    #[must_use]
    pub fn with_pooler(self, pooler: Pooler) -> Self {
        Self { pooler, ..self }
    }

    /// Creates the schema, or brings it up to date. Call it when the application starts: any number of nodes may at once,
    /// and one that finds everything in place needs two round trips and no right to create anything.
    ///
    /// Not subject to the timeout of the store, because a migration may have much to do.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses. Nothing is half applied.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let failed = |error| error::from_sqlx("migrate", error);
        let mut guard = Guard::acquire(&self.pool).await.map_err(failed)?;
        migrate::run(&mut guard, &self.schema).await.map_err(failed)?;
        guard.give_back(self.timeout);
        Ok(())
    }

    /// Executes one statement within the timeout. `bind` is called again if the connection turns out to have been closed
    /// while it was idle.
    async fn run(
        &self,
        operation: &'static str,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let mut repeated = false;
        loop {
            let acquired = timeout_at(deadline, Guard::acquire(&self.pool))
                .await
                .map_err(|_| store_error(StoreErrorKind::Unavailable, operation, "no connection within the timeout"))?;
            let mut guard = acquired.map_err(|error| error::from_sqlx(operation, error))?;
            let statement = bind(sqlx::query(AssertSqlSafe(Arc::clone(sql))));
            match timeout_at(deadline, execute(&mut guard, self.pooler, statement)).await {
                Ok(Ok(rows)) => {
                    guard.give_back(self.timeout);
                    return Ok(rows);
                }
                Ok(Err(error)) => {
                    drop(guard);
                    if error::is_connection_lost(&error) {
                        self.discard_idle();
                    }
                    if repeated || !error::was_not_executed(&error) {
                        return Err(error::from_sqlx(operation, error));
                    }
                    repeated = true;
                }
                Err(_) => return Err(store_error(StoreErrorKind::Timeout, operation, "no answer within the timeout")),
            }
        }
    }

    /// After a restart of the server every idle connection is dead; without this, each would cost a request.
    fn discard_idle(&self) {
        // Bounded by the size of the pool: the pool's count of idle connections wraps below zero for moments.
        for _ in 0..self.pool.options().get_max_connections() {
            let Some(mut connection) = self.pool.try_acquire() else { return };
            connection.close_on_drop();
        }
    }

    /// [`run`](Self::run) for what answers with exactly one row.
    async fn run_one(
        &self,
        operation: &'static str,
        sql: &Arc<str>,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<PgRow, StoreError> {
        self.run(operation, sql, bind).await?.pop().ok_or_else(unexpected)
    }
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

#[async_trait]
impl SessionStore for PostgresStore {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record>, StoreError> {
        let rows =
            self.run("load", &self.statements.load, |statement| statement.bind(id.as_bytes().as_slice())).await?;
        rows.first().map(row::record).transpose()
    }

    async fn create(&self, admission: Admission<'_>, now: Timestamp) -> Result<Admitted, StoreError> {
        let Admission { record, replaces, limit } = admission;
        let encoded = record.encode()?;
        let row = self
            .run_one("create", &self.statements.create, |statement| {
                bind_times(statement, record)
                    .bind(record.id.as_bytes().as_slice())
                    .bind(row::version(record.version))
                    .bind(row::user(record.user()))
                    .bind(encoded.as_ref())
                    .bind(replaces.as_ref().map(|replaces| replaces.id.as_bytes().as_slice()))
                    .bind(row::user(replaces.and_then(|replaces| replaces.user)))
                    .bind(replaces.map(|replaces| row::version(replaces.version)))
                    .bind(limit.map(|limit| i64::from(limit.max.get())))
                    .bind(limit.map(|limit| match limit.at_limit {
                        AtLimit::EvictOldest => "evict_oldest",
                        AtLimit::EvictLeastRecent => "evict_least_recent",
                        AtLimit::Reject => "reject",
                    }))
                    .bind(row::time(now))
            })
            .await?;
        match column(&row, 0)? {
            "created" => {
                let evicted: Vec<Vec<u8>> = column(&row, 1)?;
                let evicted = evicted.iter().map(|id| row::id(id)).collect::<Result<_, _>>()?;
                Ok(Admitted::Created { evicted })
            }
            "occupied" => Ok(Admitted::Occupied),
            "limit_reached" => Ok(Admitted::LimitReached),
            "replaced_changed" => Ok(Admitted::ReplacedChanged),
            "replaced_absent" => Ok(Admitted::ReplacedAbsent),
            _ => Err(unexpected()),
        }
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<Updated, StoreError> {
        let encoded = record.encode()?;
        let row = self
            .run_one("update", &self.statements.update, |statement| {
                bind_times(statement, record)
                    .bind(record.id.as_bytes().as_slice())
                    .bind(row::version(record.version))
                    .bind(encoded.as_ref())
                    .bind(row::version(expected))
                    .bind(row::time(now))
            })
            .await?;
        match column(&row, 0)? {
            "applied" => Ok(Updated::Applied),
            "conflict" => Ok(Updated::Conflict),
            "absent" => Ok(Updated::Absent),
            _ => Err(unexpected()),
        }
    }

    async fn touch(
        &self,
        id: &SessionId,
        _user: Option<&UserId>,
        seen: Timestamp,
        now: Timestamp,
    ) -> Result<Touched, StoreError> {
        let rows = self
            .run("touch", &self.statements.touch, |statement| {
                statement.bind(id.as_bytes().as_slice()).bind(seen.as_millis()).bind(row::time(now))
            })
            .await?;
        Ok(if rows.is_empty() { Touched::Absent } else { Touched::Applied })
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<Deleted, StoreError> {
        let rows = self
            .run("delete", &self.statements.delete, |statement| {
                statement.bind(id.as_bytes().as_slice()).bind(row::user(user))
            })
            .await?;
        Ok(if rows.is_empty() { Deleted::Absent } else { Deleted::Deleted })
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let rows = self
            .run("list_by_user", &self.statements.list_by_user, |statement| {
                statement.bind(user.as_str().as_bytes()).bind(row::time(now))
            })
            .await?;
        rows.iter().map(|row| Ok(row::record(row)?.summary())).collect()
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        let rows = self
            .run("delete_by_user", &self.statements.delete_by_user, |statement| {
                statement.bind(user.as_str().as_bytes()).bind(keep.map(|keep| keep.as_bytes().as_slice()))
            })
            .await?;
        rows.iter().map(|row| row::id(column(row, 0)?)).collect()
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let row = self
            .run_one("delete_expired", &self.statements.delete_expired, |statement| {
                statement.bind(row::time(now)).bind(i64::from(limit.get()))
            })
            .await?;
        let deleted: i64 = column(&row, 0)?;
        Ok(u64::try_from(deleted).unwrap_or(0))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("schema", &self.schema)
            .field("timeout", &self.timeout)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}
