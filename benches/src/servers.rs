//! The servers and the folder that benchmarks run on, and proxies that count the round trips to the servers.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use session_postgres::recommended_pool_options;
use session_testbed::proxy::Proxy;
use session_testbed::servers::{Postgres, Redis, namespace};
use sqlx::{Connection as _, PgPool, SqliteConnection};

use crate::op::Failure;

/// Long enough for a stalling disk to show up as a slow call, not as a failure.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// One server of each kind, configured like a fresh installation: PostgreSQL flushes each commit to the disk. And a folder for
/// files, on the same disk.
#[derive(Debug)]
pub struct Servers {
    redis: Redis,
    postgres: Postgres,
    files: Arc<Folder>,
}

/// Proxies in front of both servers, which count round trips.
#[derive(Debug)]
pub struct Proxies {
    redis: Proxy,
    postgres: Proxy,
    files: Arc<Folder>,
}

/// The addresses of the servers, or of proxies in front of them; and the folder.
#[derive(Clone, Debug)]
pub struct Addresses {
    redis: SocketAddr,
    postgres: SocketAddr,
    files: Arc<Folder>,
}

/// A folder that is made when it is first used, and removed when it is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// Where the servers have theirs.
    fn new() -> Arc<Self> {
        Arc::new(Self(std::env::temp_dir().join(format!("session-benches-{}", namespace()))))
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => fs::create_dir(&self.0),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Servers {
    /// Starts both.
    ///
    /// # Errors
    /// If one cannot be found, installed or started.
    pub async fn launch() -> Result<Self, Failure> {
        // A checkpoint in the middle of a row would distort that row.
        let settings = [("max_wal_size", "8GB"), ("checkpoint_timeout", "1h")];
        let (redis, postgres) = tokio::try_join!(Redis::launch(&[]), Postgres::launch(&settings))?;
        let files = Folder::new();
        files.clear()?;
        Ok(Self { redis, postgres, files })
    }

    /// The addresses of the servers themselves.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let files = Arc::clone(&self.files);
        Addresses { redis: self.redis.address(), postgres: self.postgres.address(), files }
    }

    pub(crate) fn redis(&self) -> &Redis {
        &self.redis
    }

    pub(crate) fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Starts proxies in front of them, in this runtime.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn proxies(&self) -> io::Result<Proxies> {
        let Addresses { redis, postgres, files } = self.addresses();
        Ok(Proxies { redis: Proxy::start(redis).await?, postgres: Proxy::start(postgres).await?, files })
    }

    /// The versions of Redis, PostgreSQL and SQLite.
    ///
    /// # Errors
    /// If one does not answer.
    pub async fn versions(&self) -> Result<[String; 3], Failure> {
        let redis = self.addresses().redis_info("server", "redis_version").await?;
        let pool = self.addresses().postgres_pool(1)?;
        let postgres: String = sqlx::query_scalar("SHOW server_version").fetch_one(&pool).await?;
        let mut sqlite = SqliteConnection::connect("sqlite::memory:").await?;
        let sqlite = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut sqlite).await?;
        Ok([redis, postgres, sqlite])
    }
}

impl Proxies {
    /// Their addresses.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let files = Arc::clone(&self.files);
        Addresses { redis: self.redis.address(), postgres: self.postgres.address(), files }
    }

    /// How many round trips to both servers have started so far.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.redis.round_trips() + self.postgres.round_trips()
    }
}

impl Addresses {
    /// Of no server: enough for [`Backend::Moka`](crate::Backend::Moka) and [`Backend::Noop`](crate::Backend::Noop).
    #[must_use]
    pub fn nowhere() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { redis: nowhere, postgres: nowhere, files: Folder::new() }
    }

    /// The path of a file that is not there yet. No path is used twice: whoever still has an old file open cannot get at the new.
    pub(crate) fn new_file(&self) -> PathBuf {
        self.files.0.join(namespace().as_str())
    }

    pub(crate) fn redis_url(&self) -> String {
        format!("redis://{}", self.redis)
    }

    pub(crate) async fn redis_connection(&self) -> Result<redis::aio::MultiplexedConnection, Failure> {
        Ok(redis::Client::open(self.redis_url())?.get_multiplexed_async_connection().await?)
    }

    /// A field of `INFO memory`.
    pub(crate) async fn redis_memory(&self, field: &str) -> Result<u64, Failure> {
        Ok(self.redis_info("memory", field).await?.parse()?)
    }

    /// A field of `INFO`.
    pub(crate) async fn redis_info(&self, section: &str, field: &str) -> Result<String, Failure> {
        let info: String = redis::cmd("INFO").arg(section).query_async(&mut self.redis_connection().await?).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.ok_or_else(|| format!("INFO of Redis has no {field}"))?.trim().to_owned())
    }

    /// How many bytes PostgreSQL has written to its log.
    pub(crate) async fn wal_position(&self) -> Result<i64, Failure> {
        let position = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
        Ok(sqlx::query_scalar(position).fetch_one(&self.postgres_pool(1)?).await?)
    }

    /// A pool of connections to PostgreSQL. Connects when first used.
    pub(crate) fn postgres_pool(&self, connections: u32) -> Result<PgPool, Failure> {
        let url = format!("postgres://postgres@{}/postgres", self.postgres);
        Ok(recommended_pool_options().max_connections(connections).connect_lazy(&url)?)
    }

    /// Deletes everything that stores and floors have written.
    ///
    /// # Errors
    /// If a server, or the operating system, refuses.
    pub async fn clear(&self) -> Result<(), Failure> {
        let mut redis = self.redis_connection().await?;
        // Deleting two million keys synchronously would exceed the timeout of the connection.
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
        Ok(self.files.clear()?)
    }
}
