//! [`World`]: three nodes and the servers of their store.

use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Failure, Intercepted, Rng};
use session_core::store::SessionStore;
use session_core::{
    Clock, Error, Event, LimitPolicy, Policy, Renewal, SessionManager, SessionObserver, SystemClock, Timestamp,
};
use session_moka::MokaStore;
use session_postgres::{PostgresStore, recommended_pool_options};
use session_redis::RedisStore;
use session_sqlite::SqliteStore;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::file::File;
use super::ledger::Ledger;
use super::link::{Disturbance, Link, Weather};
use crate::proxy::Proxy;
use crate::records::shop;
use crate::servers::{Postgres, Redis, Release, Server, VALKEY};

/// How many nodes there are.
pub(super) const NODES: usize = 3;

/// By how many seconds the clock of each node is early or late.
const SKEWS: [i64; NODES] = [0, 30, -30];

/// How long the successor of a token is handed out again: longer than any fault lasts, so that a client that was not
/// answered gets it from the node whose clock renewed it.
const GRACE: Duration = Duration::from_secs(35);

/// The places in the pool of a node.
const POOL: u32 = 8;

/// Each write of a Redis server is flushed to the disk.
const DURABLE: &[(&str, &str)] = &[("appendfsync", "always")];

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// In this process.
    Moka,
    /// In a file that each node has opened for itself.
    Sqlite,
    /// On a Redis server that flushes each write to the disk.
    Redis,
    /// The same on Valkey, where most updates are another command.
    Valkey,
    /// On a PostgreSQL server that flushes each commit to the disk.
    Postgres,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Moka, Self::Sqlite, Self::Redis, Self::Valkey, Self::Postgres];

    /// The name of the backend.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Moka => "moka",
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
            Self::Postgres => "postgres",
        }
    }
}

/// Three nodes and their servers.
pub(super) struct World {
    nodes: Vec<Node>,
    servers: Servers,
}

struct Node {
    manager: SessionManager,
    link: Link,
}

enum Servers {
    None,
    File(File),
    Redis(Redis),
    Postgres(Postgres),
}

impl World {
    pub(super) async fn start(target: Target, ledger: &Arc<Ledger>) -> Result<Self, Failure> {
        let servers = match target {
            Target::Moka => Servers::None,
            Target::Sqlite => Servers::File(File::new().map_err(failure)?),
            Target::Redis => Servers::Redis(Redis::launch(DURABLE).await.map_err(failure)?),
            Target::Valkey => {
                Servers::Redis(Redis::launch_release(Release::Pinned(VALKEY), DURABLE).await.map_err(failure)?)
            }
            Target::Postgres => Servers::Postgres(Postgres::launch(&[]).await.map_err(failure)?),
        };
        let moka = MokaStore::new();
        let mut nodes = Vec::new();
        for skew in SKEWS {
            let (store, link): (Arc<dyn SessionStore>, Link) = match &servers {
                Servers::None => disturbed(moka.clone()),
                Servers::File(file) => disturbed(SqliteStore::open(file.path(), shop()).await?),
                Servers::Redis(server) => {
                    let proxy = Proxy::start(server.address()).await.map_err(failure)?;
                    let store =
                        RedisStore::connect(&format!("redis://{}", proxy.address()), shop()).await.map_err(failure)?;
                    (Arc::new(store), Link::Network(proxy))
                }
                Servers::Postgres(server) => {
                    let proxy = Proxy::start(server.address()).await.map_err(failure)?;
                    let url = format!("postgres://postgres@{}/postgres", proxy.address());
                    let pool = recommended_pool_options().max_connections(POOL).connect_lazy(&url).map_err(failure)?;
                    let store = PostgresStore::new(pool, shop());
                    store.migrate().await?;
                    (Arc::new(store), Link::Network(proxy))
                }
            };
            let manager = SessionManager::builder(store)
                .policy(policy()?)
                .clock(Skewed(skew * 1000))
                .observer(Watch(Arc::clone(ledger)))
                .build();
            nodes.push(Node { manager, link });
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
            self.nodes[*node].link.set(weather);
        }
        sleep(lasts).await;
        for node in nodes {
            self.nodes[*node].link.set(Weather::Fair);
        }
    }

    /// Kills the server and starts it again. Without a server, every call fails for a while.
    pub(super) async fn kill(&self, pause: Duration) -> Result<(), Failure> {
        let Some(server) = self.server() else {
            self.disturb(&[0, 1, 2], Weather::Cut, pause).await;
            return Ok(());
        };
        server.kill9().await.map_err(failure)?;
        sleep(pause).await;
        server.start().await.map_err(failure)
    }

    /// Stops the server for a while; or another process, which has the lock of the file. Without either, no call is answered.
    pub(super) async fn freeze(&self, lasts: Duration) -> Result<(), Failure> {
        if let Servers::File(file) = &self.servers {
            return file.lock(lasts).await.map_err(failure);
        }
        let Some(server) = self.server() else {
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
            node.link.set(Weather::Fair);
        }
        if let Some(server) = self.server() {
            server.resume().await.map_err(failure)?;
            server.start().await.map_err(failure)?;
        }
        Ok(())
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
            if let Some(connections) = self.connections().await {
                ledger.connections(connections);
            }
        }
        Ok(())
    }

    /// How many connections the server has that no node needs.
    pub(super) async fn leaked_connections(&self) -> Result<usize, Failure> {
        let places = match &self.servers {
            Servers::None => return Ok(0),
            Servers::File(_) => NODES * File::CONNECTIONS + File::KEPT,
            Servers::Redis(_) => NODES,
            Servers::Postgres(_) => NODES * POOL as usize,
        };
        let connections = self.connections().await.ok_or("the server does not say how many connections it has")?;
        Ok(connections.saturating_sub(places))
    }

    /// How many connections of nodes the server has; `None` if it does not answer.
    async fn connections(&self) -> Option<usize> {
        match &self.servers {
            Servers::None => Some(0),
            Servers::File(file) => Some(file.connections()),
            Servers::Redis(server) => {
                let clients = server.command(&["CLIENT", "LIST", "TYPE", "NORMAL"]).await.ok()?;
                Some(clients.text().lines().filter(|line| !line.contains(" cmd=client")).count())
            }
            Servers::Postgres(server) => {
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

    fn server(&self) -> Option<&Server> {
        match &self.servers {
            Servers::None | Servers::File(_) => None,
            Servers::Redis(server) => Some(server),
            Servers::Postgres(server) => Some(server),
        }
    }
}

/// A store in this process, and what disturbs the calls to it.
fn disturbed(store: impl SessionStore) -> (Arc<dyn SessionStore>, Link) {
    let store = Arc::new(Intercepted::new(store, Disturbance::default()));
    (Arc::clone(&store) as Arc<dyn SessionStore>, Link::Calls(store))
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

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}
