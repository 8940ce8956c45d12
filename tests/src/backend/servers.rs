//! What the backends with servers share: how their stores are opened, and what happens to the processes of their servers.

use std::sync::Arc;
use std::time::Duration;

use session_cache::CachedStore;
use session_conformance::{Capabilities, Disruption, Failure};
use session_core::Namespace;
use session_core::store::SessionStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use sqlx::PgPool;

use crate::failure::failure;
use crate::servers::{Server, ServerError};

/// The limit of a store operation: long, because many cases share few cores.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// The limit while servers are disrupted: short, because cases wait for it.
pub(super) const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn capabilities(disruptions: &'static [Disruption]) -> Capabilities {
    Capabilities { durable: true, shared: true, disruptions }
}

/// Whether there is a cache in front of each handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caching {
    None,
    /// One that follows the feed of its store, with this `max_stale`: long enough for copies to be used, short enough for cases to
    /// wait for.
    Followed(Duration),
}

impl Caching {
    pub(super) fn staleness(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Followed(max_stale) => max_stale,
        }
    }
}

/// What the backend called `name` is called with a cache in front.
pub(super) fn cached_name(name: &str) -> &'static str {
    format!("cached-{name}").leak()
}

pub(super) async fn redis(
    url: &str,
    namespace: &Namespace,
    timeout: Duration,
    caching: Caching,
) -> Result<Arc<dyn SessionStore>, Failure> {
    let builder = RedisStore::builder(url, namespace.clone()).operation_timeout(timeout);
    match caching {
        Caching::None => Ok(Arc::new(builder.connect().await.map_err(failure)?)),
        Caching::Followed(max_stale) => {
            let store = builder.publish_changes().connect().await.map_err(failure)?;
            Ok(Arc::new(CachedStore::builder(store, max_stale).follow().map_err(failure)?.build()))
        }
    }
}

pub(super) fn pool(url: &str, connections: u32, timeout: Duration) -> Result<PgPool, Failure> {
    let options = recommended_pool_options().max_connections(connections).acquire_timeout(timeout);
    options.connect_lazy(url).map_err(failure)
}

pub(super) async fn postgres(
    pool: &PgPool,
    namespace: &Namespace,
    timeout: Duration,
    caching: Caching,
) -> Result<Arc<dyn SessionStore>, Failure> {
    let builder = PostgresStore::builder(pool.clone(), namespace.clone()).operation_timeout(timeout);
    match caching {
        Caching::None => {
            let store = builder.build();
            store.migrate().await?;
            Ok(Arc::new(store))
        }
        Caching::Followed(max_stale) => {
            let store = builder.publish_changes().build();
            store.migrate().await?;
            Ok(Arc::new(CachedStore::builder(store, max_stale).follow().map_err(failure)?.build()))
        }
    }
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
