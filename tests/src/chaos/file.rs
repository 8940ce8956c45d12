//! [`File`]: a file that all nodes have open, and what another process may do with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::sleep;

use crate::servers::namespace;

/// A file in a folder of its own, which is removed when this is dropped.
pub(super) struct File {
    folder: PathBuf,
    path: PathBuf,
}

impl File {
    /// The connections of a store: one that writes, four that read.
    pub(super) const CONNECTIONS: usize = 5;

    /// The connection of who had the lock: SQLite cannot close a file on which others in this process have locks, and keeps it for
    /// the next connection.
    pub(super) const KEPT: usize = 1;

    pub(super) fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("session-testbed-{}", namespace()));
        fs::create_dir(&folder)?;
        let path = folder.join("sessions.db");
        Ok(Self { folder, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Has the lock of the file for a while, as a process that was stopped in the middle of a transaction.
    pub(super) async fn lock(&self, lasts: Duration) -> Result<(), sqlx::Error> {
        // Others wait for it no longer than a second; this one must get it, however busy they are.
        let options = SqliteConnectOptions::new().filename(&self.path).busy_timeout(Duration::from_secs(30));
        let mut other = options.connect().await?;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await?;
        sleep(lasts).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
        other.close().await
    }

    /// How many connections to it this process has. 0 where the operating system does not tell.
    pub(super) fn connections(&self) -> usize {
        let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|file| file == self.path)).count()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
