//! What the file and the library say of themselves: [`SqliteStore::inspect`], [`SqliteStore::count_expired`].

use std::sync::Arc;

use session_core::store::{Count, Inspection, SchemaState, ServerInfo};
use session_core::{StoreError, Timestamp};

use crate::link::unexpected_reply;
use crate::row::column;
use crate::store::SqliteStore;

const FILE: &str = "SELECT sqlite_version(), page_count, page_size, freelist_count \
    FROM pragma_page_count(), pragma_page_size(), pragma_freelist_count()";

impl SqliteStore {
    /// What there is to say of the library and of the file, for an operator. One read. The tables are those of this release: a
    /// store with others does not open.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn inspect(&self) -> Result<Inspection, StoreError> {
        let rows = self.read(&Arc::from(FILE), |statement| statement).await?;
        let row = rows.first().ok_or_else(unexpected_reply)?;
        let (pages, size, free): (i64, i64, i64) = (column(row, 1)?, column(row, 2)?, column(row, 3)?);
        let mut library = ServerInfo::new("SQLite", column::<String>(row, 0)?);
        library.facts.push(("file_bytes", pages.saturating_mul(size).to_string()));
        library.facts.push(("free_bytes", free.saturating_mul(size).to_string()));
        let mut found = Inspection::default();
        (found.servers, found.schema) = (vec![library], SchemaState::Current);
        Ok(found)
    }

    /// How many records have expired and are still there, which [`delete_expired`](session_core::store::SessionStore::delete_expired)
    /// deletes. Exact: a million take some 200 ms, on one of the connections that read.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn count_expired(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.counted(&self.sql.expired, now).await
    }

    /// What `sql` counts, at this time.
    pub(crate) async fn counted(&self, sql: &Arc<str>, now: Timestamp) -> Result<Count, StoreError> {
        let rows = self.read(sql, |statement| statement.bind(now.as_millis())).await?;
        let sessions = rows.first().map_or(Ok(0), |row| column::<i64>(row, 0))?;
        Ok(Count::exact(u64::try_from(sessions).unwrap_or(0)))
    }
}
