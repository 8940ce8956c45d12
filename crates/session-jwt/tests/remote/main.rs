//! Keys that are fetched: how often, when, and what happens if they are not to be had.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bed;
#[path = "../common/mod.rs"]
mod common;
mod outage;
mod refresh;
