//! The demo as a process, spoken to over TCP.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod account;
mod backend;
mod bound;
mod cache;
mod client;
mod data;
mod devices;
mod folder;
mod hybrid;
mod keys;
mod limits;
mod live;
mod metrics;
mod namespaces;
mod nodes;
mod pages;
mod process;
mod program;
mod server;
mod server_outage;
mod sqlite;
mod store;
mod support;
mod tls;
mod visitors;
