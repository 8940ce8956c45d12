//! [`FloorStore`]: one `moka.get`, one `GET` on one connection, one `SELECT` by primary key or rowid. It compares no
//! versions, revokes nothing and limits nothing.

use std::path::Path;
use std::sync::Arc;

use moka::sync::Cache;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use sqlx::{PgPool, Row as _};

use super::sqlite::SqliteFloor;
use crate::op::Failure;

/// Time to live of a value in Redis, in seconds.
const TTL: u64 = 1800;

/// Where a floor stores its values.
#[derive(Clone, Debug)]
pub(crate) enum FloorStore {
    /// A cache in this process.
    Moka(Cache<String, Arc<[u8]>>),
    /// One multiplexed connection.
    Redis(MultiplexedConnection),
    /// A pool that does not ping before each use, and a table `floor` with an index by owner.
    Postgres(PgPool),
    /// One connection to a file, and the same table.
    Sqlite(SqliteFloor),
}

impl FloorStore {
    pub(crate) fn moka() -> Self {
        Self::Moka(Cache::builder().build())
    }

    /// Creates the table.
    pub(crate) async fn postgres(pool: PgPool) -> Result<Self, Failure> {
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS floor (id text PRIMARY KEY, owner text, seen bigint, data bytea NOT NULL)",
        )
        .execute(&pool)
        .await?;
        sqlx::query("CREATE INDEX IF NOT EXISTS floor_owner ON floor (owner)").execute(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// Creates the file.
    pub(crate) async fn sqlite(file: &Path) -> Result<Self, Failure> {
        Ok(Self::Sqlite(SqliteFloor::open(file).await?))
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Arc<[u8]>>, Failure> {
        match self {
            Self::Moka(cache) => Ok(cache.get(key)),
            Self::Redis(connection) => {
                let value: Option<Vec<u8>> = connection.clone().get(key).await?;
                Ok(value.map(Arc::from))
            }
            Self::Postgres(pool) => {
                let row = sqlx::query("SELECT data FROM floor WHERE id = $1").bind(key).fetch_optional(pool).await?;
                Ok(row.map(|row| row.try_get::<&[u8], _>(0).map(Arc::from)).transpose()?)
            }
            Self::Sqlite(floor) => floor.get(key).await,
        }
    }

    /// Inserts a value.
    pub(crate) async fn create(&self, key: &str, owner: &str, value: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Moka(_) | Self::Redis(_) => self.set(key, value).await,
            Self::Postgres(pool) => {
                let insert = sqlx::query("INSERT INTO floor (id, owner, seen, data) VALUES ($1, $2, 0, $3)");
                insert.bind(key).bind(owner).bind(value).execute(pool).await?;
                Ok(())
            }
            Self::Sqlite(floor) => floor.create(key, owner, value).await,
        }
    }

    /// Overwrites a value.
    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Moka(cache) => cache.insert(key.to_owned(), Arc::from(value)),
            Self::Redis(connection) => connection.clone().set_ex::<_, _, ()>(key, value, TTL).await?,
            Self::Postgres(pool) => {
                sqlx::query("UPDATE floor SET data = $2 WHERE id = $1").bind(key).bind(value).execute(pool).await?;
            }
            Self::Sqlite(floor) => floor.set(key, value).await?,
        }
        Ok(())
    }

    /// Moves a value to another key, and overwrites it.
    pub(crate) async fn rename(&self, old: &str, new: &str, value: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Moka(cache) => {
                cache.invalidate(old);
                cache.insert(new.to_owned(), Arc::from(value));
            }
            Self::Redis(connection) => {
                let mut pipe = redis::pipe();
                pipe.set_ex(new, value, TTL).ignore().del(old).ignore();
                pipe.query_async::<()>(&mut connection.clone()).await?;
            }
            Self::Postgres(pool) => {
                let update = sqlx::query("UPDATE floor SET id = $2, data = $3 WHERE id = $1");
                update.bind(old).bind(new).bind(value).execute(pool).await?;
            }
            Self::Sqlite(floor) => floor.rename(old, new, value).await?,
        }
        Ok(())
    }

    /// Records later activity. PostgreSQL does not wait for its disk.
    pub(crate) async fn touch(&self, key: &str, seen: i64) -> Result<(), Failure> {
        match self {
            Self::Moka(cache) => {
                if let Some(value) = cache.get(key) {
                    cache.insert(key.to_owned(), value);
                }
            }
            Self::Redis(connection) => {
                let ttl = i64::try_from(TTL)?;
                connection.clone().expire::<_, ()>(key, ttl).await?;
            }
            Self::Postgres(pool) => {
                let update = "UPDATE floor SET seen = $2 \
                              FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed WHERE id = $1";
                sqlx::query(update).bind(key).bind(seen).execute(pool).await?;
            }
            Self::Sqlite(floor) => floor.touch(key, seen).await?,
        }
        Ok(())
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), Failure> {
        match self {
            Self::Moka(cache) => cache.invalidate(key),
            Self::Redis(connection) => connection.clone().del::<_, ()>(key).await?,
            Self::Postgres(pool) => {
                sqlx::query("DELETE FROM floor WHERE id = $1").bind(key).execute(pool).await?;
            }
            Self::Sqlite(floor) => floor.remove(key).await?,
        }
        Ok(())
    }

    /// How many values `owner` has; where there is no index by owner, how many `key` has.
    pub(crate) async fn list(&self, key: &str, owner: &str) -> Result<usize, Failure> {
        match self {
            Self::Moka(_) | Self::Redis(_) => Ok(usize::from(self.get(key).await?.is_some())),
            Self::Postgres(pool) => {
                let select = sqlx::query("SELECT data FROM floor WHERE owner = $1").bind(owner);
                Ok(select.fetch_all(pool).await?.len())
            }
            Self::Sqlite(floor) => floor.list(owner).await,
        }
    }
}
