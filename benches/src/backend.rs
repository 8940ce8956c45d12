//! The backends that are measured, and how a store and a floor are opened on each.

use std::path::Path;
use std::sync::Arc;

use session_core::Namespace;
use session_core::store::SessionStore;
use session_moka::MokaStore;
use session_postgres::PostgresStore;
use session_redis::RedisStore;
use session_sqlite::SqliteStore;
use session_testbed::servers::namespace;

use crate::floor::FloorStore;
use crate::op::Failure;
use crate::servers::{Addresses, STORE_TIMEOUT};
use crate::store::NoopStore;

/// Where sessions are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The control: a store that does next to nothing.
    Noop,
    /// `session-moka`.
    Moka,
    /// `session-redis`, on one server.
    Redis,
    /// `session-postgres`.
    Postgres,
    /// `session-sqlite`, in a file.
    Sqlite,
}

impl Backend {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 5] = [Self::Noop, Self::Moka, Self::Redis, Self::Postgres, Self::Sqlite];

    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Moka => "moka",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }

    /// An empty store.
    pub(crate) async fn store(self, addresses: &Addresses) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok(match self {
            Self::Noop => Arc::new(NoopStore::default()),
            Self::Moka => Arc::new(MokaStore::new()),
            Self::Redis => Arc::new(RedisStore::connect(&addresses.redis_url(), Namespace::new("session")?).await?),
            Self::Postgres => {
                let store = PostgresStore::builder(addresses.postgres_pool(10)?, namespace())
                    .operation_timeout(STORE_TIMEOUT)
                    .build();
                store.migrate().await?;
                Arc::new(store)
            }
            Self::Sqlite => Arc::new(sqlite(&addresses.new_file()).await?),
        })
    }

    /// The floor, empty. The control has the one of `session-moka`.
    pub(crate) async fn floor(self, addresses: &Addresses) -> Result<FloorStore, Failure> {
        match self {
            Self::Noop | Self::Moka => Ok(FloorStore::moka()),
            Self::Redis => Ok(FloorStore::Redis(addresses.redis_connection().await?)),
            Self::Postgres => FloorStore::postgres(addresses.postgres_pool(10)?).await,
            Self::Sqlite => FloorStore::sqlite(&addresses.new_file()).await,
        }
    }
}

/// The store in a file.
pub(crate) async fn sqlite(file: &Path) -> Result<SqliteStore, Failure> {
    let store = SqliteStore::builder(file, Namespace::new("session")?);
    Ok(store.operation_timeout(STORE_TIMEOUT).open().await?)
}
