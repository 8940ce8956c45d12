//! The one list of backends, the servers they run on, and what tests across crates need.

mod backend;
mod client;
pub mod proxy;
mod recording;
mod secrets;
pub mod servers;
pub mod table;

pub use backend::{Moka, Postgres, Redis, RedisCluster, RedisSentinel, backends};
pub use client::Client;
pub use recording::RecordingStore;
pub use secrets::Secrets;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub mod readme {}
