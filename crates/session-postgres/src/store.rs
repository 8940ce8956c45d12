//! [`PostgresStore`].

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, LimitPolicy, SessionId, SessionSummary, StoreError, Timestamp, UserId};
use sqlx::PgPool;
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;

use crate::batch::Batches;
use crate::engine::{Engine, Settings};
use crate::error;
use crate::migrate::SchemaName;
use crate::operation::{Load, Update};
use crate::row::{self, Statement, Times, column, columns, unexpected};

/// Sessions in a PostgreSQL schema.
///
/// Every operation is one statement and one round trip; loads, and updates, that meet share one. Clones share the
/// connections and the batches.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    engine: Arc<Engine>,
    loads: Arc<Batches<Load>>,
    updates: Arc<Batches<Update>>,
}

/// What stands between this process and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or something that keeps track of prepared statements: PgBouncer from 1.21 on with
    /// `max_prepared_statements` above zero. Statements are prepared once for each connection.
    Transparent,
    /// A pooler in transaction mode that does not: PgBouncer before 1.21. Each operation prepares its statement anew,
    /// inside a transaction that keeps preparation and execution on one server: four round trips instead of one. Nothing is
    /// shared.
    Transaction,
}

impl PostgresStore {
    /// A store in the schema `session`, with a timeout of 1.5 seconds. Connects to nothing yet.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let (schema, timeout) = (SchemaName::default(), Duration::from_millis(1_500));
        Self::with(Settings { pool, schema, timeout, pooler: Pooler::Transparent })
    }

    fn with(settings: Settings) -> Self {
        let engine = Arc::new(Engine::new(settings));
        Self { loads: Batches::new(Arc::clone(&engine)), updates: Batches::new(Arc::clone(&engine)), engine }
    }

    /// Keeps the sessions in this schema.
    #[must_use]
    pub fn with_schema(self, schema: SchemaName) -> Self {
        Self::with(Settings { schema, ..self.engine.settings.clone() })
    }

    /// How long an operation may take, waiting for a connection included. Best a little less than the policy's store
    /// timeout, so that the error says what happened.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self::with(Settings { timeout, ..self.engine.settings.clone() })
    }

    /// What stands between this process and the server.
    #[must_use]
    pub fn with_pooler(self, pooler: Pooler) -> Self {
        Self::with(Settings { pooler, ..self.engine.settings.clone() })
    }

    /// Creates the schema, or brings it up to date. Call it when the application starts: any number of nodes may at
    /// once, and one that finds everything in place needs one round trip and no right to create anything.
    ///
    /// Not subject to the timeout of the store, because a migration may have much to do.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses. Nothing is half applied.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.engine.migrate().await.map_err(|error| error::from_sqlx("migrate", Arc::new(error)))
    }

    async fn run(
        &self,
        operation: &'static str,
        sql: &str,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.engine.run(operation, &self.engine.sql(sql), bind).await
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.loads.call(Load(*id)).await?.as_ref().map(row::record).transpose()
    }

    async fn create(&self, admission: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let CreateRequest { record, replaces, limit } = admission;
        let (times, rest) = (Times::of(record)?, record.encode_body());
        let sql = "SELECT outcome, evicted FROM {schema}.create_session(\
                   $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let bind = |query| {
            times
                .bind(query)
                .bind(row::uuid(&record.summary.id))
                .bind(row::version(record.version))
                .bind(row::user(record.user()))
                .bind(rest.as_ref())
                .bind(replaces.as_ref().map(|replaces| row::uuid(&replaces.id)))
                .bind(row::user(replaces.and_then(|replaces| replaces.user)))
                .bind(replaces.map(|replaces| row::version(replaces.version)))
                .bind(limit.map(|limit| i64::from(limit.max.get())))
                .bind(limit.map(|limit| match limit.at_limit {
                    LimitPolicy::EvictOldest => "evict_oldest",
                    LimitPolicy::EvictLeastRecent => "evict_least_recent",
                    LimitPolicy::Reject => "reject",
                }))
                .bind(row::time(now))
        };
        let row = row::only(self.run("create", sql, bind).await?)?;
        match column(&row, 0)? {
            "created" => {
                let evicted: Vec<Uuid> = column(&row, 1)?;
                Ok(CreateOutcome::Created { evicted: evicted.into_iter().map(row::id).collect() })
            }
            "occupied" => Ok(CreateOutcome::IdTaken),
            "limit_reached" => Ok(CreateOutcome::LimitReached),
            "replaced_changed" => Ok(CreateOutcome::ReplacedChanged),
            "replaced_absent" => Ok(CreateOutcome::ReplacedAbsent),
            _ => Err(unexpected()),
        }
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.updates.call(Update::new(record, expected, now)?).await
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        // A crash of the server may lose the last moments of activity, which is nothing; in exchange a touch does not
        // wait for the disk. The setting ends with the transaction. It must be in FROM: what nobody refers to is not
        // executed.
        let sql = "UPDATE {schema}.session SET last_seen = greatest(last_seen, $2) \
                   FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed \
                   WHERE id = $1 AND created_at + absolute_ms > $3 AND last_seen > $3 - idle_ms RETURNING 1";
        let bind = |query: Statement| query.bind(row::uuid(id)).bind(now.as_millis()).bind(row::time(now));
        let rows = self.run("touch", sql, bind).await?;
        Ok(if rows.is_empty() { TouchOutcome::Absent } else { TouchOutcome::Applied })
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let sql = "DELETE FROM {schema}.session WHERE id = $1 AND user_id IS NOT DISTINCT FROM $2 RETURNING 1";
        let rows = self.run("delete", sql, |query| query.bind(row::uuid(id)).bind(row::user(user))).await?;
        Ok(if rows.is_empty() { DeleteOutcome::Absent } else { DeleteOutcome::Deleted })
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM {schema}.session WHERE user_id = $1 AND created_at + absolute_ms > $2 AND last_seen > $2 - idle_ms"
        );
        let bind = |query: Statement| query.bind(row::user(Some(user))).bind(row::time(now));
        let rows = self.run("list_by_user", sql, bind).await?;
        rows.iter().map(|row| Ok(row::record(row)?.summary)).collect()
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        let sql = "SELECT id FROM {schema}.delete_sessions_of($1, $2) AS id";
        let bind = |query: Statement| query.bind(row::user(Some(user))).bind(keep.map(row::uuid));
        let rows = self.run("delete_by_user", sql, bind).await?;
        rows.iter().map(|row| column(row, 0).map(row::id)).collect()
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let sql = "SELECT {schema}.delete_expired($1, $2)";
        let bind = |query: Statement| query.bind(row::time(now)).bind(i64::from(limit.get()));
        let deleted: i64 = column(&row::only(self.run("delete_expired", sql, bind).await?)?, 0)?;
        Ok(u64::try_from(deleted).unwrap_or(0))
    }
}
