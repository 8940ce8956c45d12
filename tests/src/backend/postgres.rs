//! [`Postgres`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Capabilities, Disruption, Failure, Harness, Service};
use session_core::store::SessionStore;
use session_postgres::{PostgresStore, SchemaName, recommended_pool_options};
use sqlx::PgPool;
use tokio::sync::OnceCell;

use super::postgres_service::PostgresService;
use super::{PATIENCE, failure};
use crate::servers::postgres_url;

/// `session-postgres`. Two pools, as two nodes have; the handles take turns.
#[derive(Debug, Default)]
pub struct Postgres {
    pools: OnceCell<[PgPool; 2]>,
    turn: AtomicUsize,
}

#[async_trait]
impl Harness for Postgres {
    fn backend(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            shared: true,
            disruptions: &[
                Disruption::Restart,
                Disruption::Outage,
                Disruption::Freeze,
                Disruption::LostReply,
                Disruption::ForeignTimeZone,
            ],
        }
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let pools = self.pools.get_or_try_init(|| async {
            let url = postgres_url().await.map_err(failure)?;
            Ok::<_, Failure>([pool(&url, 20, PATIENCE)?, pool(&url, 20, PATIENCE)?])
        });
        let pool = &pools.await?[self.turn.fetch_add(1, Ordering::Relaxed) % 2];
        open(pool, namespace, PATIENCE).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(PostgresService::launch(disruption).await?))
    }
}

pub(super) fn pool(url: &str, connections: u32, timeout: Duration) -> Result<PgPool, Failure> {
    let options = recommended_pool_options().max_connections(connections).acquire_timeout(timeout);
    options.connect_lazy(url).map_err(failure)
}

pub(super) async fn open(pool: &PgPool, namespace: &str, timeout: Duration) -> Result<Arc<dyn SessionStore>, Failure> {
    let schema = SchemaName::new(namespace).map_err(failure)?;
    let store = PostgresStore::new(pool.clone()).with_schema(schema).with_timeout(timeout);
    store.migrate().await?;
    Ok(Arc::new(store))
}
