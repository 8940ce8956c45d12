//! [`Bed`]: the servers of a store.

use std::net::SocketAddr;

use clap::ValueEnum;
use session_conformance::Failure;

use crate::failure::failure;
use crate::servers::{Postgres, Redis, RedisCluster, RedisSentinel, Release, Server, VALKEY};

/// A store that several processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// One Redis server.
    Redis,
    /// One Valkey server.
    Valkey,
    /// A primary with two replicas, and three sentinels.
    RedisSentinel,
    /// Three primaries, each with a replica, and a node without slots.
    RedisCluster,
    /// One PostgreSQL server.
    Postgres,
}

impl Store {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Redis, Self::Valkey, Self::RedisSentinel, Self::RedisCluster, Self::Postgres];

    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::RedisSentinel => "redis-sentinel",
            Self::RedisCluster => "redis-cluster",
            Self::Postgres => "postgres",
        }
    }
}

/// Servers of this run alone.
#[derive(Debug)]
pub(super) enum Bed {
    Redis(Redis),
    Sentinel(RedisSentinel),
    Cluster {
        cluster: RedisCluster,
        /// A node that has not met the others.
        spare: Redis,
    },
    Postgres(Postgres),
}

/// Settings of a node that is to join a Cluster.
const SPARE: [(&str, &str); 3] =
    [("cluster-enabled", "yes"), ("cluster-config-file", "nodes.conf"), ("cluster-node-timeout", "2000")];

/// No commit waits for a replica, unless its transaction asks for that.
const LOCAL: (&str, &str) = ("synchronous_commit", "local");

impl Bed {
    pub(super) async fn start(store: Store) -> Result<Self, Failure> {
        let started = match store {
            Store::Redis => Redis::launch(&[]).await.map(Self::Redis),
            Store::Valkey => Redis::launch_release(Release::Pinned(VALKEY), &[]).await.map(Self::Redis),
            Store::RedisSentinel => RedisSentinel::launch(&[]).await.map(Self::Sentinel),
            Store::RedisCluster => {
                let cluster = RedisCluster::launch(1, &[]).await.map_err(failure)?;
                return Ok(Self::Cluster { cluster, spare: Redis::launch(&SPARE).await.map_err(failure)? });
            }
            Store::Postgres => Postgres::launch(&[Postgres::FSYNC_OFF, LOCAL]).await.map(Self::Postgres),
        };
        started.map_err(failure)
    }

    /// The URL of the store, as `--store` takes it.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Sentinel(set) => set.url(),
            Self::Cluster { cluster, .. } => cluster.url(),
            Self::Postgres(server) => server.url(),
        }
    }

    /// Those that have sessions, or may be given some.
    fn servers(&self) -> Vec<&Server> {
        match self {
            Self::Redis(server) => vec![server],
            Self::Sentinel(set) => set.nodes().iter().map(|node| node as &Server).collect(),
            Self::Cluster { cluster, spare } => {
                cluster.nodes().iter().chain([spare]).map(|node| node as &Server).collect()
            }
            Self::Postgres(server) => vec![server],
        }
    }

    /// Where clients connect to: those that have sessions, and those that know where they are.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self.servers().iter().map(|server| server.address()).collect();
        if let Self::Sentinel(set) = self {
            addresses.extend(set.sentinels().iter().map(|sentinel| sentinel.address()));
        }
        addresses
    }
}
