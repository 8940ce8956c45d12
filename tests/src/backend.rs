//! The one list of backends.

mod moka;
mod postgres;
mod redis;
mod servers;

use std::sync::Arc;

use session_conformance::Harness;

pub use moka::Moka;
pub use postgres::Postgres;
pub use redis::Redis;

/// Every backend of this repository: what the conformance runner and the tests across backends run on.
#[must_use]
pub fn backends() -> Vec<Arc<dyn Harness>> {
    vec![
        Arc::new(Moka::default()), // one line for each backend
        Arc::new(Redis::Single),
        Arc::new(Redis::Sentinel),
        Arc::new(Redis::Cluster),
        Arc::new(Postgres::default()),
    ]
}
