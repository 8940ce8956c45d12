//! Setting up a [`PostgresStore`], and a pool that suits it.

use std::time::Duration;

use session_core::Namespace;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgPool};

use crate::link::{Executor, Pooler};
use crate::store::PostgresStore;

const OPERATION_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Sets up a [`PostgresStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PostgresStoreBuilder {
    pool: PgPool,
    namespace: Namespace,
    operation_timeout: Duration,
    pooler: Pooler,
    publishes: bool,
}

impl PostgresStore {
    /// The store of the application `namespace`, with the defaults of the [`builder`](Self::builder). Connects to nothing
    /// yet.
    #[must_use]
    pub fn new(pool: PgPool, namespace: Namespace) -> Self {
        Self::builder(pool, namespace).build()
    }

    /// A builder of the store of the application `namespace`, in the schema of that name, which takes its connections from
    /// `pool`. Stores of several applications should have a pool each: what hangs in one takes places from the others.
    pub fn builder(pool: PgPool, namespace: Namespace) -> PostgresStoreBuilder {
        let (operation_timeout, pooler) = (OPERATION_TIMEOUT, Pooler::Transparent);
        PostgresStoreBuilder { pool, namespace, operation_timeout, pooler, publishes: false }
    }
}

impl PostgresStoreBuilder {
    /// How long an operation may take, waiting for a connection included. By default 1.5 seconds: a little less than
    /// the policy's store timeout, so that the error says what happened. With zero, an operation
    /// fails unless the server answers at once.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// What is between this process and the server. By default [`Pooler::Transparent`].
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// Tells those who [follow the changes](PostgresStore::feed) what happens to sessions. Default: off.
    ///
    /// [`migrate`](PostgresStore::migrate), called by the owner of the tables, turns on triggers that note each change, whoever
    /// makes it, in the same transaction, in a table that is not logged. It costs the server some 10 µs for each. And this store
    /// notifies those who follow, after its commits, in the background and at most every five milliseconds (`NOTIFY` on the
    /// channel that has the name of the namespace). What stores do that do not publish is told with the next beat. Touches are
    /// not told.
    ///
    /// Notes are deleted along with expired sessions, when they are a minute or two old. Without `migrate`, turn the triggers on
    /// with `SELECT shop.note_changes(true)`; and off with `false`, when nobody follows changes any more.
    pub fn publish_changes(mut self) -> Self {
        self.publishes = true;
        self
    }

    /// The store. Connects to nothing yet.
    #[must_use]
    pub fn build(self) -> PostgresStore {
        let executor = Executor::new(self.pool, self.operation_timeout, self.pooler);
        PostgresStore::open(self.namespace, executor, self.publishes)
    }
}

/// A connection that was idle for longer is pinged before it is used: firewalls drop idle connections.
const PING_AFTER: Duration = Duration::from_secs(30);
/// How long a ping may take. Then the connection is replaced, within the same operation.
const PING_TIMEOUT: Duration = Duration::from_millis(300);
/// How long to wait for a connection: less than the timeout of the store, so that the error says what was missing.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// Options of a pool that suits the store: 10 connections, no round trip before a connection is used, and at most a
/// second of waiting for one.
///
/// By default, a pool of sqlx pings the server before each use of a connection, which doubles the latency of every
/// operation; with these options it does so only for a connection that has been idle for 30 seconds. The pool also
/// pings after each use, in the background; that cannot be switched off, and is why the store keeps a few connections
/// itself.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use session_core::Namespace;
/// use session_postgres::{PostgresStore, recommended_pool_options};
///
/// let pool = recommended_pool_options().max_connections(20).connect("postgres://app@localhost/app").await?;
/// let store = PostgresStore::new(pool, Namespace::new("shop")?);
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn recommended_pool_options() -> PgPoolOptions {
    PgPoolOptions::new().test_before_acquire(false).acquire_timeout(ACQUIRE_TIMEOUT).before_acquire(
        |connection, metadata| {
            Box::pin(async move {
                let fresh = metadata.idle_for < PING_AFTER;
                Ok(fresh || matches!(tokio::time::timeout(PING_TIMEOUT, connection.ping()).await, Ok(Ok(()))))
            })
        },
    )
}
