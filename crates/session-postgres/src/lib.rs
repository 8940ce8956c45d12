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
//! Each operation is one statement, hence one transaction. What must look at the table more than once (create, update, the two
//! bulk deletions) is a function in the schema. A login takes a lock of its user for the moment, so that the session limit
//! is exact and a revocation of all sessions misses none; reads, updates and touches wait for nothing but their own row.
//!
//! | | |
//! |---|---|
//! | Acknowledged logins, updates, logouts, revocations | as durable as any commit of your server: on disk, unless `synchronous_commit` is off |
//! | Touches, clean-up | not waited for; a crash of the server may lose the last second of them |
//! | Failover to a standby | loses what the standby has not received, a logout included; with `synchronous_standby_names`, nothing |
//! | Time | the application's; neither the clock nor the time zone of the server matters |
//!
//! # Running it
//! **Clean-up.** Expired rows stay until
//! [`delete_expired`](session_core::SessionManager::delete_expired) is called. Call it every few seconds, with a limit of about 1000, on
//! as many nodes as you like, and again at once while it returns the limit. A call looks at no more than its limit plus 1000 rows, so
//! 0 may also mean that only sessions were due which are still in use.
//!
//! **Connections.** Each operation occupies a connection of the pool for about two round trips; ten connections serve thousands of
//! requests per second. A call that times out or is cancelled costs its connection, and the server may still finish what it was doing; set
//! `statement_timeout` for the role to about the timeout of the store, and `client_connection_check_interval` where the
//! server has it. TLS is a feature of sqlx: enable one in your own dependency on it.
//!
//! **PgBouncer.** In session mode nothing is special. In transaction mode, from PgBouncer 1.21 on, set
//! `max_prepared_statements` above 0. With older versions use [`Pooler::Transaction`], and nothing less: neither
//! `statement_cache_capacity(0)` nor statements that are not persistent are safe there, because sqlx prepares and executes in two
//! steps between which PgBouncer changes the server, and the parameters reach the statement of somebody else. Migrations work
//! either way.
//!
//! **Rights.** Only [`migrate`](PostgresStore::migrate) creates anything. Afterwards a role needs
//! `USAGE` on the schema, `SELECT, INSERT, UPDATE, DELETE` on `session`, and `SELECT` on `migration` if it calls `migrate` too.
//!
//! **Isolation.** `default_transaction_isolation` must be `read committed`, as it is by default; a login is refused otherwise.

mod error;
mod migrate;
mod pool;
mod row;
mod store;

pub use migrate::{Migration, SchemaName, SchemaNameError, migrations};
pub use pool::recommended_pool_options;
pub use store::{Pooler, PostgresStore};

const NAME: &str = "postgres";
