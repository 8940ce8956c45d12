//! The shared suite on one server, reached directly or through PgBouncer.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use session_conformance::{Capabilities, Failure, Harness};
use session_core::SessionStore;
use session_postgres::{Pooler, PostgresStore, SchemaName};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::OnceCell;

use super::{Bouncer, Server, execute, pool};

#[derive(Debug)]
struct Postgres {
    options: PgConnectOptions,
    pooler: Pooler,
    /// Two nodes have a pool each; which one a store gets alternates.
    pools: OnceCell<[sqlx::PgPool; 2]>,
    turn: std::sync::atomic::AtomicUsize,
}

#[async_trait]
impl Harness for Postgres {
    fn backend(&self) -> &'static str {
        match self.pooler {
            Pooler::Transparent => "postgres",
            Pooler::Transaction => "postgres-pgbouncer",
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, shared: true, disturbances: &[] }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let connect = || async { [pool(20, self.options.clone()), pool(20, self.options.clone())] };
        let pools = self.pools.get_or_init(connect).await;
        let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let schema = SchemaName::new(namespace).map_err(|error| Failure::new(error.to_string()))?;
        let store = PostgresStore::new(pools[turn % 2].clone())
            .with_schema(schema)
            .with_pooler(self.pooler)
            // Many cases at once on few cores: the suite has a limit of its own for a case.
            .with_timeout(std::time::Duration::from_secs(20));
        store.migrate().await?;
        Ok(Arc::new(store))
    }
}

/// Runs the suite on a database whose sessions are not in UTC.
pub fn main(pooler: Pooler) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, bouncer) = runtime.block_on(async {
        let server = Server::start().await;
        execute(&server.pool(1), "ALTER DATABASE postgres SET timezone = 'Asia/Tokyo'").await;
        let bouncer = Bouncer::start(&server).await;
        (server, bouncer)
    });
    let options = match pooler {
        Pooler::Transparent => server.options(),
        Pooler::Transaction => bouncer.options(),
    };
    session_conformance::main(Postgres { options, pooler, pools: OnceCell::new(), turn: 0.into() })
}
