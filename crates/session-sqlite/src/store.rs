//! [`SqliteStore`]: the contract of `SessionStore`, each operation one transaction.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, Page, Record, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, Namespace, SessionId, StoreError, Timestamp, UserId};
use sqlx::sqlite::SqliteRow;

use crate::link::{BREATH, Operation, Patience, Readers, Statement, Writer, no_answer};
use crate::operation::{Bind, Create, SHORT_SWEEP, Single, Update};
use crate::row::{self, EncodedRow, column};
use crate::statements::Statements;

/// How many steps give pages back after a clean-up: a megabyte at most.
const MOST_STEPS: u32 = 32;
/// How many sessions a page may have, whatever is asked for: an answer stays within a few megabytes.
const LONGEST_PAGE: u32 = 10_000;

/// The sessions of an application in a file of SQLite. Cheap to clone: clones share the connections.
#[derive(Clone)]
pub struct SqliteStore {
    namespace: Namespace,
    timeout: Duration,
    pub(crate) sql: Arc<Statements>,
    link: Arc<(Writer, Readers)>,
}

impl SqliteStore {
    pub(crate) fn new(namespace: Namespace, timeout: Duration, writer: Writer, readers: Readers) -> Self {
        let sql = Arc::new(Statements::new(&namespace));
        Self { namespace, timeout, sql, link: Arc::new((writer, readers)) }
    }

    /// Waits for what was accepted, moves all of it into the file itself, unless another process reads older states,
    /// and closes the connections. Operations of any handle are errors from then on.
    ///
    /// Nothing that was acknowledged is lost without it; dropping the last handle does the same in the background.
    pub async fn close(&self) {
        let (writer, readers) = &*self.link;
        readers.close().await;
        writer.close().await;
    }

    async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        self.in_time(self.link.0.run(operation)).await
    }

    async fn change(&self, sql: &Arc<str>, bind: Bind) -> Result<Vec<SqliteRow>, StoreError> {
        self.write(Single { sql: Arc::clone(sql), bind }).await
    }

    pub(crate) async fn read(
        &self,
        sql: &Arc<str>,
        bind: impl FnOnce(Statement) -> Statement + Send,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        self.in_time(self.link.1.fetch(sql, bind)).await
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.timeout, answer).await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// What follows `id`, in this application.
    fn behind(&self, id: &SessionId) -> Cursor {
        Cursor::new(format!("{}.{id}", self.namespace))
    }

    fn position(&self, cursor: &Cursor) -> Result<SessionId, StoreError> {
        match cursor.as_str().split_once('.') {
            Some((namespace, id)) if namespace == self.namespace.as_str() => Cursor::new(id).session_id(),
            Some(_) | None => Err(Cursor::invalid()),
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn load(&self, id: &SessionId, _freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let rows = self.read(&self.sql.load, |statement| statement.bind(row::id(id))).await?;
        rows.first().map(row::record).transpose()
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.write(Create::new(&self.sql, request, now)?).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let (sql, row) = (Arc::clone(&self.sql), EncodedRow::of(record)?);
        self.write(Update { sql, row, expected, now: now.as_millis() }).await
    }

    async fn touch(&self, id: &SessionId, _user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let (id, now) = (row::id(id), row::time(now)?);
        let touched =
            self.change(&self.sql.touch, Box::new(move |statement| statement.bind(id.clone()).bind(now))).await?;
        Ok(if touched.is_empty() { TouchOutcome::Absent } else { TouchOutcome::Applied })
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let (id, user) = (row::id(id), row::user(user));
        let bind = Box::new(move |statement: Statement| statement.bind(id.clone()).bind(user.clone()));
        let deleted = self.change(&self.sql.delete, bind).await?;
        Ok(if deleted.is_empty() { DeleteOutcome::Absent } else { DeleteOutcome::Deleted })
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        let bind = |statement: Statement| statement.bind(row::user(Some(user))).bind(now.as_millis());
        listing(&self.read(&self.sql.list_by_user, bind).await?)
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        let (user, keep, now) = (row::user(Some(user)), keep.map(row::id), now.as_millis());
        let bind = Box::new(move |statement: Statement| statement.bind(user.clone()).bind(keep.clone()).bind(now));
        let mut deleted = self.change(&self.sql.delete_by_user, bind).await?;
        // One whose times cannot be read is unreadable, not expired.
        deleted.retain(|row| column(row, 8).unwrap_or(true));
        listing(&deleted)
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let after = after.map(|after| self.position(after)).transpose()?;
        let limit = limit.get().min(LONGEST_PAGE);
        let bind = |statement: Statement| statement.bind(after.as_ref().map(row::id)).bind(now.as_millis()).bind(limit);
        let rows = self.read(&self.sql.list_all, bind).await?;
        let is_full = rows.len() >= limit as usize;
        let last = rows.last().filter(|_| is_full).map(|row| row::read_id(row, 0)).transpose()?;
        Ok(Page::new(listing(&rows)?, last.map(|last| self.behind(&last))))
    }

    /// Exact. A million sessions take some 200 ms, on one of the connections that read.
    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.counted(&self.sql.count, now).await
    }

    /// In short transactions, so that requests get in between; then free pages are given back to the file system.
    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let (now, limit, mut deleted) = (now.as_millis(), limit.get() as usize, 0);
        // A disk may take ten milliseconds for each transaction.
        let mut time = Patience::new(self.timeout / 2);
        while deleted < limit {
            let some = SHORT_SWEEP.min(u32::try_from(limit - deleted).unwrap_or(SHORT_SWEEP));
            let bind = Box::new(move |statement: Statement| statement.bind(now).bind(some));
            let found = self.change(&self.sql.delete_expired, bind).await?.len();
            deleted += found;
            if found < some as usize || time.is_over_after(BREATH).await {
                break;
            }
        }
        // A row for each page, at most eight; none if none is free, or the file is not set up for it. Once at least, and on until
        // the time is over.
        for _ in 0..MOST_STEPS {
            let freed = self.change(&self.sql.shrink, Box::new(|statement| statement)).await?;
            if freed.is_empty() || time.is_over_after(BREATH).await {
                break;
            }
        }
        Ok(deleted as u64)
    }
}

fn listing(rows: &[SqliteRow]) -> Result<Listing, StoreError> {
    let mut listing = Listing::default();
    for row in rows {
        listing.add(row::read_id(row, 0)?, row::summary(row))?;
    }
    Ok(listing)
}
