//! How stores are opened.

use std::sync::Arc;
use std::time::Duration;

use session_conformance::Failure;
use session_core::store::SessionStore;
use session_postgres::{PostgresStore, SchemaName, recommended_pool_options};
use session_redis::RedisStore;
use sqlx::PgPool;

/// The limit of a store operation: long, because many cases share few cores.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// The limit while servers are disrupted: short, because cases wait for it.
pub(super) const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn redis(url: &str, namespace: &str, timeout: Duration) -> Result<Arc<dyn SessionStore>, Failure> {
    let store = RedisStore::builder(url).key_prefix(namespace).operation_timeout(timeout).connect().await;
    Ok(Arc::new(store.map_err(failure)?))
}

pub(super) fn pool(url: &str, connections: u32, timeout: Duration) -> Result<PgPool, Failure> {
    let options = recommended_pool_options().max_connections(connections).acquire_timeout(timeout);
    options.connect_lazy(url).map_err(failure)
}

pub(super) async fn postgres(
    pool: &PgPool,
    namespace: &str,
    timeout: Duration,
) -> Result<Arc<dyn SessionStore>, Failure> {
    let schema = SchemaName::new(namespace).map_err(failure)?;
    let store = PostgresStore::builder(pool.clone()).schema(schema).operation_timeout(timeout).build();
    store.migrate().await?;
    Ok(Arc::new(store))
}

pub(super) fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
