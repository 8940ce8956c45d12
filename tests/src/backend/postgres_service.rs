//! A PostgreSQL server that is disrupted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Disruption, Failure, Service};
use session_core::store::SessionStore;
use sqlx::{Connection as _, PgConnection};

use super::open::{self, SHORT_TIMEOUT, failure, pool};
use crate::proxy::{Mode, Proxy};
use crate::servers::Postgres;

/// One server, behind a proxy.
#[derive(Debug)]
pub(super) struct PostgresService {
    disruption: Disruption,
    postgres: Postgres,
    proxy: Proxy,
}

impl PostgresService {
    pub(super) async fn launch(disruption: Disruption) -> Result<Self, Failure> {
        let postgres = Postgres::launch(&[Postgres::FSYNC_OFF]).await.map_err(failure)?;
        let proxy = Proxy::start(postgres.address()).await.map_err(failure)?;
        Ok(Self { disruption, postgres, proxy })
    }

    /// Values that were written in one time zone are read in another. Connections take it over when they are opened.
    async fn change_time_zone(&self) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        for statement in [
            "ALTER DATABASE postgres SET timezone = 'Asia/Kathmandu'",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()",
        ] {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        connection.close().await
    }
}

#[async_trait]
impl Service for PostgresService {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        let url = format!("postgres://postgres@{}/postgres", self.proxy.address());
        // With a single connection, the one that loses a reply is the one that the case uses.
        let connections = if self.disruption == Disruption::LostReply { 1 } else { 8 };
        open::postgres(&pool(&url, connections, SHORT_TIMEOUT)?, namespace, SHORT_TIMEOUT).await
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disruption {
            Disruption::Restart => {
                self.postgres.kill9().await.map_err(failure)?;
                self.postgres.start().await.map_err(failure)
            }
            Disruption::Outage => self.postgres.stop().await.map_err(failure),
            Disruption::Freeze => self.postgres.pause().await.map_err(failure),
            Disruption::LostReply => {
                // The pool pings a connection after each use. That is not the reply to lose.
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.proxy.cut_one_reply(0, Mode::Pass);
                Ok(())
            }
            Disruption::ForeignTimeZone => self.change_time_zone().await.map_err(failure),
            other @ (Disruption::ForgetScripts | Disruption::MoveShards | Disruption::Failover) => {
                Err(Failure::new(format!("this server does not support {other:?}")))
            }
        }
    }

    async fn end(&self) -> Result<(), Failure> {
        self.proxy.set(Mode::Pass);
        self.postgres.resume().await.map_err(failure)?;
        self.postgres.start().await.map_err(failure)
    }
}
