//! [`World`]: three nodes and the servers of their store.

use crate::failure::failure;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Failure, Rng};
use session_core::{
    Clock, Error, Event, LimitPolicy, Policy, Renewal, SessionManager, SessionObserver, SystemClock, Timestamp,
};
use tokio::time::{Instant, sleep};

use super::ledger::Ledger;
use super::link::Weather;
use super::servers::{NODES, Opened, Servers};

/// By how many seconds the clock of each node is early or late.
const SKEWS: [i64; NODES] = [0, 30, -30];

/// How long the successor of a token is handed out again: longer than any fault lasts, so that a client that was not
/// answered gets it from the node whose clock renewed it.
const GRACE: Duration = Duration::from_secs(35);

/// Three nodes and their servers.
pub(super) struct World {
    nodes: Vec<Node>,
    servers: Servers,
}

struct Node {
    manager: SessionManager,
    opened: Opened,
}

impl World {
    pub(super) async fn start(servers: Servers, ledger: &Arc<Ledger>) -> Result<Self, Failure> {
        let mut nodes = Vec::new();
        for skew in SKEWS {
            let opened = servers.open().await?;
            let manager = SessionManager::builder(Arc::clone(&opened.store))
                .policy(policy()?)
                .clock(Skewed(skew * 1000))
                .observer(Watch(Arc::clone(ledger)))
                .build();
            nodes.push(Node { manager, opened });
        }
        Ok(Self { nodes, servers })
    }

    /// The manager of a node.
    fn node(&self, number: u64) -> &SessionManager {
        &self.nodes[number as usize % NODES].manager
    }

    /// The manager of any node.
    pub(super) fn any_node(&self, rng: &mut Rng) -> SessionManager {
        self.node(rng.below(NODES as u64)).clone()
    }

    /// Some nodes have this weather for a while.
    pub(super) async fn disturb(&self, nodes: &[usize], weather: Weather, lasts: Duration) {
        for node in nodes {
            self.nodes[*node].opened.link.set(weather);
        }
        sleep(lasts).await;
        for node in nodes {
            self.nodes[*node].opened.link.set(Weather::Fair);
        }
    }

    /// Kills the server and starts it again. Without a server, every call fails for a while.
    pub(super) async fn kill(&self, pause: Duration) -> Result<(), Failure> {
        let Some(server) = self.servers.next().await? else {
            self.disturb(&[0, 1, 2], Weather::Cut, pause).await;
            return Ok(());
        };
        server.kill9().await.map_err(failure)?;
        sleep(pause).await;
        server.start().await.map_err(failure)
    }

    /// Stops the server for a while; or another process, which has the lock of the file. Without either, no call is answered.
    pub(super) async fn freeze(&self, lasts: Duration) -> Result<(), Failure> {
        if let Some(file) = self.servers.file() {
            return file.lock(lasts).await.map_err(failure);
        }
        let Some(server) = self.servers.next().await? else {
            self.disturb(&[0, 1, 2], Weather::Silent, lasts).await;
            return Ok(());
        };
        server.pause().await.map_err(failure)?;
        sleep(lasts).await;
        server.resume().await.map_err(failure)
    }

    /// Nothing is wrong any more.
    pub(super) async fn heal(&self) -> Result<(), Failure> {
        for node in &self.nodes {
            node.opened.link.set(Weather::Fair);
        }
        self.servers.heal().await
    }

    /// Waits for what the nodes do in the background. Returns how much is unfinished.
    pub(super) async fn drain(&self, patience: Duration) -> usize {
        let mut left = 0;
        for node in &self.nodes {
            left += node.manager.drain(patience).await;
        }
        left
    }

    /// Asks a node in fair weather, which may take some seconds to come back.
    pub(super) async fn calm<T>(
        &self,
        mut ask: impl AsyncFnMut(&SessionManager) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let end = Instant::now() + Duration::from_secs(20);
        let mut node = 0;
        loop {
            match ask(self.node(node)).await {
                Ok(answer) => return Ok(answer),
                Err(error @ Error::Store(_)) if Instant::now() > end => {
                    return Err(Failure::new(format!("does not answer although nothing is wrong any more: {error}")));
                }
                Err(Error::Store(_) | Error::Superseded) if Instant::now() <= end => {
                    sleep(Duration::from_millis(50)).await;
                    node += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Notes how many connections the server has, again and again.
    pub(super) async fn watch_connections(&self, ledger: &Ledger, end: Instant) -> Result<(), Failure> {
        while Instant::now() < end {
            sleep(Duration::from_millis(500)).await;
            // A server that is down has none.
            if let Some(connections) = self.servers.connections().await {
                ledger.connections(connections);
            }
        }
        Ok(())
    }

    /// How many connections the server has that no node needs, after so many torn replies.
    pub(super) async fn leaked_connections(&self, torn: usize) -> Result<usize, Failure> {
        let connections =
            self.servers.connections().await.ok_or("a server does not say how many connections it has")?;
        Ok(connections.saturating_sub(self.servers.places(torn)))
    }

    /// How many loads copies have answered.
    pub(super) fn copies_given(&self) -> u64 {
        self.nodes.iter().filter_map(|node| node.opened.cache.as_ref()).map(|stats| stats().hits).sum()
    }
}

/// Renewals come soon, and what the clocks of two nodes may differ by is what they do.
fn policy() -> Result<Policy, Failure> {
    let policy = Policy::standard()
        .to_builder()
        .renewal(Some(Renewal { timeout: GRACE + Duration::from_secs(5), grace: GRACE }))
        .refresh_grace(GRACE)
        .max_clock_skew(Duration::from_secs(60))
        .touch_interval(Duration::from_secs(1))
        // No session ends because there are too many.
        .session_limit(100, LimitPolicy::EvictOldest)
        .build();
    policy.map_err(failure)
}

/// The clock of the operating system, so many milliseconds early or late.
#[derive(Debug)]
struct Skewed(i64);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0)
    }
}

#[derive(Debug)]
struct Watch(Arc<Ledger>);

impl SessionObserver for Watch {
    fn on_event(&self, event: &Event) {
        self.0.event(event);
    }
}
