//! Redis with replicas: behind Sentinel, and in a Cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod cluster;
mod deposed;
mod failover;
mod feed;
mod feed_cluster;
mod replicas;
mod resp2;
#[cfg(feature = "tls-rustls")]
mod secured;
#[path = "../support/mod.rs"]
mod support;
