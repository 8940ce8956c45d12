//! The rules, as plain data.

pub(crate) mod builder;
pub(crate) mod caching;
pub(crate) mod cookie;
pub(crate) mod limit;
pub(crate) mod rules;
pub(crate) mod visitors;
