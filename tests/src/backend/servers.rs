//! What the backends with servers share: how their stores are opened, and what happens to the processes of their servers.

use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Capabilities, Disruption, Failure};
use session_core::Namespace;
use session_core::store::SessionStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use sqlx::PgPool;

use crate::servers::{Server, ServerError};

/// The limit of a store operation: long, because many cases share few cores.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// The limit while servers are disrupted: short, because cases wait for it.
pub(super) const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn capabilities(disruptions: &'static [Disruption]) -> Capabilities {
    Capabilities { durable: true, shared: true, disruptions }
}

pub(super) async fn redis(
    url: &str,
    namespace: &Namespace,
    timeout: Duration,
) -> Result<Arc<dyn SessionStore>, Failure> {
    let store = RedisStore::builder(url, namespace.clone()).operation_timeout(timeout).connect().await;
    Ok(Arc::new(store.map_err(failure)?))
}

pub(super) fn pool(url: &str, connections: u32, timeout: Duration) -> Result<PgPool, Failure> {
    let options = recommended_pool_options().max_connections(connections).acquire_timeout(timeout);
    options.connect_lazy(url).map_err(failure)
}

pub(super) async fn postgres(
    pool: &PgPool,
    namespace: &Namespace,
    timeout: Duration,
) -> Result<Arc<dyn SessionStore>, Failure> {
    let store = PostgresStore::builder(pool.clone(), namespace.clone()).operation_timeout(timeout).build();
    store.migrate().await?;
    Ok(Arc::new(store))
}

/// Restarts, stops or freezes all of `servers`.
pub(super) async fn begin(servers: &[&Server], disruption: Disruption) -> Result<(), ServerError> {
    for server in servers {
        match disruption {
            Disruption::Restart => server.kill9().await?,
            Disruption::Outage => server.stop().await?,
            Disruption::Freeze => server.pause().await?,
            Disruption::LostReply
            | Disruption::ForgetScripts
            | Disruption::ForeignTimeZone
            | Disruption::MoveShards
            | Disruption::Failover => {
                return Err(ServerError::new(format!("these servers do not support {disruption:?}")));
            }
        }
    }
    if disruption == Disruption::Restart { end(servers).await } else { Ok(()) }
}

/// All of `servers` run again.
pub(super) async fn end(servers: &[&Server]) -> Result<(), ServerError> {
    for server in servers {
        server.resume().await?;
        server.start().await?;
    }
    Ok(())
}

pub(super) fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
