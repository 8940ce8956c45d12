//! The one list of backends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Capabilities, Failure, Harness};
use session_core::SessionStore;
use session_moka::MokaStore;
use session_postgres::{PostgresStore, SchemaName, recommended_pool_options};
use session_redis::RedisStore;
use sqlx::PgPool;
use tokio::sync::OnceCell;

use crate::servers::{postgres_url, redis_cluster, redis_sentinel, redis_url};

/// Many cases share few cores; each has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every backend of this repository: what the conformance runner and the tests across backends run on.
#[must_use]
pub fn backends() -> Vec<Arc<dyn Harness>> {
    vec![
        Arc::new(Moka::default()), // one line for each backend
        Arc::new(Redis),
        Arc::new(RedisSentinel),
        Arc::new(RedisCluster),
        Arc::new(Postgres::default()),
    ]
}

/// `session-moka`: in this process. The handles on one namespace are clones of one store, as in an application.
#[derive(Debug, Default)]
pub struct Moka {
    stores: Mutex<HashMap<String, MokaStore>>,
}

#[async_trait]
impl Harness for Moka {
    fn backend(&self) -> &'static str {
        "moka"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: false, shared: true }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(stores.entry(namespace.to_owned()).or_default().clone()))
    }
}

/// What every backend with a server is capable of.
const SERVED: Capabilities = Capabilities { durable: true, shared: true };

/// `session-redis` on one server. Each handle has connections of its own, as each node of a service has.
#[derive(Debug)]
pub struct Redis;

#[async_trait]
impl Harness for Redis {
    fn backend(&self) -> &'static str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        SERVED
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open_redis(&redis_url().await.map_err(failure)?, namespace).await
    }
}

/// `session-redis` behind Sentinel.
#[derive(Debug)]
pub struct RedisSentinel;

#[async_trait]
impl Harness for RedisSentinel {
    fn backend(&self) -> &'static str {
        "redis-sentinel"
    }

    fn capabilities(&self) -> Capabilities {
        SERVED
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open_redis(&redis_sentinel().await.map_err(failure)?.url(), namespace).await
    }
}

/// `session-redis` on a Cluster of three primaries.
#[derive(Debug)]
pub struct RedisCluster;

#[async_trait]
impl Harness for RedisCluster {
    fn backend(&self) -> &'static str {
        "redis-cluster"
    }

    fn capabilities(&self) -> Capabilities {
        SERVED
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open_redis(&redis_cluster().await.map_err(failure)?.url(), namespace).await
    }
}

async fn open_redis(url: &str, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
    let store = RedisStore::builder(url).key_prefix(namespace).operation_timeout(PATIENCE).connect().await;
    Ok(Arc::new(store.map_err(failure)?))
}

/// `session-postgres`. Two pools, as two nodes have; the handles take turns.
#[derive(Debug, Default)]
pub struct Postgres {
    pools: OnceCell<[PgPool; 2]>,
    turn: AtomicUsize,
}

#[async_trait]
impl Harness for Postgres {
    fn backend(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        SERVED
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let pools = self.pools.get_or_try_init(|| async {
            let url = postgres_url().await.map_err(failure)?;
            let pool = || recommended_pool_options().max_connections(20).acquire_timeout(PATIENCE).connect_lazy(&url);
            Ok::<_, Failure>([pool().map_err(failure)?, pool().map_err(failure)?])
        });
        let pool = &pools.await?[self.turn.fetch_add(1, Ordering::Relaxed) % 2];
        let schema = SchemaName::new(namespace).map_err(failure)?;
        let store = PostgresStore::new(pool.clone()).with_schema(schema).with_timeout(PATIENCE);
        store.migrate().await?;
        Ok(Arc::new(store))
    }
}

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
