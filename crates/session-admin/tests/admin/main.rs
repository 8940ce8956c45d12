//! The command, as a process, on every kind of store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bed;
mod caches;
mod copying;
mod every_store;
mod refusals;
