//! The layer and the extractors, seen from outside: requests in, bytes out, store calls counted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod audit;
mod caching;
mod common;
mod csrf;
mod fails_closed;
mod failures;
mod guards;
mod headers;
mod jwt;
mod login;
mod nested;
mod optional;
mod plain_http;
mod render;
mod services;
