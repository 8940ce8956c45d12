//! Folders and stores for these tests.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use session_core::store::SessionStore as _;
use session_core::{StoreError, Timestamp};
use session_sqlite::SqliteStore;
use session_testbed::records::shop;
use session_testbed::servers::namespace;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection, raw_sql};

/// A folder that goes with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("session-sqlite-{}", namespace()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, shop()).await
}

/// Deletes what has expired, at most `limit` at a time. Returns how many those were.
pub(crate) async fn sweep(store: &SqliteStore, now: Timestamp, limit: u32) -> u64 {
    let mut total = 0;
    loop {
        let deleted = store.delete_expired(now, NonZeroU32::new(limit).unwrap()).await.unwrap();
        assert!(deleted <= u64::from(limit), "{deleted} of {limit}");
        if deleted == 0 {
            return total;
        }
        total += deleted;
    }
}

/// Another program's connection.
pub(crate) async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

pub(crate) async fn execute(connection: &mut SqliteConnection, sql: &str) {
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

pub(crate) async fn number(connection: &mut SqliteConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap()
}
