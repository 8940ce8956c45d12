//! One server of each kind for the whole process, started on first use.

use tokio::sync::OnceCell;

use super::base::ServerError;
use super::cluster::RedisCluster;
use super::postgres::Postgres;
use super::redis::Redis;
use super::sentinel::RedisSentinel;

// Statics are never dropped: these servers end with the process.
static REDIS: OnceCell<Redis> = OnceCell::const_new();
static SENTINEL: OnceCell<RedisSentinel> = OnceCell::const_new();
static CLUSTER: OnceCell<RedisCluster> = OnceCell::const_new();
static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();

/// The URL of a Redis server that all tests share: that of the environment variable `REDIS_URL`, or one of this
/// process. Use a [`namespace`](super::namespace) each, and leave the server running.
///
/// # Errors
/// If it cannot be found, installed or started.
pub async fn redis_url() -> Result<String, ServerError> {
    if let Some(url) = elsewhere("REDIS_URL") {
        return Ok(url);
    }
    Ok(REDIS.get_or_try_init(|| Redis::launch(&[])).await?.url())
}

/// The URL of a PostgreSQL database that all tests share: that of the environment variable `DATABASE_URL`, or one of
/// this process. Use a schema each, named by [`namespace`](super::namespace), and leave the server running.
///
/// # Errors
/// If it cannot be found, installed or started.
pub async fn postgres_url() -> Result<String, ServerError> {
    if let Some(url) = elsewhere("DATABASE_URL") {
        return Ok(url);
    }
    Ok(POSTGRES.get_or_try_init(|| Postgres::launch(&[Postgres::FSYNC_OFF])).await?.url())
}

/// A Sentinel set that all tests of this process share. Use a [`namespace`](super::namespace) each, and leave the
/// servers running.
///
/// # Errors
/// If it cannot be found, installed or started.
pub async fn redis_sentinel() -> Result<&'static RedisSentinel, ServerError> {
    SENTINEL.get_or_try_init(|| RedisSentinel::launch(&[])).await
}

/// A Cluster of three primaries that all tests of this process share. Use a [`namespace`](super::namespace) each, and
/// leave the servers running.
///
/// # Errors
/// If it cannot be found, installed or started.
pub async fn redis_cluster() -> Result<&'static RedisCluster, ServerError> {
    CLUSTER.get_or_try_init(|| RedisCluster::launch(0, &[])).await
}

fn elsewhere(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}
