//! Private Redis servers for the tests of this crate: started on free ports, stopped when dropped.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue};

pub mod proxy;
pub mod records;

/// A port nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A folder of its own for each server, below the target folder.
fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("redis-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// One `redis-server` process.
pub struct Server {
    child: Child,
    pub port: u16,
    folder: PathBuf,
    args: Vec<String>,
}

impl Server {
    pub async fn start(args: &[&str]) -> Self {
        Self::start_on(free_port(), args).await
    }

    pub async fn start_on(port: u16, args: &[&str]) -> Self {
        let (folder, args) = (folder(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        let server = Self { child: spawn(port, &folder, &args), port, folder, args };
        server.wait_until_up().await;
        server
    }

    /// `redis-sentinel`, whose configuration has to be a file.
    pub async fn start_sentinel(config: &str) -> Self {
        let (port, folder) = (free_port(), folder());
        fs::write(folder.join("sentinel.conf"), config).unwrap();
        let args = vec!["--sentinel".to_owned()];
        let server = Self { child: spawn(port, &folder, &args), port, folder, args };
        server.wait_until_up().await;
        server
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub async fn connection(&self) -> MultiplexedConnection {
        Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Runs one command, written with blanks. Again if the connection is cut, which a change of roles does.
    pub async fn run<T: FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        cmd.arg(words.collect::<Vec<_>>());
        let client = Client::open(self.url()).unwrap();
        let run = async || cmd.query_async(&mut client.get_multiplexed_async_connection().await?).await;
        loop {
            match run().await {
                Err(error) if error.is_connection_dropped() && !error.is_connection_refusal() => {}
                outcome => return outcome.unwrap(),
            }
        }
    }

    /// Every key, with its time to live in milliseconds (-1: none).
    pub async fn keys(&self) -> Vec<(Vec<u8>, i64)> {
        let mut connection = self.connection().await;
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut found = Vec::new();
        for key in keys {
            let ttl = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
            found.push((key, ttl));
        }
        found
    }

    /// How often the server has executed this command (lower case).
    pub async fn calls(&self, command: &str) -> u64 {
        let info: String = self.run("INFO commandstats").await;
        let start = format!("cmdstat_{command}:calls=");
        let line = info.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The same server, with the same data if it saved them.
    pub async fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.port, &self.folder, &self.args);
        self.wait_until_up().await;
    }

    /// Stops it without its clients noticing: `SIGSTOP`.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    async fn wait_until_up(&self) {
        let client = Client::open(self.url()).unwrap();
        eventually("the server is up", async || {
            let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
            redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(port: u16, folder: &PathBuf, args: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    if args.iter().any(|arg| arg == "--sentinel") {
        command.arg(folder.join("sentinel.conf"));
    }
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(folder)
        .args(["--save", "", "--daemonize", "no"])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("redis-server cannot be started; is it installed?")
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(20), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A primary, two replicas, and three sentinels.
pub struct Sentinels {
    pub servers: Vec<Server>,
    pub sentinels: Vec<Server>,
}

impl Sentinels {
    pub async fn start() -> Self {
        let primary = Server::start(&["--repl-diskless-sync-delay", "0"]).await;
        let of = primary.port.to_string();
        let mut servers = vec![primary];
        for _ in 0..2 {
            servers.push(Server::start(&["--replicaof", "127.0.0.1", &of, "--repl-diskless-sync-delay", "0"]).await);
        }
        eventually("both replicas are connected", async || {
            servers[0].run::<String>("INFO replication").await.matches("state=online").count() == 2
        })
        .await;
        let config = format!(
            "sentinel monitor mymaster 127.0.0.1 {of} 2\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 2000\n"
        );
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Server::start_sentinel(&config).await);
        }
        eventually("the sentinels know each other", async || {
            sentinels[0].run::<String>("INFO sentinel").await.contains("slaves=2,sentinels=3")
        })
        .await;
        Self { servers, sentinels }
    }

    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.sentinels.iter().map(Server::address).collect();
        format!("redis+sentinel://{}/mymaster", nodes.join(","))
    }

    /// The server that the sentinels call the primary.
    pub async fn primary(&self) -> usize {
        let address: Vec<String> = self.sentinels[0].run("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster").await;
        self.servers.iter().position(|server| server.port.to_string() == address[1]).unwrap()
    }
}

/// A Cluster of three primaries with a replica each.
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    pub async fn start() -> Self {
        let mut servers = Vec::new();
        for _ in 0..6 {
            let bus = free_port().to_string();
            let args = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
            servers.push(Server::start(&[&args[..], &["--repl-diskless-sync-delay", "0"]].concat()).await);
        }
        let nodes = servers.iter().map(Server::address);
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        for server in &servers {
            eventually("the Cluster is complete", async || {
                let info: String = server.run("CLUSTER INFO").await;
                let shards: String = server.run("INFO replication").await;
                info.contains("cluster_state:ok")
                    && info.contains("cluster_known_nodes:6")
                    && (shards.contains("state=online") || shards.contains("master_link_status:up"))
            })
            .await;
        }
        Self { servers }
    }

    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.servers.iter().map(Server::address).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The servers that are primaries now.
    pub async fn primaries(&self) -> Vec<usize> {
        let mut primaries = Vec::new();
        for (i, server) in self.servers.iter().enumerate() {
            if server.run::<String>("INFO replication").await.contains("role:master") {
                primaries.push(i);
            }
        }
        primaries
    }
}
