//! The one list of backends, and what tests across crates need.

mod backend;
mod client;
mod recording;
mod secrets;

pub use backend::{Moka, backends};
pub use client::Client;
pub use recording::RecordingStore;
pub use secrets::Secrets;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub mod readme {}
