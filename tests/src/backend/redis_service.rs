//! Redis servers that are disrupted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Disruption, Failure, Service};
use session_core::store::SessionStore;

use super::open::{self, SHORT_TIMEOUT, failure};
use crate::proxy::{Mode, Proxy};
use crate::servers::{Redis, RedisCluster, RedisSentinel, Reply, ServerError};

fn unsupported(disruption: Disruption) -> Failure {
    Failure::new(format!("these servers do not support {disruption:?}"))
}

/// One server, behind a proxy.
#[derive(Debug)]
pub(super) struct RedisService {
    disruption: Disruption,
    redis: Redis,
    proxy: Proxy,
}

impl RedisService {
    pub(super) async fn launch(disruption: Disruption) -> Result<Self, Failure> {
        let redis = Redis::launch(&[]).await.map_err(failure)?;
        let proxy = Proxy::start(redis.address()).await.map_err(failure)?;
        Ok(Self { disruption, redis, proxy })
    }
}

#[async_trait]
impl Service for RedisService {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open::redis(&format!("redis://{}", self.proxy.address()), namespace, SHORT_TIMEOUT).await
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disruption {
            Disruption::Restart => {
                self.redis.kill9().await.map_err(failure)?;
                self.redis.start().await
            }
            Disruption::Outage => self.redis.stop().await,
            Disruption::Freeze => self.redis.pause().await,
            Disruption::LostReply => {
                self.proxy.cut_one_reply(0, Mode::Pass);
                Ok(())
            }
            Disruption::ForgetScripts => self.redis.command(&["SCRIPT", "FLUSH", "SYNC"]).await.map(drop),
            other @ (Disruption::ForeignTimeZone | Disruption::MoveShards | Disruption::Failover) => {
                return Err(unsupported(other));
            }
        }
        .map_err(failure)
    }

    async fn end(&self) -> Result<(), Failure> {
        self.proxy.set(Mode::Pass);
        self.redis.resume().await.map_err(failure)?;
        self.redis.start().await.map_err(failure)
    }
}

/// A Sentinel set that fails over.
#[derive(Debug)]
pub(super) struct SentinelService {
    set: RedisSentinel,
}

impl SentinelService {
    pub(super) async fn launch() -> Result<Self, Failure> {
        Ok(Self { set: RedisSentinel::launch(&[]).await.map_err(failure)? })
    }

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

#[async_trait]
impl Service for SentinelService {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open::redis(&self.set.url(), namespace, SHORT_TIMEOUT).await
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
pub(super) struct ClusterService {
    disruption: Disruption,
    cluster: RedisCluster,
}

impl ClusterService {
    pub(super) async fn launch(disruption: Disruption) -> Result<Self, Failure> {
        let replicas = usize::from(disruption == Disruption::Failover);
        Ok(Self { disruption, cluster: RedisCluster::launch(replicas, &[]).await.map_err(failure)? })
    }

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

    async fn start(&self) -> Result<(), ServerError> {
        self.each(async |node| node.start().await).await?;
        self.cluster.settled().await
    }

    async fn each(&self, work: impl AsyncFn(&Redis) -> Result<(), ServerError>) -> Result<(), ServerError> {
        for node in self.cluster.nodes() {
            work(node).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Service for ClusterService {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn SessionStore>, Failure> {
        open::redis(&self.cluster.url(), namespace, SHORT_TIMEOUT).await
    }

    async fn begin(&self) -> Result<(), Failure> {
        match self.disruption {
            Disruption::Restart => match self.each(async |node| node.kill9().await).await {
                Ok(()) => self.start().await,
                Err(error) => Err(error),
            },
            Disruption::Outage => self.each(async |node| node.stop().await).await,
            Disruption::Freeze => self.each(async |node| node.pause().await).await,
            Disruption::ForgetScripts => {
                self.each(async |node| node.command(&["SCRIPT", "FLUSH", "SYNC"]).await.map(drop)).await
            }
            Disruption::MoveShards => self.move_slots().await,
            Disruption::Failover => self.fail_over().await,
            other @ (Disruption::LostReply | Disruption::ForeignTimeZone) => return Err(unsupported(other)),
        }
        .map_err(failure)
    }

    async fn end(&self) -> Result<(), Failure> {
        self.each(async |node| node.resume().await).await.map_err(failure)?;
        self.start().await.map_err(failure)
    }
}
