//! Where sessions are: [`Place`].

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use session_core::Namespace;
use session_core::store::SessionStore;
use session_testbed::servers::{Redis, Release, VALKEY, namespace};

use crate::op::Failure;
use crate::servers::{Addresses, Servers};

/// How often it is asked whether the server has settled.
const LOOK: Duration = Duration::from_millis(200);

/// A kind of store that `session-admin` works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdminStore {
    /// `session-redis`, on one server.
    Redis,
    /// The same, on Valkey.
    Valkey,
    /// `session-postgres`.
    Postgres,
    /// `session-sqlite`, in a file.
    Sqlite,
}

impl AdminStore {
    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }

    /// Where its sessions are moved to.
    pub(crate) fn target(self) -> Self {
        match self {
            Self::Redis | Self::Valkey | Self::Sqlite => Self::Postgres,
            Self::Postgres => Self::Redis,
        }
    }

    /// Whether what has expired stays until it is deleted.
    pub(crate) fn keeps_expired(self) -> bool {
        matches!(self, Self::Postgres | Self::Sqlite)
    }
}

/// The store of one application.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: AdminStore,
    pub(crate) url: String,
    pub(crate) namespace: Namespace,
    addresses: Addresses,
    /// That of this place alone, which ends with it.
    _valkey: Option<Redis>,
}

impl Place {
    /// An empty one.
    pub(crate) async fn new(kind: AdminStore, servers: &Servers) -> Result<Self, Failure> {
        let addresses = servers.addresses();
        let valkey = match kind {
            AdminStore::Valkey => Some(Redis::launch_release(Release::Pinned(VALKEY), &[]).await?),
            AdminStore::Redis | AdminStore::Postgres | AdminStore::Sqlite => None,
        };
        let url = match (kind, &valkey) {
            (_, Some(valkey)) => valkey.url(),
            (AdminStore::Redis | AdminStore::Valkey, None) => addresses.redis_url(),
            (AdminStore::Postgres, None) => servers.postgres().url(),
            (AdminStore::Sqlite, None) => format!("sqlite:{}", addresses.new_file().display()),
        };
        Ok(Self { kind, url, namespace: namespace(), addresses, _valkey: valkey })
    }

    /// As an application opens it.
    pub(crate) async fn open(&self) -> Result<Arc<dyn SessionStore>, Failure> {
        Ok(session_kit::open(&self.url, self.namespace.clone()).await?)
    }

    /// Waits until the server has done what many writes leave to be done, which else would be done while requests are measured.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        match self.kind {
            AdminStore::Redis | AdminStore::Valkey => {
                let mut redis = redis::Client::open(self.url.as_str())?.get_multiplexed_async_connection().await?;
                loop {
                    let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut redis).await?;
                    if info.contains("aof_rewrite_in_progress:0") {
                        break;
                    }
                    tokio::time::sleep(LOOK).await;
                }
            }
            AdminStore::Postgres => {
                let pool = self.addresses.postgres_pool(1)?;
                // A namespace needs no escape.
                let vacuum = sqlx::AssertSqlSafe(format!("VACUUM (ANALYZE) \"{}\".session", self.namespace));
                sqlx::query(vacuum).execute(&pool).await?;
                sqlx::query("CHECKPOINT").execute(&pool).await?;
                pool.close().await;
            }
            AdminStore::Sqlite => {}
        }
        Ok(())
    }
}
