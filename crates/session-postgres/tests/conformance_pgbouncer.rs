//! The shared suite through PgBouncer in transaction mode, with fewer connections to the server than clients, on a
//! database whose sessions are neither in UTC nor write dates as ISO 8601.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Capabilities, Failure, Harness};
use session_core::Namespace;
use session_core::store::SessionStore;
use session_postgres::{Pooler, PostgresStore, recommended_pool_options};
use session_testbed::servers::{PgBouncer, Postgres};
use sqlx::{PgPool, Row as _, raw_sql};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Pooled {
    /// Two nodes have a pool each; the handles take turns.
    pools: [PgPool; 2],
    turn: AtomicUsize,
    _servers: (PgBouncer, Postgres),
}

impl Pooled {
    async fn start() -> Self {
        let server = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
        let settings = [
            ("ignore_startup_parameters", "extra_float_digits"),
            ("default_pool_size", "8"),
            ("max_client_conn", "500"),
        ];
        let bouncer = PgBouncer::launch(&server, &settings).await.unwrap();
        let pool = || {
            // The driver asks for UTC when it connects; PgBouncer knows of both settings, and takes them from server to
            // server.
            let pool = recommended_pool_options().after_connect(|connection, _| {
                Box::pin(async move {
                    raw_sql("SET timezone = 'Asia/Tokyo'").execute(&mut *connection).await?;
                    raw_sql("SET datestyle = 'German'").execute(connection).await.map(drop)
                })
            });
            pool.max_connections(20).acquire_timeout(PATIENCE).connect_lazy(&bouncer.url()).unwrap()
        };
        let pools = [pool(), pool()];
        for _ in 0..20 {
            // Not a prepared statement: it would be prepared and executed on different servers.
            let row = raw_sql("SELECT current_setting('timezone')").fetch_one(&pools[0]).await.unwrap();
            let zone: String = row.get(0);
            assert_eq!(zone, "Asia/Tokyo");
        }
        Self { pools, turn: AtomicUsize::new(0), _servers: (bouncer, server) }
    }
}

#[async_trait]
impl Harness for Pooled {
    fn backend(&self) -> &'static str {
        "postgres-pgbouncer"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, shared: true, disruptions: &[] }
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let pool = &self.pools[self.turn.fetch_add(1, Ordering::Relaxed) % 2];
        let store = PostgresStore::builder(pool.clone(), namespace.clone()).operation_timeout(PATIENCE);
        let store = store.pooler(Pooler::Transaction).build();
        store.migrate().await?;
        Ok(Arc::new(store))
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pooled = runtime.block_on(Pooled::start());
    session_conformance::main(pooled)
}
