//! The one list of backends.

mod moka;
mod postgres;
mod postgres_service;
mod redis;
mod redis_service;

use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Failure, Harness};

pub use moka::Moka;
pub use postgres::Postgres;
pub use redis::{Redis, RedisCluster, RedisSentinel};

/// Many cases share few cores; each has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// The limit of an operation on servers that are to be disturbed: short, because it is waited for.
const IMPATIENCE: Duration = Duration::from_secs(1);

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

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
