//! The facade: a store by its URL, and the applications of the documentation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod browser;
mod caching;
mod open;
mod recipes;
mod shop;

/// The recipes themselves. What they have in `main` is not used here.
#[path = "../../examples/recipes/main.rs"]
#[allow(dead_code, reason = "its main")]
mod example;
