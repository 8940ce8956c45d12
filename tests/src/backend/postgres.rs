//! [`Postgres`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use session_conformance::{Capabilities, Disruption, Failure, Harness, Service};
use session_core::store::SessionStore;
use sqlx::PgPool;
use tokio::sync::OnceCell;

use super::open::{self, TIMEOUT, failure, pool};
use super::postgres_service::PostgresService;
use crate::servers::postgres_url;

/// `session-postgres`. Handles alternate between two pools, as of two nodes.
#[derive(Debug, Default)]
pub struct Postgres {
    pools: OnceCell<[PgPool; 2]>,
    next: AtomicUsize,
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
            Ok::<_, Failure>([pool(&url, 20, TIMEOUT)?, pool(&url, 20, TIMEOUT)?])
        });
        let pool = &pools.await?[self.next.fetch_add(1, Ordering::Relaxed) % 2];
        open::postgres(pool, namespace, TIMEOUT).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        Ok(Box::new(PostgresService::launch(disruption).await?))
    }
}
