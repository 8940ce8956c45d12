//! The adapter as applications use it, over a store that fails on demand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod caching;
mod common;
mod fails_closed;
mod failures;
mod guards;
mod headers;
mod jwt;
mod login;
mod nested;
mod order;
mod render;
mod server;
mod workers;
