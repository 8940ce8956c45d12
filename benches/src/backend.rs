//! The backends that are measured, and how a store and a floor are opened on each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session_cache::CachedStore;
use session_core::Namespace;
use session_core::store::SessionStore;
use session_moka::MokaStore;
use session_postgres::{PostgresStore, PostgresStoreBuilder};
use session_redis::RedisStore;
use session_sqlite::SqliteStore;
use session_testbed::servers::namespace;

use crate::floor::FloorStore;
use crate::op::Failure;
use crate::servers::{Addresses, STORE_TIMEOUT};
use crate::store::NoopStore;

/// Of caches: what the manual begins with.
const MAX_STALE: Duration = Duration::from_secs(5);

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
                let store = postgres(addresses)?.build();
                store.migrate().await?;
                Arc::new(store)
            }
            Self::Sqlite => Arc::new(sqlite(&addresses.new_file()).await?),
        })
    }

    /// The same, on a server, as all nodes have it if any of them has a cache: it publishes what it does.
    pub(crate) async fn publishing(self, addresses: &Addresses) -> Result<Arc<dyn SessionStore>, Failure> {
        match self {
            Self::Redis => {
                let store = RedisStore::builder(&addresses.redis_url(), Namespace::new("session")?);
                Ok(Arc::new(store.publish_changes().connect().await?))
            }
            Self::Postgres => {
                let store = postgres(addresses)?.publish_changes().build();
                store.migrate().await?;
                Ok(Arc::new(store))
            }
            Self::Noop | Self::Moka | Self::Sqlite => Err("only what is on a server is measured with a cache".into()),
        }
    }

    /// That one with a cache in front, which follows its feed.
    pub(crate) async fn cached(self, addresses: &Addresses) -> Result<Arc<dyn SessionStore>, Failure> {
        let store = self.publishing(addresses).await?;
        Ok(Arc::new(CachedStore::builder(store, MAX_STALE).follow()?.build()))
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

/// Ready to be built.
pub(crate) fn postgres(addresses: &Addresses) -> Result<PostgresStoreBuilder, Failure> {
    Ok(PostgresStore::builder(addresses.postgres_pool(10)?, namespace()).operation_timeout(STORE_TIMEOUT))
}

/// The store in a file.
pub(crate) async fn sqlite(file: &Path) -> Result<SqliteStore, Failure> {
    let store = SqliteStore::builder(file, Namespace::new("session")?);
    Ok(store.operation_timeout(STORE_TIMEOUT).open().await?)
}
