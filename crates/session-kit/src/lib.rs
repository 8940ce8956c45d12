//! Sessions for Rust web services, as one dependency.
//!
//! This crate has no code of its own but [`open`] and [`OpenOptions`]: it brings the rules of [`session_core`] together with a store and an
//! adapter for a web framework, which features choose. The rules are the same for all of them.
//!
//! ```toml
//! [dependencies]
//! axum = "0.8"
//! serde = { version = "1", features = ["derive"] }
//! session-kit = { version = "0.1", features = ["axum", "sqlite"] }
//! tokio = { version = "1", features = ["full"] }
//! ```
//!
//! A shop: a cart that is filled before the login and kept by it, a list of the devices, and the end of all of them.
//!
//! ```no_run
#![doc = include_str!("../examples/shop.rs")]
//! ```
//!
//! There is nothing to save at the end of a handler: the layer commits before the response is sent, and if that fails, so does
//! the response. `cargo run --example shop --all-features` runs it.
//!
//! What comes next in an application is in the [`recipes`]: a login with argon2, the current user, a change of the password, "remember
//! me", sockets, tests, deployment, and more, each as a file to copy.
//!
//! # Features
//! | feature | brings | for |
//! |---|---|---|
//! | `moka` (default) | [`store::moka`](https://docs.rs/session-moka) | sessions in this process, which end with it: `memory:` |
//! | `sqlite` | [`store::sqlite`](https://docs.rs/session-sqlite) | sessions in a file, on one machine: `sqlite:sessions.db` |
//! | `redis` | [`store::redis`](https://docs.rs/session-redis) | Redis or Valkey, alone, behind Sentinel or as a Cluster: `redis://…`, `redis+sentinel://…` |
//! | `postgres` | [`store::postgres`](https://docs.rs/session-postgres) | PostgreSQL: `postgres://…` |
//! | `cache` | [`store::cache`](https://docs.rs/session-cache) | reads without a round trip, in front of a store that nodes share: see [`OpenOptions::publish_changes`] |
//! | `tls` | [`rustls`](https://docs.rs/rustls), with the provider `ring` | `rediss://…`, and `postgres://…?sslmode=verify-full` |
//! | `axum` | [`axum`](https://docs.rs/session-tower), which is `session-tower` | axum 0.8, and any other tower service |
//! | `actix` | [`actix`](https://docs.rs/session-actix), which is `session-actix` | actix-web 4 |
//! | `jwt` | [`jwt`](https://docs.rs/session-jwt), and bearer tokens in the adapters | clients that keep no cookies; sessions without a store |
//! | `experimental-dbsc` | `DeviceBinding`, and what it needs in the adapters | [sessions in cookies that are bound to a device](manual::possession#sessions-in-cookies), as a draft has them; it changes with the draft |
//! | `encryption` | `store::EncryptedStore` | values that the store cannot read |
//! | `metrics` | `SessionManagerBuilder::metrics`, `CacheStats::publish` | [counters and timings](manual::observing), through the facade [`metrics`](https://docs.rs/metrics) |
//! | `test-util` | [`testing`](https://docs.rs/session-core/latest/session_core/testing/) | a logged-in user in one line; for `[dev-dependencies]` |
//!
//! An adapter brings no framework of its own version: your `axum` and ours are one as long as both are 0.8. Of sqlx, the pool that
//! `PostgresStore::new` takes has the version of `store::postgres::sqlx`.
//!
//! # Names
//! All of session-core is here, under its own names: [`SessionManager`], [`Policy`], [`Key`], [`Login`], the [`manual`]. In a
//! handler, the `Session` is that of the adapter (`axum::Session`, `actix::Session`), which also gets the session from
//! the request. Import names, not `session_kit::*`: the modules `axum` and `actix` would stand in the way of those crates.
//!
//! A library that only works with sessions depends on `session-core`, one for a backend on `session-conformance` too. An
//! application can depend on the parts instead of this crate: the types are the same.

#[doc(inline)]
pub use session_core::*;

mod open;
pub mod recipes;

pub use open::{OpenError, OpenOptions, OpenedStore, open};

/// The contract of stores, and the stores that features brought. [`open`] chooses one by its URL.
pub mod store {
    #[cfg(feature = "cache")]
    pub use session_cache as cache;
    #[doc(inline)]
    pub use session_core::store::*;
    #[cfg(feature = "moka")]
    pub use session_moka as moka;
    #[cfg(feature = "postgres")]
    pub use session_postgres as postgres;
    #[cfg(feature = "redis")]
    pub use session_redis as redis;
    #[cfg(feature = "sqlite")]
    pub use session_sqlite as sqlite;
}

#[cfg(feature = "tls")]
pub use rustls;
#[cfg(feature = "actix")]
pub use session_actix as actix;
#[cfg(feature = "jwt")]
pub use session_jwt as jwt;
#[cfg(feature = "axum")]
pub use session_tower as axum;

/// The README of this crate, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub mod readme {}
