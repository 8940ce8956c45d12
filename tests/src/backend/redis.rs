//! [`Redis`], and servers of it that are disrupted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Capabilities, Disruption, Failure, Harness, Service};
use session_core::Namespace;
use session_core::store::SessionStore;
use tokio::sync::OnceCell;

use super::servers::{self, Caching, SHORT_TIMEOUT, TIMEOUT, cached_name};
use crate::failure::failure;
use crate::proxy::{Mode, Proxy};
use crate::servers::{
    Pinned, Redis as Node, RedisCluster, RedisSentinel, Release, Reply, Server, ServerError, redis_cluster,
    redis_sentinel, redis_url,
};

/// Of caches.
const MAX_STALE: Duration = Duration::from_millis(100);

/// `session-redis`. Each handle has its own connections, like each node of a service.
#[derive(Clone, Copy, Debug)]
pub enum Redis {
    /// On one server.
    Single,
    /// Behind Sentinel.
    Sentinel,
    /// On a Cluster of three primaries.
    Cluster,
}

#[async_trait]
impl Harness for Redis {
    fn backend(&self) -> &'static str {
        match self {
            Self::Single => "redis",
            Self::Sentinel => "redis-sentinel",
            Self::Cluster => "redis-cluster",
        }
    }

    fn capabilities(&self) -> Capabilities {
        servers::capabilities(match self {
            Self::Single => &[
                Disruption::Restart,
                Disruption::Outage,
                Disruption::Freeze,
                Disruption::LostReply,
                Disruption::ForgetScripts,
            ],
            Self::Sentinel => &[Disruption::Failover],
            Self::Cluster => &[
                Disruption::Restart,
                Disruption::Outage,
                Disruption::Freeze,
                Disruption::ForgetScripts,
                Disruption::MoveShards,
                Disruption::Failover,
            ],
        })
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        servers::redis(&self.url().await.map_err(failure)?, namespace, TIMEOUT, Caching::None).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        self.launch_release(Release::Installed, disruption, Caching::None).await.map_err(failure)
    }
}

impl Redis {
    /// With a cache in front of each handle.
    #[must_use]
    pub fn cached(self) -> RedisOn {
        let (release, caching, servers) = (Release::Installed, Caching::None, OnceCell::new());
        RedisOn { name: self.backend(), topology: self, release, caching, servers }.cached()
    }

    /// Of the servers that all harnesses share.
    async fn url(self) -> Result<String, ServerError> {
        match self {
            Self::Single => redis_url().await,
            Self::Sentinel => redis_sentinel().await.map(RedisSentinel::url),
            Self::Cluster => redis_cluster().await.map(RedisCluster::url),
        }
    }

    async fn launch_release(
        self,
        release: Release,
        disruption: Disruption,
        caching: Caching,
    ) -> Result<Box<dyn Service>, ServerError> {
        Ok(match self {
            Self::Single => {
                let node = Node::launch_release(release, &[]).await?;
                let proxy = Proxy::start(node.address()).await.map_err(|error| ServerError::new(error.to_string()))?;
                Box::new(RedisService { disruption, node, proxy, caching })
            }
            Self::Sentinel => {
                Box::new(SentinelService { set: RedisSentinel::launch_release(release, &[]).await?, caching })
            }
            Self::Cluster => {
                let replicas = usize::from(disruption == Disruption::Failover);
                let cluster = RedisCluster::launch_release(release, replicas, &[]).await?;
                Box::new(ClusterService { disruption, cluster, caching })
            }
        })
    }
}

/// [`Redis`] on a release of the server, with a cache or without.
#[derive(Debug)]
pub struct RedisOn {
    name: &'static str,
    topology: Redis,
    release: Release,
    caching: Caching,
    /// Servers that only this harness uses.
    servers: OnceCell<Servers>,
}

#[derive(Debug)]
enum Servers {
    Single(Node),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
}

impl RedisOn {
    /// `topology` on this release.
    #[must_use]
    pub fn new(topology: Redis, release: &'static Pinned) -> Self {
        let name = topology.backend().replace("redis", release.server) + " " + release.version;
        let (release, caching) = (Release::Pinned(release), Caching::None);
        Self { name: name.leak(), topology, release, caching, servers: OnceCell::new() }
    }

    /// With a cache in front of each handle.
    #[must_use]
    pub fn cached(self) -> Self {
        Self { name: cached_name(self.name), caching: Caching::Followed(MAX_STALE), ..self }
    }

    async fn url(&self) -> Result<String, ServerError> {
        if let Release::Installed = self.release {
            return self.topology.url().await;
        }
        Ok(match self.servers.get_or_try_init(|| self.start()).await? {
            Servers::Single(node) => node.url(),
            Servers::Sentinel(set) => set.url(),
            Servers::Cluster(cluster) => cluster.url(),
        })
    }

    async fn start(&self) -> Result<Servers, ServerError> {
        Ok(match self.topology {
            Redis::Single => Servers::Single(Node::launch_release(self.release, &[]).await?),
            Redis::Sentinel => Servers::Sentinel(RedisSentinel::launch_release(self.release, &[]).await?),
            Redis::Cluster => Servers::Cluster(RedisCluster::launch_release(self.release, 0, &[]).await?),
        })
    }
}

#[async_trait]
impl Harness for RedisOn {
    fn backend(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.topology.capabilities()
    }

    fn staleness(&self) -> Duration {
        self.caching.staleness()
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        servers::redis(&self.url().await.map_err(failure)?, namespace, TIMEOUT, self.caching).await
    }

    async fn launch(&self, disruption: Disruption) -> Result<Box<dyn Service>, Failure> {
        self.topology.launch_release(self.release, disruption, self.caching).await.map_err(failure)
    }
}

/// One server, behind a proxy.
#[derive(Debug)]
struct RedisService {
    disruption: Disruption,
    node: Node,
    proxy: Proxy,
    caching: Caching,
}

#[async_trait]
impl Service for RedisService {
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        servers::redis(&format!("redis://{}", self.proxy.address()), namespace, SHORT_TIMEOUT, self.caching).await
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disruption {
            Disruption::LostReply => {
                self.proxy.cut_one_reply(0, Mode::Pass);
                Ok(())
            }
            Disruption::ForgetScripts => forget_scripts(&self.node).await,
            disruption @ (Disruption::Restart
            | Disruption::Outage
            | Disruption::Freeze
            | Disruption::ForeignTimeZone
            | Disruption::MoveShards
            | Disruption::Failover) => servers::begin(&[&self.node], disruption).await,
        }
        .map_err(failure)
    }

    async fn end(&self) -> Result<(), Failure> {
        self.proxy.set(Mode::Pass);
        servers::end(&[&self.node]).await.map_err(failure)
    }
}

/// A Sentinel set that fails over.
#[derive(Debug)]
struct SentinelService {
    set: RedisSentinel,
    caching: Caching,
}

impl SentinelService {
    async fn fail_over(&self) -> Result<(), ServerError> {
        let old = self.set.primary().await?;
        while !replicas_have_caught_up(old.command(&["INFO", "replication"]).await?.text()) {
            pause().await;
        }
        let sentinel = self.set.sentinels().first().ok_or_else(|| ServerError::new("no sentinel"))?;
        // Refused until the sentinel has queried the replicas.
        while sentinel.command(&["SENTINEL", "FAILOVER", self.set.service()]).await.is_err() {
            pause().await;
        }
        while self.set.primary().await?.port() == old.port() {
            pause().await;
        }
        self.set.settled().await
    }
}

#[async_trait]
impl Service for SentinelService {
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        servers::redis(&self.set.url(), namespace, SHORT_TIMEOUT, self.caching).await
    }

    async fn begin(&self) -> Result<(), Failure> {
        self.fail_over().await.map_err(failure)
    }

    async fn end(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A Cluster; with replicas if it is to fail over.
#[derive(Debug)]
struct ClusterService {
    disruption: Disruption,
    cluster: RedisCluster,
    caching: Caching,
}

impl ClusterService {
    /// The first three nodes are the primaries, the others their replicas.
    async fn fail_over(&self) -> Result<(), ServerError> {
        for replica in self.cluster.nodes().iter().skip(3) {
            // In order: the primary blocks its clients until the replica has caught up.
            replica.command(&["CLUSTER", "FAILOVER"]).await?;
            while replica.command(&["ROLE"]).await?.list().first().map(Reply::text) != Some("master") {
                pause().await;
            }
        }
        self.cluster.settled().await
    }

    /// Moves all slots with sessions from the first node to the second, key by key.
    async fn move_slots(&self) -> Result<(), ServerError> {
        let [from, to, ..] = self.cluster.nodes() else { return Err(ServerError::new("no nodes")) };
        let (from_id, to_id) = (from.command(&["CLUSTER", "MYID"]).await?, to.command(&["CLUSTER", "MYID"]).await?);
        let mut slots = BTreeSet::new();
        for key in from.command(&["KEYS", "*"]).await?.list() {
            slots.extend(from.command(&["CLUSTER", "KEYSLOT", key.text()]).await?.number());
        }
        let port = to.port().to_string();
        for slot in slots.iter().map(i64::to_string) {
            to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", from_id.text()]).await?;
            from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", to_id.text()]).await?;
            loop {
                let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await?;
                let Some(key) = keys.list().first() else { break };
                from.command(&["MIGRATE", "127.0.0.1", &port, key.text(), "0", "2000"]).await?;
            }
            // The new owner first, so that every slot always has one.
            for node in [to, from].into_iter().chain(self.cluster.nodes().iter().skip(2)) {
                node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", to_id.text()]).await?;
            }
        }
        if slots.is_empty() { Err(ServerError::new("the first node has no sessions to move")) } else { Ok(()) }
    }

    fn servers(&self) -> Vec<&Server> {
        self.cluster.nodes().iter().map(|node| node as &Server).collect()
    }
}

#[async_trait]
impl Service for ClusterService {
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        servers::redis(&self.cluster.url(), namespace, SHORT_TIMEOUT, self.caching).await
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disruption {
            Disruption::ForgetScripts => {
                for node in self.cluster.nodes() {
                    forget_scripts(node).await.map_err(failure)?;
                }
                Ok(())
            }
            Disruption::MoveShards => self.move_slots().await,
            Disruption::Failover => self.fail_over().await,
            disruption @ (Disruption::Restart
            | Disruption::Outage
            | Disruption::Freeze
            | Disruption::LostReply
            | Disruption::ForeignTimeZone) => servers::begin(&self.servers(), disruption).await,
        }
        .map_err(failure)
    }

    async fn end(&self) -> Result<(), Failure> {
        servers::end(&self.servers()).await.map_err(failure)?;
        self.cluster.settled().await.map_err(failure)
    }
}

async fn forget_scripts(node: &Node) -> Result<(), ServerError> {
    node.command(&["SCRIPT", "FLUSH", "SYNC"]).await.map(drop)
}

/// Whether the replicas have caught up with the primary.
fn replicas_have_caught_up(info: &str) -> bool {
    let value =
        |line: &str, name: &str| line.split(&[',', ':']).find_map(|part| part.strip_prefix(name).map(str::to_owned));
    let primary = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:")).map(str::to_owned);
    let mut replicas = info.lines().filter(|line| line.starts_with("slave") && line.contains("state="));
    primary.is_some() && replicas.all(|line| value(line, "offset=") == primary)
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
