//! What an operator sees: metrics, spans, log lines, and the manual's chapter of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod bed;
mod cache;
mod chapter;
mod counted;
mod logged;
mod spans;
