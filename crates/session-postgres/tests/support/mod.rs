//! A private PostgreSQL server, a PgBouncer and a TCP proxy for the tests of this crate. A server that cannot be started fails
//! the test: nothing is skipped.
#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part.

pub mod harness;

use std::fs;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use session_core::{
    Assurance, Authentication, Credential, Data, Device, Kind, Lifetime, OsEntropy, Persistence, Record, SessionId,
    Timestamp, UserId, Version,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool, Row as _, raw_sql};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

static COUNT: AtomicU32 = AtomicU32::new(0);

fn free_port() -> u16 {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn is_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0"
}

/// A command that runs as `postgres` if we are root, because the server refuses root.
fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program.as_ref());
    command
}

/// The folder with `initdb` and `postgres`.
fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed")
        .map(|entry| entry.unwrap().path())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed").join("bin")
}

fn new_folder(kind: &str) -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let folder = std::env::temp_dir().join(format!("session-postgres-{kind}-{}-{number}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    if is_root() {
        assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
    }
    folder
}

/// A server of our own, which ends with this value.
pub struct Server {
    folder: PathBuf,
    pub port: u16,
    process: Option<Child>,
}

impl Server {
    pub async fn start() -> Self {
        let folder = new_folder("server");
        let initdb = unprivileged(programs().join("initdb"))
            .arg("-D")
            .arg(folder.join("data"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        let mut server = Self { folder, port: free_port(), process: None };
        server.start_again().await;
        server
    }

    pub async fn start_again(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = unprivileged(programs().join("postgres"));
        command.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
        for setting in [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "max_connections=300".to_owned(),
            "shared_buffers=256MB".to_owned(),
            "fsync=off".to_owned(),
            "deadlock_timeout=100ms".to_owned(),
            "log_statement=none".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&self) {
        for _ in 0..500 {
            let options = self.options();
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(1), options.connect()).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not start: {}", fs::read_to_string(self.folder.join("log")).unwrap());
    }

    /// SIGINT: connections are cut, the data is safe.
    pub fn stop(&mut self) {
        self.signal("INT");
        self.process.take().unwrap().wait().unwrap();
    }

    /// Stops every process of the server, as a machine that hangs, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "STOP" } else { "CONT" };
        let pid = self.process.as_ref().unwrap().id().to_string();
        self.signal(signal);
        let _ = Command::new("pkill").args([&format!("-{signal}"), "-P", &pid]).status();
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }

    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database("postgres")
    }

    pub fn pool(&self, connections: u32) -> PgPool {
        pool(connections, self.options())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = process.id().to_string();
            let _ = Command::new("pkill").args(["-CONT", "-P", &pid]).status();
            let _ = Command::new("kill").args(["-CONT", &pid]).status();
            let _ = Command::new("kill").args(["-QUIT", &pid]).status();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// PgBouncer in transaction mode, with fewer connections to the server than clients.
pub struct Bouncer {
    folder: PathBuf,
    pub port: u16,
    process: Child,
}

impl Bouncer {
    pub async fn start(server: &Server) -> Self {
        let (folder, port) = (new_folder("bouncer"), free_port());
        let config = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 8\n\
             max_client_conn = 500\nunix_socket_dir =\nignore_startup_parameters = extra_float_digits\n",
            server.port
        );
        fs::write(folder.join("config"), config).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = unprivileged("pgbouncer")
            .arg(folder.join("config"))
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("pgbouncer is installed");
        let bouncer = Self { folder, port, process };
        for _ in 0..500 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
                return bouncer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("pgbouncer does not start: {}", fs::read_to_string(bouncer.folder.join("log")).unwrap());
    }

    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database("postgres")
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub fn pool(connections: u32, options: PgConnectOptions) -> PgPool {
    let defaults: PgPoolOptions = session_postgres::recommended_pool_options();
    defaults.max_connections(connections).connect_lazy_with(options)
}

/// Forwards TCP to the server, until it swallows everything instead, and counts round trips.
pub struct Proxy {
    pub port: u16,
    swallow: Arc<AtomicBool>,
    round_trips: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallow = Arc::new(AtomicBool::new(false));
        let round_trips = Arc::new(AtomicU32::new(0));
        let (shared, counter) = (Arc::clone(&swallow), Arc::clone(&round_trips));
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { continue };
                let ((client_read, client_write), (server_read, server_write)) =
                    (client.into_split(), server.into_split());
                // A connection that met the hole once never works again: the network forgot it.
                let dead = Arc::new(AtomicBool::new(false));
                tokio::spawn(forward(client_read, server_write, Arc::clone(&shared), Arc::clone(&dead), None));
                tokio::spawn(forward(server_read, client_write, Arc::clone(&shared), dead, Some(Arc::clone(&counter))));
            }
        });
        Self { port, swallow, round_trips, task }
    }

    /// How often the server said that it is ready for the next query.
    pub fn round_trips(&self) -> u32 {
        self.round_trips.load(Ordering::SeqCst)
    }

    pub fn swallow(&self, on: bool) {
        self.swallow.store(on, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    swallow: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
    round_trips: Option<Arc<AtomicU32>>,
) {
    let mut buffer = vec![0; 65_536];
    let mut messages = Vec::new();
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(round_trips) = &round_trips {
            // A message: its kind, its length without the kind, the rest.
            messages.extend_from_slice(&buffer[..length]);
            while let Some(size) = messages.get(1..5) {
                let end = 1 + u32::from_be_bytes(size.try_into().unwrap()) as usize;
                if messages.len() < end {
                    break;
                }
                round_trips.fetch_add(u32::from(messages[0] == b'Z'), Ordering::SeqCst);
                messages.drain(..end);
            }
        }
        if swallow.load(Ordering::SeqCst) {
            dead.store(true, Ordering::SeqCst);
        }
        if !dead.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    if dead.load(Ordering::SeqCst) {
        // Not even the end of the connection gets through.
        std::future::pending::<()>().await;
    }
}

/// One number from the database.
pub async fn number(pool: &PgPool, sql: &str) -> i64 {
    raw_sql(AssertSqlSafe(sql.to_owned())).fetch_one(pool).await.unwrap().try_get(0).unwrap()
}

pub async fn execute(pool: &PgPool, sql: &str) {
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub const MINUTE: Duration = Duration::from_secs(60);

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A session of `user` that began at `now`: 30 minutes idle, 8 hours absolute.
pub fn record(user: Option<&UserId>, now: Timestamp) -> Record {
    let id = SessionId::generate(user, &OsEntropy).unwrap();
    let (credential, _token) = Credential::issue(Kind::Cookie, id, now, &OsEntropy).unwrap();
    Record {
        id,
        version: Version::first(&OsEntropy).unwrap(),
        kind: Kind::Cookie,
        created_at: now,
        last_seen: now,
        lifetime: Lifetime { idle: 30 * MINUTE, absolute: 480 * MINUTE },
        persistence: Persistence::Transient,
        authentication: user.map(|user| Authentication {
            user: user.clone(),
            at: now,
            methods: vec!["pwd".to_owned()],
            level: Assurance::Aal1,
        }),
        credential,
        device: Device::new(),
        data: Data::default(),
    }
}

/// `record` with one value set and the next version.
pub fn changed(record: &Record, value: impl Into<bytes::Bytes>) -> Record {
    let mut changed = record.clone();
    changed.version = record.version.next(&OsEntropy).unwrap();
    changed.data.insert("value".into(), value.into());
    changed
}
