//! One real Redis: what is stored in it, what goes over the wire, and what happens when it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod connect;
mod faults;
mod feed;
mod formats;
mod large;
mod loads;
mod namespaces;
mod pages;
mod replaced;
mod replies;
mod revoked;
mod runtimes;
mod settings;
mod stored;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls-rustls")]
mod tls;
mod visitors;
mod wire;
