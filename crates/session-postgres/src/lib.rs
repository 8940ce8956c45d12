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
//! let manager = SessionManager::new(store, Policy::standard());
//! # Ok(())
//! # }
//! ```
//!
//! # What it guarantees
//! Each operation is one statement, hence one transaction, and one round trip. What must look at the table more than
//! once (create, update, the two bulk deletions) is a function in the schema. A login takes a lock of its user for the
//! moment, so that the session limit is exact and a revocation of all sessions misses none; reads wait for nothing,
//! updates and touches for nothing but their own row.
//!
//! Loads that meet share a statement, and so do updates. The first ones are executed at once; those that come while they
//! are under way are executed together as soon as there is a connection for them. Nobody waits for company, and under
//! load hundreds of operations share a round trip and a commit. Each still has its own answer and its own error: a
//! row that somebody holds, or an update that the server refuses, is the trouble of its caller alone.
//!
//! | | |
//! |---|---|
//! | Acknowledged logins, updates, logouts, revocations | as durable as any commit of your server: on disk, unless `synchronous_commit` or `fsync` is off |
//! | Touches, clean-up | not waited for; a crash of the server may lose the last second of them |
//! | Failover to a standby | loses what the standby has not received, a logout included; with `synchronous_standby_names`, nothing that was acknowledged but touches. If that standby is down, writes wait, and end as a timeout although the server has applied them |
//! | Server down, hanging or cut off | every operation is an error within the timeout, never "no session"; afterwards it works again without being restarted |
//! | Time | the application's; neither the clock nor the time zone of the server matters |
//!
//! # Running it
//! **Clean-up.** Expired rows stay until [`delete_expired`](session_core::SessionManager::delete_expired) is called.
//! [`sweep`](session_core::SessionManager::sweep) does that every few seconds, on as many nodes as you like:
//! `tokio::spawn(manager.clone().sweep())`. If you call it yourself, take a limit of about 1000, and while it returns the
//! limit call it again after a pause of 200 ms: loads that meet a call take longer, and should be few. Leave
//! autovacuum on: a call also passes the index entries of all that was deleted since the last vacuum. A call looks at
//! no more than its limit plus 1000 rows, and passes over those that somebody is writing to, so 0 may also mean that
//! only sessions were due which are still in use. A call that fails has deleted nothing, unless its reply was lost.
//!
//! **Connections.** The store keeps up to half of the pool's connections from one operation to the next, less what
//! others have taken from the pool; one that was not used for one or two seconds goes back. An operation occupies a kept
//! connection for one round trip, and any other for two, because the pool asks for a sign of life whenever it gets one
//! back. Ten connections ([`recommended_pool_options`]) serve thousands of requests per second. An application that shares
//! the pool is never kept waiting for a connection that is not in use. A pool of one connection is used as it is.
//!
//! A call that times out or is cancelled costs its connection, which is closed, and the server may still finish what it
//! was doing; set `statement_timeout` for the role to about the timeout of the store, and
//! `client_connection_check_interval` where the server has it (14 and later). Calls in a batch that are cancelled cost
//! nothing. When a connection turns out to be lost, those that lie idle are closed, too, also if the application shares
//! the pool; one that is in use is left alone. TLS is a feature of sqlx: enable one in your own dependency on it.
//!
//! **PgBouncer.** It refuses a parameter that sqlx sends: set its `ignore_startup_parameters = extra_float_digits`, or
//! `PgConnectOptions::extra_float_digits(None)`. In session mode nothing else is special. In transaction mode, use
//! [`Pooler::Transaction`], which works with every version; it is tested with 1.18. From 1.21 on, PgBouncer keeps track
//! of prepared statements if `max_prepared_statements` is above 0, and [`Pooler::Transparent`] will do. Without that,
//! neither `statement_cache_capacity(0)` nor statements that are not persistent are safe with it, because sqlx prepares
//! and executes in two steps between which PgBouncer changes the server, and the parameters reach the statement of
//! somebody else. Migrations work either way. A pool for [`Pooler::Transaction`] must not be shared with code that
//! prepares statements.
//!
//! **Rights.** Only [`migrate`](PostgresStore::migrate) creates anything: the schema, unless it is there already, and
//! what lies in it. Afterwards a role needs `USAGE` on the schema, `SELECT, INSERT, UPDATE, DELETE` on `session`, and
//! `SELECT` on `migration` if it calls `migrate` too.
//!
//! **Isolation.** `default_transaction_isolation` must be `read committed`, as it is by default; a login, and a
//! revocation of all sessions, is refused otherwise.

mod batch;
mod connections;
mod engine;
mod error;
mod migrate;
mod operation;
mod pool;
mod row;
mod store;

pub use migrate::{Migration, SchemaName, SchemaNameError, migrations};
pub use pool::recommended_pool_options;
pub use store::{Pooler, PostgresStore};

const NAME: &str = "postgres";
