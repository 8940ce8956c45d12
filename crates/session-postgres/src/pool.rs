//! A pool that suits the store.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgPoolOptions;

/// Idle for longer than this, a connection is asked for a sign of life before it is used: firewalls forget about it.
const IDLE: Duration = Duration::from_secs(30);
/// How long to wait for a connection: less than the timeout of the store, so that the error says what was missing.
const ACQUIRE: Duration = Duration::from_secs(1);
/// How long the sign of life may take. Then the connection is replaced, within the same request.
const PING: Duration = Duration::from_millis(300);

/// Options of a pool that suits the store: 10 connections, no round trip before a connection is used, and no more than
/// a second of waiting for one.
///
/// By default a pool of sqlx asks the server for a sign of life before each use of a connection, which doubles the
/// latency of every operation; these options do so only for a connection that has been idle for 30 seconds. The pool
/// also asks after each use, in the background; that cannot be switched off, and is why the store keeps a few connections
/// for itself.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use session_postgres::{PostgresStore, recommended_pool_options};
///
/// let pool = recommended_pool_options().max_connections(20).connect("postgres://app@localhost/app").await?;
/// let store = PostgresStore::new(pool);
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn recommended_pool_options() -> PgPoolOptions {
    PgPoolOptions::new().test_before_acquire(false).acquire_timeout(ACQUIRE).before_acquire(|connection, used| {
        Box::pin(async move {
            let fresh = used.idle_for < IDLE;
            Ok(fresh || matches!(tokio::time::timeout(PING, connection.ping()).await, Ok(Ok(()))))
        })
    })
}
