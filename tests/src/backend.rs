//! The one list of backends.

mod moka;
mod postgres;
mod redis;
mod servers;
mod sqlite;

use std::sync::Arc;

use session_conformance::Harness;

use crate::servers::{POSTGRES_RELEASES, REDIS_RELEASES, VALKEY};

pub use moka::Moka;
pub use postgres::Postgres;
pub use redis::{Redis, RedisOn};
pub use sqlite::Sqlite;

/// Every backend of this repository: what the conformance runner and the tests across backends run on.
#[must_use]
pub fn backends() -> Vec<Arc<dyn Harness>> {
    vec![
        Arc::new(Moka::default()), // one line for each backend
        Arc::new(Redis::Single),
        Arc::new(Redis::Sentinel),
        Arc::new(Redis::Cluster),
        Arc::new(RedisOn::new(Redis::Single, VALKEY)),
        Arc::new(Postgres::default()),
        Arc::new(Sqlite::default()),
    ]
}

/// The backends that several processes share over a network, each with a cache in front that follows their feed.
#[must_use]
pub fn cached_backends() -> Vec<Arc<dyn Harness>> {
    vec![
        Arc::new(Redis::Single.cached()),
        Arc::new(Redis::Sentinel.cached()),
        Arc::new(Redis::Cluster.cached()),
        Arc::new(RedisOn::new(Redis::Single, VALKEY).cached()),
        Arc::new(Postgres::default().cached()),
    ]
}

/// The backends that have servers, once for each release that README.md names.
#[must_use]
pub fn backends_by_release() -> Vec<Arc<dyn Harness>> {
    let mut backends: Vec<Arc<dyn Harness>> = Vec::new();
    for release in REDIS_RELEASES {
        for topology in [Redis::Single, Redis::Sentinel, Redis::Cluster] {
            backends.push(Arc::new(RedisOn::new(topology, release)));
        }
    }
    for release in POSTGRES_RELEASES {
        backends.push(Arc::new(Postgres::on(release)));
    }
    backends
}
