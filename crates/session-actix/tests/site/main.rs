//! The example `site` as a process, spoken to over TCP: by the tests of session-demo, whose API it serves. What is about pages
//! is left out there; what is about stores and keys alone is the demo's.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../session-demo/tests/site/account.rs"]
mod account;
#[path = "../../../session-demo/tests/site/backend.rs"]
mod backend;
#[path = "../../../session-demo/tests/site/bound.rs"]
mod bound;
#[path = "../../../session-demo/tests/site/cache.rs"]
mod cache;
#[path = "../../../session-demo/tests/site/client.rs"]
mod client;
mod connections;
#[path = "../../../session-demo/tests/site/data.rs"]
mod data;
#[path = "../../../session-demo/tests/site/devices.rs"]
mod devices;
#[path = "../../../session-demo/tests/site/folder.rs"]
mod folder;
#[path = "../../../session-demo/tests/site/hybrid.rs"]
mod hybrid;
#[path = "../../../session-demo/tests/site/limits.rs"]
mod limits;
#[path = "../../../session-demo/tests/site/live.rs"]
mod live;
#[path = "../../../session-demo/tests/site/metrics.rs"]
mod metrics;
#[path = "../../../session-demo/tests/site/nodes.rs"]
mod nodes;
#[path = "../../../session-demo/tests/site/process.rs"]
mod process;
mod program;
#[path = "../../../session-demo/tests/site/server.rs"]
mod server;
#[path = "../../../session-demo/tests/site/server_outage.rs"]
mod server_outage;
#[allow(dead_code, reason = "what is about pages")]
#[path = "../../../session-demo/tests/site/support.rs"]
mod support;
#[path = "../../../session-demo/tests/site/visitors.rs"]
mod visitors;
