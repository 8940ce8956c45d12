//! [`Readers`]: the connections that read.

use std::sync::{Arc, Mutex, PoisonError};

use session_core::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::sync::Semaphore;

use super::error::{closed, is_busy, store_error};
use super::file::File;
use super::transaction::Statement;

/// Connections that only read, each with a thread of its own. They need no runtime.
pub(crate) struct Readers {
    file: File,
    places: Semaphore,
    count: u32,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    pub(crate) fn new(file: File, count: u32) -> Self {
        Self { file, places: Semaphore::new(count as usize), count, idle: Mutex::default() }
    }

    /// The rows of one statement, which sees one state of the file: the latest.
    pub(crate) async fn fetch(
        &self,
        sql: &Arc<str>,
        bind: impl FnOnce(Statement) -> Statement,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let _place = self.places.acquire().await.map_err(|_| closed())?;
        let idle = self.lock().pop();
        let connected = match idle {
            Some(connection) => Ok(connection),
            None => self.file.connect_reader().await,
        };
        // Now that it is connected: until then, another file may have come to the path.
        let is_there = self.file.check();
        let mut lease = Lease { readers: self, connection: None };
        let is_connected = connected.map(|connection| lease.connection = Some(connection)).map_err(store_error);
        is_there.and(is_connected)?;
        let Some(connection) = &mut lease.connection else { return Err(closed()) };
        let rows = bind(sqlx::query(AssertSqlSafe(Arc::clone(sql)))).fetch_all(connection).await;
        if rows.as_ref().is_err_and(|error| !is_busy(error)) {
            // The next one begins anew.
            lease.connection = None;
        }
        rows.map_err(store_error)
    }

    /// Waits for reads that are under way, then closes all connections.
    pub(crate) async fn close(&self) {
        let places = self.places.acquire_many(self.count).await;
        self.places.close();
        drop(places);
        let idle = std::mem::take(&mut *self.lock());
        for connection in idle {
            // Nothing is lost if it fails.
            let _ = connection.close().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. It comes back also if its caller goes away: its thread finishes the statement first.
struct Lease<'a> {
    readers: &'a Readers,
    connection: Option<SqliteConnection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.lock().push(connection);
        }
    }
}
