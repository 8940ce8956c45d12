//! PostgreSQL session store for `session-core`, through [sqlx](https://docs.rs/sqlx). PostgreSQL 12 or later.
//!
//! ```no_run
//! use session_core::{Policy, SessionManager};
//! use session_postgres::{PostgresStore, recommended_pool_options};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = recommended_pool_options().connect("postgres://app@localhost/app").await?;
//! let store = PostgresStore::new(pool);
//! store.migrate().await?;
//! let sessions = SessionManager::new(store, Policy::standard());
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//! Each operation is one statement, hence one transaction, and one round trip. An operation that reads the table more
//! than once (create, update, delete_by_user, delete_expired) is a function in the schema. A login and a revocation of
//! all sessions take an advisory lock of their user until they commit, so that the session limit is exact and a
//! revocation misses no session; reads never wait, updates and touches only for their own row.
//!
//! Loads that overlap share a statement, and so do updates: with fewer than two statements in flight, an operation runs
//! immediately; later ones queue and are sent as one batch when a statement completes. There is no batching delay, and
//! under load dozens of operations share a round trip and a commit. Each still has its own answer and its own error: a
//! locked row, or an update that the server rejects, affects its own call only.
//!
//! | | |
//! |---|---|
//! | Acknowledged logins, updates, logouts, revocations | as durable as any commit of your server: on disk, unless `synchronous_commit` or `fsync` is off |
//! | Touches, clean-up | committed asynchronously; a crash of the server may lose the last second of them |
//! | Failover to a standby | loses what the standby has not received, a logout included; with `synchronous_standby_names`, no acknowledged write but touches. If that standby is down, writes wait, and time out although the server has applied them |
//! | Server down, hanging or cut off | every operation is an error within the timeout, never "no session"; service resumes without a restart of the application |
//! | Time | the application's; neither the clock nor the time zone of the server matters |
//!
//! # Operation
//! **Clean-up.** Expired rows stay until [`delete_expired`](session_core::SessionManager::delete_expired) is called.
//! [`sweep`](session_core::SessionManager::sweep) does that every few seconds, on as many nodes as you like:
//! `tokio::spawn(sessions.clone().sweep())`. If you call it yourself, use a limit of about 1000, and as long as it
//! returns the limit, call it again after a pause of 200 ms: a call slows concurrent loads down, so calls should be
//! few. Leave autovacuum on: a call also passes the index entries of all rows deleted since the last vacuum. A call
//! visits at most its limit plus 1000 rows, and skips locked ones, so 0 may also mean that only sessions still in use
//! were due. A call that fails has deleted nothing, unless its reply was lost.
//!
//! **Connections.** The store keeps up to half of the pool's connections from one operation to the next, less those
//! that the application has taken; one that was not used for one or two seconds is returned. An operation occupies a
//! kept connection for one round trip, and any other for two, because the pool pings the server whenever it gets a
//! connection back. Ten connections ([`recommended_pool_options`]) serve thousands of requests per second. An
//! application that shares the pool never waits for an idle connection. From a pool of one connection, none is kept.
//!
//! A call that times out or is cancelled costs its connection, which is closed, and the server may still complete the
//! statement; set `statement_timeout` for the role to about the timeout of the store, and
//! `client_connection_check_interval` where the server has it (14 and later). A call that is cancelled while it is
//! queued or in a batch costs nothing. When a connection turns out to be lost, the idle ones are closed too, also if
//! the application shares the pool; connections in use are left alone. TLS is a feature of sqlx: enable one in your own
//! dependency on it.
//!
//! **PgBouncer.** It rejects a startup parameter that sqlx sends: set its `ignore_startup_parameters =
//! extra_float_digits`, or `PgConnectOptions::extra_float_digits(None)`. In session mode nothing else is special. In
//! transaction mode, use [`Pooler::Transaction`], which works with every version; it is tested with 1.18. From 1.21 on,
//! PgBouncer keeps track of prepared statements if `max_prepared_statements` is above 0, and [`Pooler::Transparent`]
//! will do. Without that, neither `statement_cache_capacity(0)` nor statements that are not persistent are safe with
//! it: sqlx prepares and executes in two steps, between which PgBouncer may switch servers, and the parameters would
//! reach another client's statement. Migrations work either way. A pool for [`Pooler::Transaction`] must not be shared
//! with code that prepares statements.
//!
//! **Privileges.** Only [`migrate`](PostgresStore::migrate) creates anything: the schema, unless it exists, and what it
//! contains. Afterwards a role needs `USAGE` on the schema, `SELECT, INSERT, UPDATE, DELETE` on `session`, and `SELECT`
//! on `migration` if it calls `migrate` too.
//!
//! **Isolation.** `default_transaction_isolation` must be `read committed`, the default; otherwise a login, and a
//! revocation of all sessions, fails.

mod builder;
mod error;
mod link;
mod migrate;
mod operation;
mod row;
mod schema;
mod statements;
mod store;

/// The driver: [`PgPool`](sqlx::PgPool) and its options come from this version of it.
pub use sqlx;

pub use self::builder::{PostgresStoreBuilder, recommended_pool_options};
pub use self::link::Pooler;
pub use self::migrate::{Migration, migrations};
pub use self::schema::{SchemaName, SchemaNameError};
pub use self::store::PostgresStore;
