//! [`Servers`]: those of a store, how a node reaches them, and what happens to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session_cache::{CacheStats, CachedStore};
use session_conformance::{Failure, Intercepted};
use session_core::store::{Feed, SessionStore};
use session_moka::MokaStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use session_sqlite::SqliteStore;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::file::File;
use super::link::{Disturbance, DisturbedFeed, Link};
use super::target::Target;
use crate::failure::failure;
use crate::proxy::Proxy;
use crate::records::shop;
use crate::servers::{Postgres, Redis, RedisCluster, RedisSentinel, Release, Server, ServerError, VALKEY};

/// How many nodes there are.
pub(super) const NODES: usize = 3;

/// The places in the pool of a node.
const POOL: u32 = 8;

/// Each write of a Redis server is flushed to the disk.
const DURABLE: &[(&str, &str)] = &[("appendfsync", "always")];

/// Shorter than most faults last.
const MAX_STALE: Duration = Duration::from_secs(1);
const MAX_AGE: Duration = Duration::from_secs(5);

/// The servers of a store.
pub(super) struct Servers {
    kind: Kind,
    is_cached: bool,
    /// Whose turn it is in a Cluster.
    turn: AtomicUsize,
}

enum Kind {
    Moka(MokaStore),
    File(File),
    Redis(Redis),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
    Postgres(Postgres),
}

/// What a node works with.
pub(super) struct Opened {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) link: Link,
    pub(super) cache: Option<Box<dyn Fn() -> CacheStats + Send + Sync>>,
}

impl Servers {
    pub(super) async fn start(target: Target) -> Result<Self, Failure> {
        let kind = match target {
            Target::Moka => Kind::Moka(MokaStore::new()),
            Target::Sqlite => Kind::File(File::new().map_err(failure)?),
            Target::Redis | Target::CachedRedis => Kind::Redis(Redis::launch(DURABLE).await.map_err(failure)?),
            Target::Valkey | Target::CachedValkey => {
                Kind::Redis(Redis::launch_release(Release::Pinned(VALKEY), DURABLE).await.map_err(failure)?)
            }
            Target::CachedSentinel => Kind::Sentinel(patient().await.map_err(failure)?),
            Target::CachedCluster => Kind::Cluster(RedisCluster::launch(0, DURABLE).await.map_err(failure)?),
            Target::Postgres | Target::CachedPostgres => Kind::Postgres(Postgres::launch(&[]).await.map_err(failure)?),
        };
        Ok(Self { kind, is_cached: target.is_cached(), turn: AtomicUsize::new(0) })
    }

    /// For how long clients may be given what is outdated.
    pub(super) fn staleness(&self) -> Duration {
        if self.is_cached { MAX_STALE } else { Duration::ZERO }
    }

    /// A node opens its store.
    pub(super) async fn open(&self) -> Result<Opened, Failure> {
        match &self.kind {
            Kind::Moka(store) => Ok(plain(disturbed(store.clone()))),
            Kind::File(file) => Ok(plain(disturbed(SqliteStore::open(file.path(), shop()).await?))),
            Kind::Redis(server) => {
                let proxy = Proxy::start(server.address()).await.map_err(failure)?;
                let url = format!("redis://{}", proxy.address());
                if !self.is_cached {
                    let store = RedisStore::connect(&url, shop()).await.map_err(failure)?;
                    return Ok(plain((store, Link::Network(proxy))));
                }
                let store = RedisStore::builder(&url, shop()).publish_changes().connect().await.map_err(failure)?;
                let feed = Box::new(store.feed().map_err(failure)?);
                Ok(cached(store, feed, Link::Network(proxy)))
            }
            // The nodes find their servers by themselves, past any proxy: calls are disturbed, and what the feed tells.
            Kind::Sentinel(set) => behind_calls(&set.url()).await,
            Kind::Cluster(cluster) => behind_calls(&cluster.url()).await,
            Kind::Postgres(server) => {
                let proxy = Proxy::start(server.address()).await.map_err(failure)?;
                let url = format!("postgres://postgres@{}/postgres", proxy.address());
                let pool = recommended_pool_options().max_connections(POOL).connect_lazy(&url).map_err(failure)?;
                let builder = PostgresStore::builder(pool, shop());
                let store = if self.is_cached { builder.publish_changes() } else { builder }.build();
                store.migrate().await?;
                if !self.is_cached {
                    return Ok(plain((store, Link::Network(proxy))));
                }
                let feed = Box::new(store.feed().map_err(failure)?);
                Ok(cached(store, feed, Link::Network(proxy)))
            }
        }
    }

    /// The one that something happens to next. `None` if there is none.
    pub(super) async fn next(&self) -> Result<Option<&Server>, Failure> {
        Ok(match &self.kind {
            Kind::Moka(_) | Kind::File(_) => None,
            Kind::Redis(server) => Some(server),
            Kind::Sentinel(set) => Some(set.primary().await.map_err(failure)?),
            Kind::Cluster(cluster) => {
                let nodes = cluster.nodes();
                nodes.get(self.turn.fetch_add(1, Ordering::Relaxed) % nodes.len()).map(|node| node as &Server)
            }
            Kind::Postgres(server) => Some(server),
        })
    }

    pub(super) fn file(&self) -> Option<&File> {
        if let Kind::File(file) = &self.kind { Some(file) } else { None }
    }

    /// All of them run, and answer.
    pub(super) async fn heal(&self) -> Result<(), Failure> {
        let nodes: &[Redis] = match &self.kind {
            Kind::Moka(_) | Kind::File(_) => &[],
            Kind::Redis(server) => std::slice::from_ref(server),
            Kind::Sentinel(set) => set.nodes(),
            Kind::Cluster(cluster) => cluster.nodes(),
            Kind::Postgres(server) => return resume(server).await.map_err(failure),
        };
        for node in nodes {
            resume(node).await.map_err(failure)?;
        }
        match &self.kind {
            Kind::Sentinel(set) => set.settled().await.map_err(failure),
            Kind::Cluster(cluster) => cluster.settled().await.map_err(failure),
            Kind::Moka(_) | Kind::File(_) | Kind::Redis(_) | Kind::Postgres(_) => Ok(()),
        }
    }

    /// How many connections of nodes the servers have; `None` if one does not answer.
    pub(super) async fn connections(&self) -> Option<usize> {
        match &self.kind {
            Kind::Moka(_) => Some(0),
            Kind::File(file) => Some(file.connections()),
            Kind::Redis(server) => clients(std::slice::from_ref(server)).await,
            Kind::Sentinel(set) => clients(set.nodes()).await,
            Kind::Cluster(cluster) => clients(cluster.nodes()).await,
            Kind::Postgres(server) => {
                let count = async {
                    // Under a name of its own: one that was given up, because the server was frozen, is none of a node's.
                    let options = server.url().parse::<PgConnectOptions>()?.application_name("observer");
                    let mut connection = PgConnection::connect_with(&options).await?;
                    let query = "SELECT count(*) FROM pg_stat_activity \
                                 WHERE backend_type = 'client backend' AND application_name <> 'observer'";
                    let count: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
                    connection.close().await?;
                    Ok::<_, sqlx::Error>(count)
                };
                let count = timeout(Duration::from_secs(2), count).await.ok()?.ok()?;
                usize::try_from(count).ok()
            }
        }
    }

    /// How many they need at most, after so many replies of which only a part arrived.
    pub(super) fn places(&self, torn: usize) -> usize {
        let feeds = usize::from(self.is_cached);
        NODES
            * match &self.kind {
                Kind::Moka(_) => 0,
                Kind::File(_) => return NODES * File::CONNECTIONS + File::KEPT,
                Kind::Redis(_) | Kind::Sentinel(_) => 1 + feeds,
                Kind::Cluster(cluster) => cluster.nodes().len() * (1 + feeds),
                // One that listened is given up only when its last statement was answered, or the server notices.
                Kind::Postgres(_) => return NODES * (POOL as usize + feeds) + feeds * torn,
            }
    }
}

async fn behind_calls(url: &str) -> Result<Opened, Failure> {
    let store = RedisStore::builder(url, shop()).publish_changes().connect().await.map_err(failure)?;
    let feed = store.feed().map_err(failure)?;
    let (store, link) = disturbed(store);
    let feed = DisturbedFeed::new(Box::new(feed), Arc::clone(&store));
    Ok(cached(store, Box::new(feed), link))
}

/// Sentinels whose primary always comes back before it is replaced: a replica that takes over has not all that was acknowledged.
async fn patient() -> Result<RedisSentinel, ServerError> {
    let set = RedisSentinel::launch(DURABLE).await?;
    for sentinel in set.sentinels() {
        sentinel.command(&["SENTINEL", "SET", set.service(), "down-after-milliseconds", "60000"]).await?;
    }
    Ok(set)
}

async fn resume(server: &Server) -> Result<(), ServerError> {
    server.resume().await?;
    server.start().await
}

/// How many connections of nodes they have.
async fn clients(nodes: &[Redis]) -> Option<usize> {
    let mut count = 0;
    for node in nodes {
        let clients = node.command(&["CLIENT", "LIST"]).await.ok()?;
        let is_ours = |line: &str| {
            let is_other = line.contains(" cmd=client") || line.contains(" name=sentinel");
            // Of replication.
            !is_other && !line.contains(" flags=S") && !line.contains(" flags=M")
        };
        count += clients.text().lines().filter(|line| is_ours(line)).count();
    }
    Some(count)
}

/// A store, and what disturbs the calls to it.
fn disturbed(store: impl SessionStore) -> (Arc<Intercepted<Disturbance>>, Link) {
    let store = Arc::new(Intercepted::new(store, Disturbance::default()));
    (Arc::clone(&store), Link::Calls(store))
}

fn plain((store, link): (impl SessionStore, Link)) -> Opened {
    Opened { store: Arc::new(store), link, cache: None }
}

fn cached(store: impl SessionStore, feed: Box<dyn Feed>, link: Link) -> Opened {
    let store = CachedStore::builder(store, MAX_STALE).max_age(MAX_AGE).feed(feed).build();
    Opened { store: Arc::new(store.clone()), link, cache: Some(Box::new(move || store.stats())) }
}
