//! What the shared suite does not cover: PostgreSQL's own behaviour, and outages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod batches;
mod common;
mod concurrency;
mod connections;
mod faults;
mod feed;
mod hang;
mod migrations;
mod namespaces;
mod outage;
mod round_trips;
mod runtimes;
mod scene;
mod settings;
mod sweep;
mod table;
