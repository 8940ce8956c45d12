//! The one list of backends, that of adapters, the servers they run on, a browser, and what tests across crates need.

mod adapter;
mod backend;
pub mod browser;
pub mod calls;
pub mod chaos;
mod client;
pub mod coherence;
pub mod crowd;
pub mod device;
pub mod dpop;
mod failure;
pub mod feeds;
mod log;
pub mod proxy;
mod recording;
pub mod records;
mod secrets;
pub mod servers;
pub mod table;
pub mod verdict;

pub use adapter::{Actix, Tower, adapters};
pub use backend::{Moka, Postgres, Redis, RedisOn, Sqlite, backends, backends_by_release, cached_backends};
pub use client::Client;
pub use log::Log;
pub use recording::{Recorder, RecordingStore};
pub use secrets::Secrets;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub mod readme {}

/// The tools of SECURITY.md, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../SECURITY.md")]
pub mod security {}
