//! [`RedisSentinel`]: a primary, two replicas, and three sentinels that watch them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::base::{Port, ServerError, blocking, random, wait_for};
use super::redis::{Redis, ask, lines};
use super::release::Release;
use super::resp::Reply;

/// The name under which the sentinels know the primary.
const SERVICE: &str = "main";

/// How long the set may take to agree.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A Sentinel set: one primary, two replicas, and three sentinels with a quorum of two.
///
/// A primary that does not answer for one second is replaced; the failover takes two or three seconds in all.
#[derive(Debug)]
pub struct RedisSentinel {
    nodes: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl RedisSentinel {
    /// Starts the set and waits until it is [`settled`](Self::settled). `settings` are directives of `redis.conf` for
    /// the primary and its replicas.
    ///
    /// # Errors
    /// If it cannot be found, installed or started.
    pub async fn launch(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        Self::launch_release(Release::Installed, settings).await
    }

    /// [`launch`](Self::launch), with a certain release.
    ///
    /// # Errors
    /// If it cannot be found, installed, downloaded or started.
    pub async fn launch_release(release: Release, settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let settings = lines(settings);
        let set = blocking(move || Self::spawn(&release.redis()?, &settings)).await?;
        set.settled().await?;
        Ok(set)
    }

    fn spawn(program: &Path, settings: &str) -> Result<Self, ServerError> {
        let primary = Redis::spawn(program, Port::claim()?, settings)?;
        primary.ready()?;
        let replica = format!("replicaof 127.0.0.1 {}\n{settings}", primary.port());
        let mut nodes = vec![primary];
        for _ in 0..2 {
            nodes.push(Redis::spawn(program, Port::claim()?, &replica)?);
        }
        // The sentinels are told about each other and the replicas: discovery takes seconds.
        let mut ports = Vec::new();
        for _ in 0..3 {
            ports.push((Port::claim()?, format!("{:016x}{:016x}{:08x}", random(), random(), random() as u32)));
        }
        let mut known = format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 5000\n\
             sentinel parallel-syncs {SERVICE} 2\n",
            nodes[0].port()
        );
        for replica in &nodes[1..] {
            replica.ready()?;
            let _ = writeln!(known, "sentinel known-replica {SERVICE} 127.0.0.1 {}", replica.port());
        }
        let others: Vec<String> = ports
            .iter()
            .map(|(port, id)| format!("sentinel known-sentinel {SERVICE} 127.0.0.1 {} {id}\n", port.number()))
            .collect();
        let mut sentinels = Vec::new();
        for (turn, (port, id)) in ports.into_iter().enumerate() {
            let others = [&others[..turn], &others[turn + 1..]].concat().concat();
            sentinels.push(Redis::spawn_sentinel(program, port, &format!("sentinel myid {id}\n{known}{others}"))?);
        }
        for sentinel in &sentinels {
            sentinel.ready()?;
            // The defaults are made for large networks: a node that comes back would wait for ten seconds.
            ask(
                sentinel.address(),
                &["SENTINEL", "DEBUG", "PUBLISH-PERIOD", "500", "INFO-PERIOD", "1000", "PING-PERIOD", "200"],
            )?;
        }
        Ok(Self { nodes, sentinels })
    }

    /// `redis+sentinel://127.0.0.1:port,…/service`.
    #[must_use]
    pub fn url(&self) -> String {
        let sentinels: Vec<String> = self.sentinels.iter().map(|node| node.address().to_string()).collect();
        format!("redis+sentinel://{}/{SERVICE}", sentinels.join(","))
    }

    /// The name under which the sentinels know the primary.
    #[must_use]
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// The primary and its replicas. The first one started as the primary.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// Waits until all sentinels that answer, at least two, name the same node as the primary, and that node agrees.
    /// After the primary was killed or paused, that is its replacement.
    ///
    /// # Errors
    /// If that takes longer than a minute.
    pub async fn primary(&self) -> Result<&Redis, ServerError> {
        let (nodes, sentinels) = (addresses(&self.nodes), addresses(&self.sentinels));
        let port = blocking(move || {
            wait_for("a primary", TIMEOUT, || agreed(&sentinels).and_then(|port| confirmed(&nodes, port)))
        })
        .await?;
        let node = self.nodes.iter().find(|node| node.port() == port);
        node.ok_or_else(|| ServerError::new("the sentinels name a primary that is not ours"))
    }

    /// Waits until both replicas follow the primary, and every sentinel knows all nodes and sentinels.
    ///
    /// # Errors
    /// If that takes longer than a minute.
    pub async fn settled(&self) -> Result<(), ServerError> {
        let primary = self.primary().await?.address();
        let sentinels = addresses(&self.sentinels);
        blocking(move || {
            wait_for("the replicas", TIMEOUT, || {
                let info = ask(primary, &["INFO", "replication"])?;
                let online = info.text().matches("state=online").count();
                if online == 2 { Ok(()) } else { Err(ServerError::new(format!("{online} of 2 follow"))) }
            })?;
            wait_for("the sentinels", TIMEOUT, || {
                let complete = sentinels.iter().filter(|&&sentinel| knows_all(sentinel)).count();
                if complete == 3 { Ok(()) } else { Err(format!("{complete} of 3 know all others")) }
            })
        })
        .await
    }
}

fn addresses(nodes: &[Redis]) -> Vec<SocketAddr> {
    nodes.iter().map(|node| node.address()).collect()
}

fn knows_all(sentinel: SocketAddr) -> bool {
    let info = ask(sentinel, &["INFO", "sentinel"]);
    info.is_ok_and(|info| info.text().contains("status=ok") && info.text().contains("slaves=2,sentinels=3"))
}

/// The port that all answering sentinels name.
fn agreed(sentinels: &[SocketAddr]) -> Result<u16, String> {
    let mut named = Vec::new();
    for &sentinel in sentinels {
        if let Ok(answer) = ask(sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE]) {
            named.push(answer.list().get(1).and_then(Reply::number));
        }
    }
    match named[..] {
        [Some(first), _, ..] if named.iter().all(|port| *port == Some(first)) => {
            u16::try_from(first).map_err(|error| error.to_string())
        }
        _ => Err(format!("the sentinels name {named:?}")),
    }
}

/// The same port, if the node there says that it is the primary.
fn confirmed(nodes: &[SocketAddr], port: u16) -> Result<u16, String> {
    let node = nodes.iter().find(|node| node.port() == port).ok_or("it is not ours")?;
    let role = ask(*node, &["ROLE"]).map_err(|error| error.to_string())?;
    match role.list().first().map(Reply::text) {
        Some("master") => Ok(port),
        other => Err(format!("the node on port {port} says {other:?}")),
    }
}
