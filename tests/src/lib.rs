//! The one list of backends, and what the tests that run on all of them need.

pub mod proxy;
pub mod servers;
