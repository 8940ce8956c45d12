//! The manager in bad weather: its callers go away, the store is slow, or its answers are lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod answers;
mod bed;
mod callers;
mod contention;
mod together;
