//! No server process and no folder is left after a handle is dropped, the test process is killed, or a supervisor is
//! killed.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use session_testbed::browser::Chromium;
use session_testbed::servers::{PgBouncer, Postgres, Redis, RedisCluster, RedisSentinel, Server, namespace};

/// The processes whose working directory or command line is in a folder.
fn processes_in(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let here = |pid: &u32| {
        let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        directory.starts_with(folder) || String::from_utf8_lossy(&command).contains(folder)
    };
    numbers.filter(here).collect()
}

/// `false` if the process is gone: one that served a single connection may be.
fn signal(signal: &str, pid: u32) -> bool {
    let kill = format!("kill -{signal} {pid}");
    Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap().success()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Another process that starts servers, with its own folder for temporary files.
struct Other {
    process: Child,
    folder: PathBuf,
}

impl Other {
    fn start(servers: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(namespace().as_str());
        fs::create_dir(&folder).unwrap();
        // Accessible to the user that runs PostgreSQL.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_servers"));
        command.args(servers).env("TMPDIR", &folder).env_remove("REDIS_URL").env_remove("DATABASE_URL");
        Self { process: command.stdout(Stdio::piped()).spawn().unwrap(), folder }
    }

    /// Waits until it has started this many servers.
    fn wait_for(&mut self, servers: usize) {
        let lines = BufReader::new(self.process.stdout.take().unwrap()).lines();
        assert_eq!(lines.take(servers).map(Result::unwrap).count(), servers);
    }

    fn kill9(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn assert_nothing_left(&self) {
        let start = Instant::now();
        eventually("processes are left", || processes_in(&self.folder).is_empty());
        println!("gone after {:?}", start.elapsed());
        eventually("files are left", || fs::read_dir(&self.folder).unwrap().next().is_none());
        fs::remove_dir(&self.folder).unwrap();
    }
}

impl Drop for Other {
    /// Also when an assertion failed.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn killing_the_test_process_leaves_nothing() {
    let servers = ["redis", "redis-sentinel", "redis-cluster", "postgres", "pgbouncer", "chromium"];
    let mut other = Other::start(&servers);
    other.wait_for(servers.len());
    // 1 + 6 + 3 + 2 + 1 servers, Chromium and nginx, each with a supervisor, and the processes of PostgreSQL and Chromium.
    assert!(processes_in(&other.folder).len() > 2 * 15);
    other.kill9();
    other.assert_nothing_left();
}

#[test]
fn killing_the_test_process_leaves_no_paused_server() {
    let mut other = Other::start(&["redis", "postgres"]);
    other.wait_for(2);
    let command = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let servers: Vec<u32> =
        processes_in(&other.folder).into_iter().filter(|pid| command(pid).trim_end() != "sh").collect();
    let paused = servers.into_iter().filter(|&server| signal("STOP", server)).count();
    assert!(paused > 4, "{paused}");
    other.kill9();
    other.assert_nothing_left();
}

#[test]
fn killing_the_test_process_during_a_start_leaves_nothing() {
    for milliseconds in [0, 2, 5, 10, 20, 50, 100, 200, 300, 400] {
        let mut other = Other::start(&["postgres"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        other.kill9();
        other.assert_nothing_left();
    }
}

#[test]
fn killing_the_supervisors_leaves_no_server() {
    let mut other = Other::start(&["redis", "postgres", "chromium"]);
    other.wait_for(3);
    // `None` if it is gone: a process that served a single connection may be.
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let processes = processes_in(&other.folder).into_iter();
    let supervisors: Vec<u32> = processes.filter(|&pid| parent(pid) == Some(other.process.id())).collect();
    // That of Chromium comes with nginx.
    assert_eq!(supervisors.len(), 4);
    for supervisor in supervisors {
        assert!(signal("KILL", supervisor));
    }
    eventually("servers are left", || processes_in(&other.folder).is_empty());
    other.kill9();
    // Cleans up in place of the supervisors. A killed PostgreSQL leaves a segment of shared memory.
    let remove = "sed -n 7p */data/postmaster.pid | while read -r _ segment; do ipcrm -m $segment; done";
    assert!(Command::new("sh").args(["-c", remove]).current_dir(&other.folder).status().unwrap().success());
    fs::remove_dir_all(&other.folder).unwrap();
}

#[tokio::test]
async fn dropping_the_handles_leaves_nothing() {
    let redis = Redis::launch(&[]).await.unwrap();
    let sentinel = RedisSentinel::launch(&[]).await.unwrap();
    let cluster = RedisCluster::launch(0, &[]).await.unwrap();
    let postgres = Postgres::launch(&[]).await.unwrap();
    let pool = PgBouncer::launch(&postgres, &[]).await.unwrap();
    let chromium = Chromium::launch(&[]).await.unwrap();
    chromium.profile().page().await.unwrap();
    let (stopped, paused) = (Redis::launch(&[]).await.unwrap(), Postgres::launch(&[]).await.unwrap());
    stopped.stop().await.unwrap();
    paused.pause().await.unwrap();

    let nodes = sentinel.nodes().iter().chain(sentinel.sentinels()).chain(cluster.nodes());
    let nodes = nodes.map(|node| node as &Server);
    let others: [&Server; 5] = [&redis, &postgres, &pool, &stopped, &paused];
    let mut folders: Vec<PathBuf> = nodes.chain(others).map(|server| server.folder().to_owned()).collect();
    folders.push(chromium.folder().to_owned());
    assert_eq!(folders.len(), 15);
    for folder in &folders {
        assert!(!processes_in(folder).is_empty(), "{}", folder.display());
    }
    drop((pool, redis, sentinel, cluster, postgres, chromium, stopped, paused));
    // Immediately: dropping waits.
    for folder in &folders {
        assert!(!folder.exists(), "{}", folder.display());
        assert!(processes_in(folder).is_empty(), "{:?}", processes_in(folder));
    }
}
