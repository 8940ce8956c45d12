//! Seeded faults, which the suite itself is tested with: what can be wrong, and the stores and services that are.
#![allow(clippy::wildcard_enum_match_arm, reason = "a fault concerns one place, and is nothing to all others")]

mod broken_create;
mod broken_operations;
mod broken_service;
mod broken_store;
mod fault;

pub(crate) use broken_service::BrokenService;
pub(crate) use broken_store::{BrokenStore, Shared};
pub use fault::Fault;
