//! [`PostgresStore`]: the contract of `SessionStore`, one statement per operation.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Feed, FollowError, Freshness, Listing, Page, Record, SessionStore,
    TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, LimitPolicy, Namespace, SessionId, StoreError, Timestamp, UserId};
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;

use crate::link::{Batcher, Executor, Statement, unexpected_reply};
use crate::migrate;
use crate::notify::{Changing, Notifier};
use crate::operation::{Load, Update};
use crate::row::{self, EncodedRow, column};
use crate::statements::Statements;

/// How many sessions a page may have, whatever is asked for: an answer stays within a few megabytes.
const LONGEST_PAGE: u32 = 10_000;

/// As many sessions are counted one by one, which takes about 30 ms. Beyond that, the count is an estimate.
const FEW: i64 = 100_000;

/// The sessions of an application in PostgreSQL, in a schema named after its [`Namespace`]. Cheap to clone: clones share the connections and the batches.
///
/// Every operation is one statement and one round trip, except for clean-up; loads that overlap share one, and so do updates.
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) namespace: Namespace,
    pub(crate) sql: Arc<Statements>,
    pub(crate) executor: Arc<Executor>,
    loads: Arc<Batcher<Load>>,
    updates: Arc<Batcher<Update>>,
    /// If others are told of changes.
    pub(crate) notifier: Option<Arc<Notifier>>,
}

impl PostgresStore {
    pub(crate) fn open(namespace: Namespace, executor: Executor, publishes: bool) -> Self {
        let (sql, executor) = (Arc::new(Statements::new(&namespace)), Arc::new(executor));
        let loads = Batcher::new(&executor, &sql.load, &sql.load_batch);
        let updates = Batcher::new(&executor, &sql.update, &sql.update_batch);
        let notifier = publishes.then(|| Notifier::new(Arc::clone(&executor), &namespace));
        Self { namespace, sql, executor, loads, updates, notifier }
    }

    /// Creates the schema, or brings it up to date. Call it when the application starts: any number of nodes may do so
    /// concurrently. A node that finds everything in place needs one round trip and no `CREATE` privilege.
    ///
    /// The operation timeout does not apply, because a migration may have much to do: `0004_visitors` adds an index, and whoever
    /// uses the table waits while the server reads all of it, about a second for a million sessions.
    ///
    /// # Errors
    /// If the server cannot be reached, or refuses; or if the `search_path` would lead to the new schema, which it does by
    /// default if the role has the same name: names without a schema would then mean what is in it, those of the
    /// application's tables too. The migration is rolled back then.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrate::run(&self.executor, &self.namespace, self.notifier.is_some())
            .await
            .map_err(|error| self.executor.store_error(error))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        self.loads.run(Load(*id)).await?.as_deref().map(row::record).transpose()
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let _changing = Changing(self.notifier.as_ref());
        self.insert(request, now).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let _changing = Changing(self.notifier.as_ref());
        self.updates.run(Update::new(record, expected, now)?).await
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let bind = |statement: Statement| statement.bind(row::uuid(id)).bind(now.as_millis()).bind(row::time(now));
        let found = column(&row::only(self.executor.run(&self.sql.touch, bind).await?)?, 0)?;
        Ok(if found { TouchOutcome::Applied } else { TouchOutcome::Absent })
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let (_changing, id) = (Changing(self.notifier.as_ref()), row::uuid(id));
        let bind = |statement: Statement| statement.bind(id).bind(row::user(user));
        let found = column(&row::only(self.executor.run_settled(id, &self.sql.delete, bind).await?)?, 0)?;
        Ok(if found { DeleteOutcome::Deleted } else { DeleteOutcome::Absent })
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        let bind = |statement: Statement| statement.bind(row::user(Some(user))).bind(row::time(now));
        listing(&self.executor.run(&self.sql.list_by_user, bind).await?)
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        let bind =
            |statement: Statement| statement.bind(row::user(Some(user))).bind(keep.map(row::uuid)).bind(row::time(now));
        let _changing = Changing(self.notifier.as_ref());
        listing(&self.executor.run(&self.sql.delete_by_user, bind).await?)
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let after = after.map(|after| self.read(after)).transpose()?;
        let (from, limit) = (after.as_ref().map(row::uuid), limit.get().min(LONGEST_PAGE));
        let bind = |statement: Statement| statement.bind(from).bind(i64::from(limit)).bind(row::time(now));
        let rows = self.executor.run(&self.sql.list_all, bind).await?;
        let is_full = rows.len() >= limit as usize;
        let last = rows.last().filter(|_| is_full).map(row::row_id).transpose()?;
        Ok(Page::new(listing(&rows)?, last.map(|last| self.behind(&last))))
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        let bind = |statement: Statement| statement.bind(FEW).bind(row::time(now));
        let row = row::only(self.executor.run(&self.sql.count, bind).await?)?;
        Ok(Self::counted(column(&row, 0)?, column(&row, 1)?))
    }

    /// Statements of about 40 ms each, so that live sessions do not wait, for up to a third of the timeout: a server
    /// that is slow gets further with the next call.
    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let (limit, mut deleted) = (i64::from(limit.get()), 0);
        for _ in 0..(self.executor.timeout.as_millis() / 150).max(1) {
            let bind = |statement: Statement| statement.bind(row::time(now)).bind(limit - deleted);
            let row = row::only(self.executor.run(&self.sql.delete_expired, bind).await?)?;
            deleted += column::<i64>(&row, 0)?;
            if deleted >= limit || !column(&row, 1)? {
                break;
            }
        }
        self.forget_changes().await;
        Ok(u64::try_from(deleted).unwrap_or(0))
    }

    fn follow(&self) -> Result<Option<Box<dyn Feed>>, FollowError> {
        Ok(Some(Box::new(self.feed()?)))
    }
}

impl PostgresStore {
    async fn insert(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let (CreateRequest { record, replaces, .. }, limit) = (request, request.limit_of_owner());
        let sql = if request.visitor().is_some() { &self.sql.create_visitor } else { &self.sql.create };
        let row = EncodedRow::of(record)?;
        let bind = |statement| {
            row.bind(statement)
                .bind(row::user(record.user()))
                .bind(row.body.as_ref())
                .bind(row.data.as_ref())
                .bind(replaces.as_ref().map(|replaced| row::uuid(&replaced.id)))
                .bind(row::user(replaces.and_then(|replaced| replaced.user)))
                .bind(replaces.map(|replaced| replaced.version.to_bytes()))
                .bind(limit.map(|limit| i64::from(limit.max.get())))
                .bind(limit.map(|limit| match limit.at_limit {
                    LimitPolicy::EvictOldest => "evict_oldest",
                    LimitPolicy::EvictLeastRecent => "evict_least_recent",
                    LimitPolicy::Reject => "reject",
                }))
                .bind(row::time(now))
        };
        let row = row::only(self.executor.run_settled(row.id, sql, bind).await?)?;
        match column(&row, 0)? {
            "created" => {
                let evicted: Vec<Uuid> = column(&row, 1)?;
                Ok(CreateOutcome::Created { evicted: evicted.into_iter().map(row::id).collect() })
            }
            "occupied" => Ok(CreateOutcome::IdTaken),
            "limit_reached" => Ok(CreateOutcome::LimitReached),
            "replaced_changed" => Ok(CreateOutcome::ReplacedChanged),
            "replaced_absent" => Ok(CreateOutcome::ReplacedAbsent),
            _ => Err(unexpected_reply()),
        }
    }

    /// What follows `id`, in this application.
    fn behind(&self, id: &SessionId) -> Cursor {
        Cursor::new(format!("{}.{id}", self.namespace))
    }

    fn read(&self, cursor: &Cursor) -> Result<SessionId, StoreError> {
        match cursor.as_str().split_once('.') {
            Some((namespace, id)) if namespace == self.namespace.as_str() => Cursor::new(id).session_id(),
            Some(_) | None => Err(Cursor::invalid()),
        }
    }
}

fn listing(rows: &[PgRow]) -> Result<Listing, StoreError> {
    let mut listing = Listing::default();
    for row in rows {
        listing.add(row::row_id(row)?, row::summary(row))?;
    }
    Ok(listing)
}
