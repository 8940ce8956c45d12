//! Databases, records and calls for the tests of this crate.

use std::time::Duration;

use session_core::Timestamp;
use session_core::store::Record;
use session_postgres::{Pooler, PostgresStore, recommended_pool_options};
use session_testbed::proxy::Proxy;
use session_testbed::records::{NOW, application, insert, next, record, shop, user};
use session_testbed::servers::{Postgres, namespace};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgPool, Row as _, raw_sql};
use tokio::sync::OnceCell;

/// A session last seen then is expired.
pub(crate) const LONG_AGO: Timestamp = Timestamp::from_millis(NOW.as_millis() - 3_600_000);

/// The server of this process, for tests that leave it running.
pub(crate) async fn server() -> &'static Postgres {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    SERVER.get_or_init(own_server).await
}

/// A server to stop. Deadlocks are detected soon.
pub(crate) async fn own_server() -> Postgres {
    Postgres::launch(&[Postgres::FSYNC_OFF, ("deadlock_timeout", "100ms")]).await.unwrap()
}

/// The database `postgres` of a server.
pub(crate) fn options(server: &Postgres) -> PgConnectOptions {
    server.url().parse().unwrap()
}

/// A new database on the shared server: with statistics, settings and locks of its own.
pub(crate) async fn database() -> PgConnectOptions {
    let (options, name) = (options(server().await), namespace());
    execute(&pool(1, &options), &format!("CREATE DATABASE {name}")).await;
    options.database(name.as_str())
}

/// A faulty network before a database of the shared server.
pub(crate) async fn through_proxy(options: PgConnectOptions) -> (Proxy, PgConnectOptions) {
    let proxy = Proxy::start(server().await.address()).await.unwrap();
    let options = options.port(proxy.address().port());
    (proxy, options)
}

pub(crate) fn pool(connections: u32, options: &PgConnectOptions) -> PgPool {
    recommended_pool_options().max_connections(connections).connect_lazy_with(options.clone())
}

/// A store with a long timeout, migrated.
pub(crate) async fn store(pool: &PgPool) -> PostgresStore {
    store_with_timeout(pool, Duration::from_secs(20)).await
}

/// A store with this timeout, migrated.
pub(crate) async fn store_with_timeout(pool: &PgPool, timeout: Duration) -> PostgresStore {
    let store = PostgresStore::builder(pool.clone(), shop()).operation_timeout(timeout).build();
    store.migrate().await.unwrap();
    store
}

/// A store behind this kind of pooler, with a long timeout, migrated.
pub(crate) async fn store_behind(pool: &PgPool, pooler: Pooler) -> PostgresStore {
    let builder = PostgresStore::builder(pool.clone(), shop()).operation_timeout(Duration::from_secs(20));
    let store = builder.pooler(pooler).build();
    store.migrate().await.unwrap();
    store
}

/// The store of this application.
pub(crate) fn store_of(name: &str, pool: PgPool, pooler: Pooler) -> PostgresStore {
    PostgresStore::builder(pool, application(name)).pooler(pooler).build()
}

/// `n` nodes of one application.
pub(crate) async fn nodes(options: &PgConnectOptions, n: usize) -> Vec<PostgresStore> {
    let mut nodes = Vec::new();
    for _ in 0..n {
        let pool = recommended_pool_options().max_connections(16).acquire_timeout(Duration::from_secs(20));
        nodes.push(store(&pool.connect_lazy_with(options.clone())).await);
    }
    nodes
}

/// One number from the database.
pub(crate) async fn number(pool: &PgPool, sql: &str) -> i64 {
    raw_sql(AssertSqlSafe(sql.to_owned())).fetch_one(pool).await.unwrap().try_get(0).unwrap()
}

pub(crate) async fn execute(pool: &PgPool, sql: &str) {
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

/// Waits until this number is true of the database.
pub(crate) async fn wait_until(pool: &PgPool, sql: &str, holds: impl Fn(i64) -> bool) {
    for _ in 0..3_000 {
        if holds(number(pool, sql).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("after 30 seconds, {sql} is {}", number(pool, sql).await);
}

/// How many statements wait for a lock.
pub(crate) const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// How many others are connected to the database.
pub(crate) const OTHERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Waits until all connections are back in the pool, after the ping that follows each operation.
pub(crate) async fn wait_until_idle(pool: &PgPool) {
    for _ in 0..3_000 {
        if u32::try_from(pool.num_idle()) == Ok(pool.size()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} of {} connections are idle", pool.num_idle(), pool.size());
}

/// `record` with one value set and the next version.
pub(crate) fn changed(record: &Record, value: impl Into<bytes::Bytes>) -> Record {
    let mut changed = next(record);
    changed.data.insert("value".into(), value.into());
    changed
}

/// `n` sessions of as many users.
pub(crate) async fn insert_many(store: &PostgresStore, n: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for turn in 0..n {
        let record = record(Some(&user(&format!("user {turn}"))), NOW);
        insert(store, &record).await;
        records.push(record);
    }
    records
}
