//! PostgreSQL session store for `session-core`, through [sqlx](https://docs.rs/sqlx). PostgreSQL 12 or later.
//!
//! ```no_run
//! use session_core::{Namespace, Policy, SessionManager};
//! use session_postgres::{PostgresStore, recommended_pool_options};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = recommended_pool_options().connect("postgres://app@localhost/app").await?;
//! let store = PostgresStore::new(pool, Namespace::new("shop")?);
//! store.migrate().await?;
//! let sessions = SessionManager::new(store, Policy::standard());
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//! Each operation is one statement, hence one transaction, and one round trip; clean-up may take several. Each is a
//! function in the schema of the application, which is named after its [`Namespace`](session_core::Namespace): no
//! operation reads, writes or locks what is another application's. A login and a revocation of all sessions take an advisory lock of their user until they
//! commit, so that the session limit is exact and a revocation misses no session; reads never wait, updates and touches
//! only for their own row.
//!
//! Loads that overlap share a statement, and so do updates: with fewer than two statements in flight, an operation runs
//! immediately; later ones queue and are sent as one batch when a statement completes. There is no batching delay, and
//! under load dozens of operations share a round trip and a commit. Each still has its own answer and its own error: a
//! locked row, or an update that the server rejects, affects its own call only; data of more than 64 KiB is loaded
//! alone.
//!
//! | | |
//! |---|---|
//! | Acknowledged logins, updates, logouts, revocations | as durable as any commit of your server: on disk, unless `synchronous_commit` or `fsync` is off |
//! | Touches, clean-up | committed asynchronously; a crash of the server may lose the last second of them |
//! | Failover to a standby | loses what the standby has not received, a logout included; with `synchronous_standby_names`, no acknowledged write but touches. If that standby is down, writes wait, and time out although the server has applied them |
//! | A standby behind the address | every operation is an error, a load too: its sessions are outdated. Its connections are replaced |
//! | Statements that hang | the server never has more of our connections than the pool has places; what nobody waits for is cancelled |
//! | Server down, hanging or cut off | every operation is an error within the timeout, never "no session"; service resumes without a restart of the application |
//! | Time | the application's; neither the clock nor the time zone of the server matters |
//!
//! # Operation
//! **Clean-up.** Expired rows stay until [`delete_expired`](session_core::SessionManager::delete_expired) is called.
//! [`sweep`](session_core::SessionManager::sweep) does that every few seconds, on as many nodes as you like:
//! `tokio::spawn(sessions.clone().sweep())`. If you call it yourself, use a limit of about 1000, and as long as it
//! returns the limit, call it again after a pause of 200 ms: a call slows concurrent loads down, so calls should be
//! few. Leave autovacuum on: a call also passes the index entries of all rows deleted since the last vacuum. A call
//! executes statements of about 40 ms, so that live sessions do not wait for it, for up to a third of the timeout; a
//! slow server gets further with the next one. It skips locked rows, so 0 may also mean that only sessions still in use
//! were due. What a call deleted before it failed stays deleted. A page of
//! [`list_all`](session_core::SessionManager::list_all) and a count walk over expired rows that are not deleted yet,
//! and an estimated count includes them.
//!
//! **Connections.** The store keeps up to half of the pool's connections from one operation to the next, less those
//! that the application has taken; one that was not used for one or two seconds is returned. An operation occupies a
//! kept connection for one round trip, and any other for three: the store asks which backend it is, and the pool pings
//! the server whenever it gets a connection back. Ten connections ([`recommended_pool_options`]) serve thousands of
//! requests per second. An application that shares the pool never waits for an idle connection. From a pool of one
//! connection, none is kept.
//!
//! **Statements that hang**, because of a lock, a standby or the network, occupy a place of the pool each. One place is
//! for cancelling, and a quarter of the others is for loads, so with a pool of ten, up to seven writes and two more
//! loads are under way. While no place is free, operations wait for one as long as the `acquire_timeout` of the pool,
//! and not at all if nothing that hangs can be cancelled; the error names the size of the pool. A statement whose call
//! has timed out or was dropped goes on in the background, is cancelled at the timeout, and its backend is ended if
//! that does not help; its place is free, and its connection is used again, when the server confirms it. A repetition
//! of a login, and its deletion, wait for that. A pool of one connection has no place to cancel from: its connection is
//! replaced, and ended from the new one, so for a moment there are two.
//!
//! When a connection turns out to be lost, the idle ones are closed too, also if the application shares the pool;
//! connections in use are left alone. Set `tcp_keepalives_idle` on the server, for connections that a network forgot.
//! TLS is a feature of sqlx: enable one in your own dependency on it.
//!
//! **Following changes.** With [`publish_changes`](PostgresStoreBuilder::publish_changes), triggers note what happens to sessions,
//! in the transaction in which it happens, and a [feed](PostgresStore::feed) asks for what was committed since it asked last,
//! for caches. So nothing is missed, whoever did it, and whatever became of them before they could tell. `NOTIFY` only says
//! that there is something; never in the transaction of an operation, which would then hold a lock of the whole server until it is
//! on disk. A feed that listens has a connection beside the pool. Behind PgBouncer in transaction mode nobody can listen:
//! changes are heard of with the next beat.
//!
//! **Runtimes.** The store may be used from any tokio runtime. The one that it is built in must run as long as the
//! store is used: connections are opened there, and what outlives a call goes on there. If it ends, calls that are
//! under way in others may fail; the next one succeeds, and the store goes on in its runtime.
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
//! on `migration` if it calls `migrate` too; for a feed, `SELECT` on `session_change` and `session_feed`. The functions are
//! granted to `PUBLIC`, and run with the privileges of their caller, except for those that note changes and delete the notes. To
//! cancel its own statements, a role needs nothing.
//!
//! **Several applications** in one database have a schema each. In it are the tables `session`, `session_change`, `session_feed` and `migration`,
//! and the functions, so choose a name under which the application has no schema with tables of these names. A role without
//! privileges on another's schema cannot use it, so applications that do not trust each other have a role each. A role
//! must not have the name of its namespace: by default, `search_path` begins with `"$user"`, so that names without a
//! schema would mean the new one, also in the application's own statements and migrations. `migrate` refuses to create
//! such a schema; one that exists already is used.
//!
//! **Renaming an application.** Rename the schema, and call `migrate` under the new name as the owner of the functions,
//! which contain it.
//!
//! **Isolation.** `default_transaction_isolation` must be `read committed`, the default; otherwise a login, and a
//! revocation of all sessions, fails. `migrate` works under any.

mod builder;
mod feed;
mod inspect;
mod link;
mod migrate;
mod notify;
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
pub use self::store::PostgresStore;
