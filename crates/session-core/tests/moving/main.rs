//! Sessions on their way from one store to another.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod explored;
mod flawed;
mod store;
