//! [`Operation`]: what writes, in a transaction that the writer has begun.

use std::sync::Arc;

use session_core::StoreError;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// Whether the file has room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// As far as is known.
    Enough,
    /// The operation failed for want of it, and is tried again; up to so many visitors may end for it.
    Missing(u32),
}

/// A write. May be executed several times, of which one is committed.
pub(crate) trait Operation: Send + Sync + 'static {
    type Output: Send;

    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        space: Space,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// Why an operation failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Driver(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A transaction that has the lock of the file.
pub(crate) struct Transaction<'c>(pub(super) &'c mut SqliteConnection);

impl Transaction<'_> {
    /// Executes a statement. Returns the rows.
    pub(crate) async fn fetch(
        &mut self,
        sql: &Arc<str>,
        bind: impl FnOnce(Statement) -> Statement,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        bind(sqlx::query(AssertSqlSafe(Arc::clone(sql)))).fetch_all(&mut *self.0).await
    }
}
