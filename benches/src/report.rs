//! What is reported, as JSON; `cargo xtask bench` draws it.

use std::process::Command;

use serde::Serialize;

use crate::op::Failure;
use crate::servers::Servers;

/// Everything that was measured, and where.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The circumstances.
    pub environment: Environment,
    /// Operations; each next to its floor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    /// How a load slows down with the number of sessions, and the work on a user with theirs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<Growth>,
    /// What a session occupies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<Memory>,
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub struct Environment {
    /// Processor and number of cores.
    pub host: String,
    /// The compiler.
    pub rustc: String,
    /// The version of the server.
    pub redis: String,
    /// The version of the server.
    pub postgres: String,
    /// How servers are reached.
    pub transport: &'static str,
    /// Whether PostgreSQL flushes each commit to the disk.
    pub fsync: &'static str,
}

/// One operation on one backend.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was done.
    pub op: String,
    /// Where; `floor-…` for the least that could do it.
    pub backend: String,
    /// How many did it at once.
    pub concurrency: usize,
    /// How often it was done in a second, by all of them.
    pub ops_per_s: f64,
    /// The median latency, in microseconds.
    pub p50_us: f64,
    /// What one call in a hundred exceeds, in microseconds.
    pub p99_us: f64,
    /// How often it was done, divided by how often the floor was, in the same round.
    pub ratio_to_floor: f64,
    /// Round trips of one call, as seen on the wire, with pings of pools.
    pub round_trips: f64,
}

/// One operation, with so many sessions.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// What was done.
    pub op: String,
    /// Where.
    pub backend: String,
    /// How many sessions there are in the store, or of the user.
    pub sessions: usize,
    /// The median latency, in microseconds.
    pub p50_us: f64,
    /// What one call in a hundred exceeds, in microseconds.
    pub p99_us: f64,
}

/// What a session occupies.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// Where.
    pub backend: String,
    /// Of whom, and what was measured.
    pub what: String,
    /// How many there were.
    pub sessions: usize,
    /// What each took, in bytes.
    pub bytes_per_session: f64,
}

impl Environment {
    /// Of this machine and these servers.
    ///
    /// # Errors
    /// If a server does not answer.
    pub async fn of(servers: &Servers) -> Result<Self, Failure> {
        let (redis, postgres) = servers.versions().await?;
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let rustc = Command::new("rustc").arg("--version").output();
        let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        Ok(Self {
            host: format!("{}, {cores} cores", model.trim_start_matches([':', ' ', '\t'])),
            rustc,
            redis,
            postgres,
            transport: "TCP on loopback",
            fsync: "on",
        })
    }
}
