//! The one list of backends.

mod moka;
mod open;
mod postgres;
mod postgres_service;
mod redis;
mod redis_service;

use std::sync::Arc;

use session_conformance::Harness;

pub use moka::Moka;
pub use postgres::Postgres;
pub use redis::{Redis, RedisCluster, RedisSentinel};

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
