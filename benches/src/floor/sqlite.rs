//! [`SqliteFloor`]: prepared statements by rowid, on one connection.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use tokio::sync::Mutex;

use crate::op::Failure;

/// A table `floor` with an index by owner, in a file with the journal and the flushes of `session-sqlite`. There is one writer at a
/// time in any case, so callers take turns.
#[derive(Clone)]
pub(crate) struct SqliteFloor(Arc<Mutex<SqliteConnection>>);

impl SqliteFloor {
    /// Creates the file.
    pub(crate) async fn open(file: &Path) -> Result<Self, Failure> {
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let mut connection = options.connect().await?;
        for statement in [
            "CREATE TABLE floor (id INTEGER PRIMARY KEY, owner TEXT, seen INTEGER, data BLOB NOT NULL)",
            "CREATE INDEX floor_owner ON floor (owner)",
        ] {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Arc<[u8]>>, Failure> {
        let select = sqlx::query("SELECT data FROM floor WHERE id = ?").bind(rowid(key)?);
        let row = select.fetch_optional(&mut *self.0.lock().await).await?;
        Ok(row.map(|row| row.try_get::<&[u8], _>(0).map(Arc::from)).transpose()?)
    }

    pub(crate) async fn create(&self, key: &str, owner: &str, value: &[u8]) -> Result<(), Failure> {
        let insert = sqlx::query("INSERT INTO floor (id, owner, seen, data) VALUES (?, ?, 0, ?)");
        self.execute(insert.bind(rowid(key)?).bind(owner).bind(value)).await
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        // Something changes each time: SQLite writes no page that would be the same.
        let update = sqlx::query("UPDATE floor SET data = ?2, seen = seen + 1 WHERE id = ?1");
        self.execute(update.bind(rowid(key)?).bind(value)).await
    }

    pub(crate) async fn rename(&self, old: &str, new: &str, value: &[u8]) -> Result<(), Failure> {
        let update = sqlx::query("UPDATE floor SET id = ?2, data = ?3 WHERE id = ?1");
        self.execute(update.bind(rowid(old)?).bind(rowid(new)?).bind(value)).await
    }

    pub(crate) async fn touch(&self, key: &str, seen: i64) -> Result<(), Failure> {
        let update = sqlx::query("UPDATE floor SET seen = ?2 WHERE id = ?1");
        self.execute(update.bind(rowid(key)?).bind(seen)).await
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), Failure> {
        self.execute(sqlx::query("DELETE FROM floor WHERE id = ?").bind(rowid(key)?)).await
    }

    pub(crate) async fn list(&self, owner: &str) -> Result<usize, Failure> {
        let select = sqlx::query("SELECT data FROM floor WHERE owner = ?").bind(owner);
        Ok(select.fetch_all(&mut *self.0.lock().await).await?.len())
    }

    async fn execute(&self, statement: Query<'_>) -> Result<(), Failure> {
        statement.execute(&mut *self.0.lock().await).await?;
        Ok(())
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Eight random bytes of a key, which is a session id or begins with one.
fn rowid(key: &str) -> Result<i64, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(key.get(..16).ok_or("a key is too short")?)?;
    Ok(i64::from_be_bytes(bytes[4..].try_into()?))
}

impl fmt::Debug for SqliteFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteFloor")
    }
}
