//! [`BrokenStore`]: a store with one broken rule.

mod base;
mod contract;
mod create;
mod list;
mod remove;
mod update;

pub(crate) use base::{BrokenStore, Shared};
