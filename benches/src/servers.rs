//! The servers, and what is opened on them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::SessionStore;
use session_moka::MokaStore;
use session_postgres::{PostgresStore, SchemaName, recommended_pool_options};
use session_redis::RedisStore;
use session_testbed::proxy::Proxy;
use session_testbed::servers::{Postgres, Redis, namespace};
use sqlx::PgPool;

use crate::floor::Keep;
use crate::op::Failure;
use crate::store::NoopStore;

/// A disk that stalls makes a call slow, and not a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One of each server, as a fresh installation is: PostgreSQL flushes each commit to the disk.
#[derive(Debug)]
pub struct Servers {
    redis: Redis,
    postgres: Postgres,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Nowhere worth mentioning: the control.
    Noop,
    /// `session-moka`.
    Moka,
    /// `session-redis`, on one server.
    Redis,
    /// `session-postgres`.
    Postgres,
}

/// The addresses of the servers, or of proxies in front of them.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    redis: SocketAddr,
    postgres: SocketAddr,
}

/// Proxies in front of both servers, which count round trips.
#[derive(Debug)]
pub struct Proxies {
    redis: Proxy,
    postgres: Proxy,
}

impl Servers {
    /// Starts both.
    ///
    /// # Errors
    /// If one cannot be found, installed or started.
    pub async fn launch() -> Result<Self, Failure> {
        // A checkpoint in the middle of one row would be counted against that row.
        let settings = [("max_wal_size", "8GB"), ("checkpoint_timeout", "1h")];
        let (redis, postgres) = tokio::try_join!(Redis::launch(&[]), Postgres::launch(&settings))?;
        Ok(Self { redis, postgres })
    }

    /// The servers themselves.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Addresses { redis: self.redis.address(), postgres: self.postgres.address() }
    }

    /// Proxies in front of them, in this runtime.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn proxies(&self) -> io::Result<Proxies> {
        let Addresses { redis, postgres } = self.addresses();
        Ok(Proxies { redis: Proxy::start(redis).await?, postgres: Proxy::start(postgres).await? })
    }

    /// The versions of the servers: of Redis, of PostgreSQL.
    ///
    /// # Errors
    /// If one does not answer.
    pub async fn versions(&self) -> Result<(String, String), Failure> {
        let redis = self.addresses().redis_info("server", "redis_version").await?;
        let pool = self.addresses().postgres_pool(1)?;
        let postgres: String = sqlx::query_scalar("SHOW server_version").fetch_one(&pool).await?;
        Ok((redis, postgres))
    }
}

impl Proxies {
    /// Their addresses.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Addresses { redis: self.redis.address(), postgres: self.postgres.address() }
    }

    /// How many round trips were begun so far, to both servers.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.redis.round_trips() + self.postgres.round_trips()
    }
}

impl Addresses {
    /// Of no server: enough for [`Backend::Moka`] and [`Backend::Noop`].
    #[must_use]
    pub fn nowhere() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { redis: nowhere, postgres: nowhere }
    }

    /// A connection to Redis.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(crate) async fn redis_connection(&self) -> Result<redis::aio::MultiplexedConnection, Failure> {
        let client = redis::Client::open(format!("redis://{}", self.redis))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// What Redis says of its memory.
    pub(crate) async fn redis_memory(&self, field: &str) -> Result<u64, Failure> {
        Ok(self.redis_info("memory", field).await?.parse()?)
    }

    async fn redis_info(&self, section: &str, field: &str) -> Result<String, Failure> {
        let info: String = redis::cmd("INFO").arg(section).query_async(&mut self.redis_connection().await?).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.ok_or_else(|| format!("Redis does not say {field}"))?.trim().to_owned())
    }

    /// A pool of connections to PostgreSQL.
    ///
    /// # Errors
    /// Never: nothing is connected yet.
    pub(crate) fn postgres_pool(&self, connections: u32) -> Result<PgPool, Failure> {
        let url = format!("postgres://postgres@{}/postgres", self.postgres);
        Ok(recommended_pool_options().max_connections(connections).connect_lazy(&url)?)
    }

    /// Removes everything that any store or floor has stored.
    ///
    /// # Errors
    /// If a server refuses.
    pub async fn clear(&self) -> Result<(), Failure> {
        let mut redis = self.redis_connection().await?;
        // Two million keys at once would exceed the time limit of the connection.
        redis::cmd("FLUSHALL").arg("ASYNC").query_async::<()>(&mut redis).await?;
        while self.redis_memory("lazyfree_pending_objects").await? > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pool = self.postgres_pool(1)?;
        let schemas: Vec<String> =
            sqlx::query_scalar("SELECT nspname::text FROM pg_namespace WHERE nspname ~ '^t_[0-9a-f]{16}$'")
                .fetch_all(&pool)
                .await?;
        for schema in schemas {
            let drop = sqlx::AssertSqlSafe(format!("DROP SCHEMA \"{schema}\" CASCADE"));
            sqlx::query(drop).execute(&pool).await?;
        }
        sqlx::query("DROP TABLE IF EXISTS floor").execute(&pool).await?;
        pool.close().await;
        Ok(())
    }
}

impl Backend {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Noop, Self::Moka, Self::Redis, Self::Postgres];

    /// As the report calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Moka => "moka",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    /// An empty store of its own.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub(crate) async fn store(self, addresses: &Addresses) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok(match self {
            Self::Noop => Arc::new(NoopStore::default()),
            Self::Moka => Arc::new(MokaStore::new()),
            Self::Redis => {
                let url = format!("redis://{}", addresses.redis);
                Arc::new(RedisStore::connect(&url).await?)
            }
            Self::Postgres => {
                let store = PostgresStore::builder(addresses.postgres_pool(10)?)
                    .schema(SchemaName::new(&namespace())?)
                    .operation_timeout(PATIENCE)
                    .build();
                store.migrate().await?;
                Arc::new(store)
            }
        })
    }

    /// The floor of this backend, empty. The control has that of `session-moka`.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub(crate) async fn floor(self, addresses: &Addresses) -> Result<Keep, Failure> {
        match self {
            Self::Noop | Self::Moka => Ok(Keep::moka()),
            Self::Redis => Ok(Keep::Redis(addresses.redis_connection().await?)),
            Self::Postgres => Keep::postgres(addresses.postgres_pool(10)?).await,
        }
    }
}
