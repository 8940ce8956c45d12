//! The laws, of the cache as it is, with clocks that a test moves.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bed;
mod bounds;
mod feeds;
mod fills;
mod many;
mod writes;
