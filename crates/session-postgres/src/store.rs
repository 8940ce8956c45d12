//! [`PostgresStore`].

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::{
    Admission, Admitted, AtLimit, Deleted, Record, SessionId, SessionStore, SessionSummary, StoreError, StoreErrorKind,
    Timestamp, Touched, Updated, UserId, Version,
};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres};
use tokio::time::timeout;

use crate::error::{self, store_error};
use crate::migrate::{self, SchemaName};
use crate::row::{self, Statement, column, unexpected};

/// Sessions in a PostgreSQL schema.
///
/// Every operation is one statement and one round trip, apart from what the pool adds: see
/// [`recommended_pool_options`](crate::recommended_pool_options). Clones share the pool.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    schema: SchemaName,
    timeout: Duration,
    pooler: Pooler,
}

/// What stands between this process and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or something that keeps track of prepared statements: PgBouncer from 1.21 on with
    /// `max_prepared_statements` above zero. Statements are prepared once for each connection.
    Transparent,
    /// A pooler in transaction mode that does not: PgBouncer before 1.21. Each operation prepares its statement anew,
    /// inside a transaction that keeps preparation and execution on one server: four round trips instead of one.
    Transaction,
}

impl PostgresStore {
    /// A store in the schema `session`, with a timeout of 1.5 seconds. Connects to nothing yet.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let (schema, timeout) = (SchemaName::default(), Duration::from_millis(1_500));
        Self { pool, schema, timeout, pooler: Pooler::Transparent }
    }

    /// Keeps the sessions in this schema.
    #[must_use]
    pub fn with_schema(self, schema: SchemaName) -> Self {
        Self { schema, ..self }
    }

    /// How long an operation may take, waiting for a connection included. Best a little less than the policy's store
    /// timeout, so that the error says what happened.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What stands between this process and the server.
    #[must_use]
    pub fn with_pooler(self, pooler: Pooler) -> Self {
        Self { pooler, ..self }
    }

    /// Creates the schema, or brings it up to date. Call it when the application starts: any number of nodes may at
    /// once, and one that finds everything in place needs one round trip and no right to create anything.
    ///
    /// Not subject to the timeout of the store, because a migration may have much to do.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses. Nothing is half applied.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let migrated = async {
            let mut connection = self.acquire().await?;
            migrate::run(&mut connection, &self.schema).await?;
            self.give_back(connection);
            Ok(())
        };
        migrated.await.map_err(|error| error::from_sqlx("migrate", error))
    }

    /// Executes one statement within the timeout; once more if the connection turns out to have been closed while it
    /// was idle.
    async fn run(
        &self,
        operation: &'static str,
        sql: &str,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        let sql: Arc<str> = self.schema.substitute(sql).into();
        let attempt = || self.attempt(bind(sqlx::query(AssertSqlSafe(Arc::clone(&sql)))));
        let attempts = async {
            match attempt().await {
                Err(error) if error::was_not_executed(&error) => attempt().await,
                result => result,
            }
        };
        match timeout(self.timeout, attempts).await {
            Ok(result) => result.map_err(|error| error::from_sqlx(operation, error)),
            Err(_) => Err(store_error(StoreErrorKind::Timeout, operation, "no answer within the timeout")),
        }
    }

    async fn attempt(&self, statement: Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut connection = self.acquire().await?;
        let result = execute(&mut connection, self.pooler, statement).await;
        match &result {
            Ok(_) => self.give_back(connection),
            Err(error) if error::is_connection_lost(error) => self.discard_idle(),
            Err(_) => {}
        }
        result
    }

    /// A connection that is closed when it is dropped, because the operation failed, timed out or was cancelled: a
    /// reply may be under way on it, and the next user would read it. [`give_back`](Self::give_back) is the only way
    /// back into the pool.
    async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        connection.close_on_drop();
        Ok(connection)
    }

    /// Returns a connection on which nothing is under way, in the background.
    ///
    /// The pool first asks the server for a sign of life and waits for it without limit. If the network dies in that
    /// moment, the connection's place in the pool would be lost for good; hence the timeout.
    fn give_back(&self, mut connection: PoolConnection<Postgres>) {
        tokio::spawn(timeout(self.timeout, connection.return_to_pool()));
    }

    /// After a restart of the server every idle connection is dead; without this, each would cost a request.
    fn discard_idle(&self) {
        // Bounded by the size of the pool: others may open new connections at the same time.
        for _ in 0..self.pool.options().get_max_connections() {
            let Some(mut connection) = self.pool.try_acquire() else { return };
            connection.close_on_drop();
        }
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
        let sql = "SELECT record, last_seen, id FROM {schema}.session WHERE id = $1";
        let rows = self.run("load", sql, |query| query.bind(row::bytes(id))).await?;
        rows.first().map(row::record).transpose()
    }

    async fn create(&self, admission: Admission<'_>, now: Timestamp) -> Result<Admitted, StoreError> {
        let Admission { record, replaces, limit } = admission;
        let encoded = record.encode()?;
        let sql = "SELECT outcome, evicted FROM {schema}.create_session(\
                   $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let bind = |query| {
            row::bind_times(query, record)
                .bind(row::bytes(&record.id))
                .bind(row::version(record.version))
                .bind(row::user(record.user()))
                .bind(encoded.as_ref())
                .bind(replaces.as_ref().map(|replaces| row::bytes(&replaces.id)))
                .bind(row::user(replaces.and_then(|replaces| replaces.user)))
                .bind(replaces.map(|replaces| row::version(replaces.version)))
                .bind(limit.map(|limit| i64::from(limit.max.get())))
                .bind(limit.map(|limit| match limit.at_limit {
                    AtLimit::EvictOldest => "evict_oldest",
                    AtLimit::EvictLeastRecent => "evict_least_recent",
                    AtLimit::Reject => "reject",
                }))
                .bind(row::time(now))
        };
        let row = row::only(self.run("create", sql, bind).await?)?;
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
        let sql = "SELECT {schema}.update_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let bind = |query| {
            row::bind_times(query, record)
                .bind(row::bytes(&record.id))
                .bind(row::version(record.version))
                .bind(encoded.as_ref())
                .bind(row::version(expected))
                .bind(row::time(now))
        };
        match column(&row::only(self.run("update", sql, bind).await?)?, 0)? {
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
        // A crash of the server may lose the last moments of activity, which is nothing; in exchange a touch does not
        // wait for the disk. The setting ends with the transaction. It must be in FROM: what nobody refers to is not
        // executed.
        let sql = "UPDATE {schema}.session SET last_seen = greatest(last_seen, $2) \
                   FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed \
                   WHERE id = $1 AND deadline > $3 AND last_seen > $3 - idle_ms RETURNING 1";
        let bind = |query: Statement| query.bind(row::bytes(id)).bind(seen.as_millis()).bind(row::time(now));
        let rows = self.run("touch", sql, bind).await?;
        Ok(if rows.is_empty() { Touched::Absent } else { Touched::Applied })
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<Deleted, StoreError> {
        let sql = "DELETE FROM {schema}.session WHERE id = $1 AND user_id IS NOT DISTINCT FROM $2 RETURNING 1";
        let rows = self.run("delete", sql, |query| query.bind(row::bytes(id)).bind(row::user(user))).await?;
        Ok(if rows.is_empty() { Deleted::Absent } else { Deleted::Deleted })
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let sql = "SELECT record, last_seen, id FROM {schema}.session \
                   WHERE user_id = $1 AND deadline > $2 AND last_seen > $2 - idle_ms";
        let bind = |query: Statement| query.bind(row::user(Some(user))).bind(row::time(now));
        let rows = self.run("list_by_user", sql, bind).await?;
        rows.iter().map(|row| Ok(row::record(row)?.summary())).collect()
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        let sql = "SELECT id FROM {schema}.delete_sessions_of($1, $2) AS id";
        let bind = |query: Statement| query.bind(row::user(Some(user))).bind(keep.map(row::bytes));
        let rows = self.run("delete_by_user", sql, bind).await?;
        rows.iter().map(|row| row::id(column(row, 0)?)).collect()
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let sql = "SELECT {schema}.delete_expired($1, $2)";
        let bind = |query: Statement| query.bind(row::time(now)).bind(i64::from(limit.get()));
        let deleted: i64 = column(&row::only(self.run("delete_expired", sql, bind).await?)?, 0)?;
        Ok(u64::try_from(deleted).unwrap_or(0))
    }
}
