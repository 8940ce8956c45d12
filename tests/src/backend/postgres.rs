//! [`Postgres`], and a server of it that is disrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Capabilities, Disruption, Failure, Harness, Service};
use session_core::Namespace;
use session_core::store::SessionStore;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;

use super::servers::{self, Caching, SHORT_TIMEOUT, TIMEOUT, cached_name, pool};
use crate::failure::failure;
use crate::proxy::{Mode, Proxy};
use crate::servers::{Pinned, Postgres as Server, Release, ServerError, postgres_url};

/// Of caches.
const MAX_STALE: Duration = Duration::from_millis(100);

/// `session-postgres`. Handles alternate between two pools, as of two nodes.
#[derive(Debug)]
pub struct Postgres {
    name: &'static str,
    release: Release,
    caching: Caching,
    /// The server of a pinned release, which only this harness uses.
    server: OnceCell<Server>,
    pools: OnceCell<[PgPool; 2]>,
    next: AtomicUsize,
}

impl Default for Postgres {
    /// On any server.
    fn default() -> Self {
        Self::named("postgres", Release::Installed)
    }
}

impl Postgres {
    /// On a server of this release.
    #[must_use]
    pub fn on(release: &'static Pinned) -> Self {
        Self::named(release.name().leak(), Release::Pinned(release))
    }

    /// With a cache in front of each handle.
    #[must_use]
    pub fn cached(self) -> Self {
        Self { name: cached_name(self.name), caching: Caching::Followed(MAX_STALE), ..self }
    }

    fn named(name: &'static str, release: Release) -> Self {
        Self {
            name,
            release,
            caching: Caching::None,
            server: OnceCell::new(),
            pools: OnceCell::new(),
            next: AtomicUsize::new(0),
        }
    }

    async fn url(&self) -> Result<String, ServerError> {
        match self.release {
            Release::Installed => postgres_url().await,
            release @ Release::Pinned(_) => {
                let launch = || Server::launch_release(release, &[Server::FSYNC_OFF]);
                Ok(self.server.get_or_try_init(launch).await?.url())
            }
        }
    }
}

#[async_trait]
impl Harness for Postgres {
    fn backend(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        servers::capabilities(&[
            Disruption::Restart,
            Disruption::Outage,
            Disruption::Freeze,
            Disruption::LostReply,
            Disruption::ForeignTimeZone,
        ])
    }

    fn staleness(&self) -> Duration {
        self.caching.staleness()
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let pools = self.pools.get_or_try_init(|| async {
            let url = self.url().await.map_err(failure)?;
            Ok::<_, Failure>([pool(&url, 20, TIMEOUT)?, pool(&url, 20, TIMEOUT)?])
        });
        let pool = &pools.await?[self.next.fetch_add(1, Ordering::Relaxed) % 2];
        servers::postgres(pool, namespace, TIMEOUT, self.caching).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        let server = Server::launch_release(self.release, &[Server::FSYNC_OFF]).await.map_err(failure)?;
        let proxy = Proxy::start(server.address()).await.map_err(failure)?;
        Ok(Box::new(PostgresService { disruption, server, proxy, caching: self.caching }))
    }
}

/// One server, behind a proxy.
#[derive(Debug)]
struct PostgresService {
    disruption: Disruption,
    server: Server,
    proxy: Proxy,
    caching: Caching,
}

impl PostgresService {
    /// Values that were written in one time zone are read in another. Connections take it over when they are opened.
    async fn change_time_zone(&self) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.server.url()).await?;
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
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        let url = format!("postgres://postgres@{}/postgres", self.proxy.address());
        // With one connection, and one to cancel from, the one that loses a reply is the one that the case uses.
        let connections = if self.disruption == Disruption::LostReply { 2 } else { 8 };
        servers::postgres(&pool(&url, connections, SHORT_TIMEOUT)?, namespace, SHORT_TIMEOUT, self.caching).await
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disruption {
            Disruption::LostReply => {
                // The pool pings a connection after each use. That is not the reply to lose.
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.proxy.cut_one_reply(0, Mode::Pass);
                Ok(())
            }
            Disruption::ForeignTimeZone => self.change_time_zone().await.map_err(failure),
            disruption @ (Disruption::Restart
            | Disruption::Outage
            | Disruption::Freeze
            | Disruption::ForgetScripts
            | Disruption::MoveShards
            | Disruption::Failover) => servers::begin(&[&self.server], disruption).await.map_err(failure),
        }
    }

    async fn end(&self) -> Result<(), Failure> {
        self.proxy.set(Mode::Pass);
        servers::end(&[&self.server]).await.map_err(failure)
    }
}
