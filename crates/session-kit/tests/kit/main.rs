//! The facade: a store by its URL, and the application of the documentation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod caching;
mod open;
mod shop;
