//! The demo in a real browser: Chromium, with nginx and TLS in between. What it showed is in `target/browser`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod applications;
mod bed;
mod bound;
mod cookies;
mod embedded;
mod look;
mod looks;
mod other_sites;
mod plain_http;
mod proxy;
mod signing_in;
mod spa;
