//! [`RedisCluster`]: three primaries, with or without replicas.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::base::{Port, ServerError, blocking, wait_for};
use super::redis::{Redis, ask, lines};
use super::release::Release;
use super::resp::Reply;

/// The slots of the three primaries.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// How long the nodes may take to agree.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A Redis Cluster of three primaries. A replica takes over about four seconds after its primary stops answering.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    /// The ports of the cluster bus.
    _buses: Vec<Port>,
}

impl RedisCluster {
    /// Starts three primaries and as many replicas of each as asked for, and waits until the cluster is
    /// [`settled`](Self::settled). `settings` are directives of `redis.conf` for all nodes.
    ///
    /// Takes two seconds, for which a primary that has just started refuses to serve.
    ///
    /// # Errors
    /// If it cannot be found, installed or started.
    pub async fn launch(replicas: usize, settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        Self::launch_release(Release::Installed, replicas, settings).await
    }

    /// [`launch`](Self::launch), with a certain release.
    ///
    /// # Errors
    /// If it cannot be found, installed, downloaded or started.
    pub async fn launch_release(
        release: Release,
        replicas: usize,
        settings: &[(&str, &str)],
    ) -> Result<Self, ServerError> {
        let settings = lines(settings);
        let cluster = blocking(move || Self::spawn(&release.redis()?, SLOTS.len() * (1 + replicas), &settings)).await?;
        cluster.settled().await?;
        Ok(cluster)
    }

    fn spawn(program: &Path, size: usize, settings: &str) -> Result<Self, ServerError> {
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..size {
            let bus = Port::claim()?;
            let cluster = format!(
                "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout 2000\ncluster-port {}\n",
                bus.number()
            );
            nodes.push(Redis::spawn(program, Port::claim()?, &format!("{cluster}{settings}"))?);
            buses.push(bus);
        }
        for node in &nodes {
            node.ready()?;
        }
        for ((turn, node), (first, last)) in (1..).zip(&nodes).zip(SLOTS) {
            ask(node.address(), &["CLUSTER", "ADDSLOTSRANGE", first, last])?;
            // Distinct from the start, or the nodes have to resolve the conflict.
            ask(node.address(), &["CLUSTER", "SET-CONFIG-EPOCH", &i32::to_string(&turn)])?;
        }
        // Every node meets every other one: gossip takes seconds.
        for node in &nodes {
            for (other, bus) in nodes.iter().zip(&buses).filter(|(other, _)| other.port() != node.port()) {
                let (port, bus) = (other.port().to_string(), bus.number().to_string());
                ask(node.address(), &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
            }
        }
        let mut ids = Vec::new();
        for node in &nodes {
            wait_for("the nodes of a cluster", TIMEOUT, || {
                let known = value(node.address(), "cluster_known_nodes:")?;
                let state = value(node.address(), "cluster_state:")?;
                let ready = known == size.to_string() && state == "ok";
                if ready { Ok(()) } else { Err(ServerError::new(format!("{known} of {size} known, state {state}"))) }
            })?;
            ids.push(ask(node.address(), &["CLUSTER", "MYID"])?);
        }
        for (node, primary) in nodes.iter().skip(SLOTS.len()).zip(ids.iter().take(SLOTS.len()).cycle()) {
            ask(node.address(), &["CLUSTER", "REPLICATE", primary.text()])?;
        }
        Ok(Self { nodes, _buses: buses })
    }

    /// `redis+cluster://127.0.0.1:port,…`.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.address().to_string()).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// All nodes. The first three started as the primaries.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Waits until a node says that it is the primary of the slot of `key`, and that the cluster is healthy. After the
    /// primary was killed or paused, that is its replacement.
    ///
    /// # Errors
    /// If that takes longer than a minute.
    pub async fn primary_of(&self, key: &str) -> Result<&Redis, ServerError> {
        let (nodes, key) = (self.addresses(), key.to_owned());
        let index = blocking(move || {
            wait_for("a primary", TIMEOUT, || {
                let owner = nodes.iter().position(|&node| owns(node, &key).unwrap_or(false));
                owner.ok_or("no node owns the slot")
            })
        })
        .await?;
        Ok(&self.nodes[index])
    }

    /// A replica of this node, by its own word.
    ///
    /// # Errors
    /// If a node does not answer, or there is none.
    pub async fn replica_of(&self, primary: &Redis) -> Result<&Redis, ServerError> {
        for node in &self.nodes {
            let role = node.command(&["ROLE"]).await?;
            let is_replica = role.list().first().map(Reply::text) == Some("slave");
            if is_replica && role.list().get(2).and_then(Reply::number) == Some(i64::from(primary.port())) {
                return Ok(node);
            }
        }
        Err(ServerError::new("the primary has no replica".to_owned()))
    }

    /// Waits until all nodes say that the cluster is healthy and see no node as failed, and all replicas follow.
    ///
    /// # Errors
    /// If that takes longer than a minute.
    pub async fn settled(&self) -> Result<(), ServerError> {
        let nodes = self.addresses();
        blocking(move || {
            wait_for("the cluster", TIMEOUT, || {
                let healthy = nodes.iter().filter(|&&node| is_healthy(node, nodes.len()).unwrap_or(false)).count();
                if healthy == nodes.len() { Ok(()) } else { Err(format!("{healthy} of {} are healthy", nodes.len())) }
            })
        })
        .await
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address()).collect()
    }
}

/// A line of `CLUSTER INFO`.
fn value(node: SocketAddr, name: &str) -> Result<String, ServerError> {
    let info = ask(node, &["CLUSTER", "INFO"])?;
    Ok(info.text().lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned())
}

fn is_healthy(node: SocketAddr, size: usize) -> Result<bool, ServerError> {
    let nodes = ask(node, &["CLUSTER", "NODES"])?;
    let role = ask(node, &["ROLE"])?;
    let follows = match role.list().first().map(Reply::text) {
        Some("slave") => role.list().get(3).map(Reply::text) == Some("connected"),
        _ => true,
    };
    let replicas = nodes.text().matches("slave ").count();
    let seen = nodes.text().lines().count();
    Ok(follows
        && seen == size
        && replicas == size - SLOTS.len()
        && !nodes.text().contains(",fail")
        && value(node, "cluster_state:")? == "ok")
}

/// Whether the node is a primary, owns the slot of the key, and sees the cluster as healthy.
fn owns(node: SocketAddr, key: &str) -> Result<bool, ServerError> {
    let slot = ask(node, &["CLUSTER", "KEYSLOT", key])?.number();
    let port = Some(i64::from(node.port()));
    let ranges = ask(node, &["CLUSTER", "SLOTS"])?;
    // A range: first slot, last slot, then its nodes, the primary first, each as host, port, ….
    let owner = ranges.list().iter().find(|range| {
        let bound = |index: usize| range.list().get(index).and_then(Reply::number);
        bound(0) <= slot && slot <= bound(1)
    });
    let primary =
        owner.and_then(|range| range.list().get(2)).and_then(|node| node.list().get(1)).and_then(Reply::number);
    Ok(primary == port && value(node, "cluster_state:")? == "ok")
}
