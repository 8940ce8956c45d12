//! What was measured. This is the published JSON: names of fields are stable.

use std::process::Command;

use serde::Serialize;

use crate::measure::Sample;
use crate::op::Failure;
use crate::servers::Servers;

/// Everything that was measured, and where.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The machine and the servers.
    pub environment: Environment,
    /// Operations, each next to its floor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    /// How latency grows with the number of sessions in the store, or of the user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<Growth>,
    /// How much memory a session occupies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<Memory>,
    /// What a call costs the servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cost: Vec<Cost>,
    /// What those who follow a feed cost the server of each write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<Followers>,
    /// What `session-admin` takes, and what requests take meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub administration: Vec<Administration>,
    /// What became of sessions that moved to another store while they were used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
}

/// Where it was measured.
#[derive(Debug, Default, Serialize)]
pub struct Environment {
    /// Processor and number of cores.
    pub host: String,
    /// The compiler.
    pub rustc: String,
    /// The version of Redis.
    pub redis: String,
    /// The version of PostgreSQL.
    pub postgres: String,
    /// The version of SQLite.
    pub sqlite: String,
    /// How servers are reached.
    pub transport: &'static str,
    /// Whether PostgreSQL and SQLite flush each commit to the disk.
    pub fsync: &'static str,
}

/// One operation on one backend.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The operation.
    pub op: String,
    /// The backend; `floor-…` for its floor.
    pub backend: String,
    /// How many workers ran it at once.
    pub concurrency: usize,
    /// How fast.
    #[serde(flatten)]
    pub sample: Sample,
    /// Round trips per call, as seen on the wire, including pings of pools.
    pub round_trips: f64,
}

/// One operation, with so many sessions.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// The operation.
    pub op: String,
    /// The backend.
    pub backend: String,
    /// The number of sessions in the store, or of the user.
    pub sessions: usize,
    /// The median latency, in microseconds.
    pub p50_us: f64,
    /// The latency that 1 % of calls exceed, in microseconds.
    pub p99_us: f64,
    /// The median latency of the floor, with as many values, in microseconds.
    pub floor_p50_us: f64,
    /// Calls per second divided by those of the floor in the same round; the median of the rounds.
    pub ratio_to_floor: f64,
}

/// How much memory a session occupies.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// The backend.
    pub backend: String,
    /// Which memory, and of which sessions.
    pub what: String,
    /// The number of sessions.
    pub sessions: usize,
    /// Bytes per session.
    pub bytes_per_session: f64,
}

/// What a call costs the servers.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The operation.
    pub op: String,
    /// The backend.
    pub backend: String,
    /// Time of the server's processor, in microseconds.
    pub server_us: Option<f64>,
    /// Bytes to the server.
    pub sent_bytes: Option<f64>,
    /// Bytes from the server.
    pub received_bytes: Option<f64>,
    /// Bytes that the server writes to its log, copies of pages among them that were not changed since the last checkpoint.
    pub wal_bytes: Option<f64>,
}

/// What a write costs the server, with so many followers.
#[derive(Clone, Debug, Serialize)]
pub struct Followers {
    /// The backend.
    pub backend: String,
    /// How many follow its feed; none if the store publishes nothing.
    pub followers: Option<usize>,
    /// Time of the server's processors for each write, in microseconds; the median of the rounds.
    pub server_us: f64,
}

/// A command of `session-admin`, beside a steady load of requests on the same store.
#[derive(Clone, Debug, Serialize)]
pub struct Administration {
    /// The store.
    pub store: String,
    /// The command.
    pub command: String,
    /// How many sessions there are.
    pub sessions: usize,
    /// How many requests were due per second, before and meanwhile.
    pub requests_per_s: u32,
    /// How often it was run, one after the other.
    pub runs: usize,
    /// How long it took; the median of the runs.
    pub seconds: f64,
    /// Of its own processor time.
    pub own_seconds: f64,
    /// The largest resident set, in MiB.
    pub peak_mib: f64,
    /// The median time of a request before, from when it was due, in microseconds.
    pub before_p50_us: f64,
    /// The time that 1 % of requests exceeded before, in microseconds.
    pub before_p99_us: f64,
    /// How many requests were measured while it ran.
    pub requests: usize,
    /// The median time of a request while it ran, in microseconds.
    pub p50_us: f64,
    /// The time that 1 % of requests exceeded while it ran, in microseconds.
    pub p99_us: f64,
    /// That divided by the one before.
    pub p99_ratio: f64,
}

/// Sessions that moved to another store while writers used them.
#[derive(Clone, Debug, Serialize)]
pub struct Moved {
    /// The old store.
    pub from: String,
    /// The new store.
    pub to: String,
    /// How many wrote at once.
    pub writers: usize,
    /// Increments that were acknowledged.
    pub increments: u64,
    /// Sessions that were ended.
    pub ended: u64,
    /// Sessions in the new store afterwards.
    pub alive: u64,
    /// Sessions that are gone, or whose increments do not add up.
    pub lost: u64,
    /// Sessions that were ended and are there.
    pub revived: u64,
    /// What is still in the old store, or of nobody in the new one.
    pub left: u64,
}

impl Environment {
    /// This machine and these servers.
    ///
    /// # Errors
    /// If a server does not answer.
    pub async fn of(servers: &Servers) -> Result<Self, Failure> {
        let [redis, postgres, sqlite] = servers.versions().await?;
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
            sqlite,
            transport: "TCP on loopback",
            fsync: "on",
        })
    }

    /// Two lines: the machine, and the servers.
    pub(crate) fn lines(&self) -> [String; 2] {
        let Self { host, rustc, redis, postgres, sqlite, transport, fsync } = self;
        let servers = format!("Redis {redis}, PostgreSQL {postgres} and SQLite {sqlite} (fsync {fsync}), {transport}");
        [format!("{host}; {rustc}"), servers]
    }
}

impl Row {
    pub(crate) fn is_floor(&self) -> bool {
        self.backend.starts_with("floor-")
    }
}

#[cfg(test)]
pub(crate) fn example() -> Report {
    let row = |backend: &str, ops_per_s, p50_us, p99_us, ratio_to_floor, round_trips| {
        let (op, backend) = ("store-load".to_owned(), backend.to_owned());
        let sample = Sample { ops_per_s, p50_us, p99_us, ratio_to_floor };
        Row { op, backend, concurrency: 64, sample, round_trips }
    };
    Report {
        environment: Environment {
            host: "a machine, 2 cores".to_owned(),
            rustc: "rustc 1".to_owned(),
            redis: "7".to_owned(),
            postgres: "15".to_owned(),
            sqlite: "3".to_owned(),
            transport: "TCP on loopback",
            fsync: "on",
        },
        rows: vec![
            row("floor-redis", 200_000.4, 250.2, 400.0, 1.0, 1.0),
            row("redis", 190_000.0, 260.0, 410.0, 0.95, 1.0),
            row("floor-moka", 4_000_000.0, 0.12, 2.0, 1.0, 0.0),
            row("moka", 3_600_000.0, 0.15, 2.1, 0.9, 0.0),
        ],
        growth: vec![Growth {
            op: "store-load".to_owned(),
            backend: "redis".to_owned(),
            sessions: 1000,
            p50_us: 80.0,
            p99_us: 120.0,
            floor_p50_us: 64.0,
            ratio_to_floor: 0.8,
        }],
        memory: vec![Memory {
            backend: "redis".to_owned(),
            what: "used_memory".to_owned(),
            sessions: 200_000,
            bytes_per_session: 410.3,
        }],
        cost: vec![Cost {
            op: "store-load".to_owned(),
            backend: "redis".to_owned(),
            server_us: Some(2.5),
            sent_bytes: Some(60.0),
            received_bytes: Some(300.0),
            wal_bytes: None,
        }],
        followers: vec![
            Followers { backend: "redis".to_owned(), followers: None, server_us: 7.3 },
            Followers { backend: "redis".to_owned(), followers: Some(10), server_us: 12.0 },
        ],
        administration: vec![Administration {
            store: "redis".to_owned(),
            command: "count".to_owned(),
            sessions: 1_000_000,
            requests_per_s: 500,
            runs: 40,
            seconds: 0.123,
            own_seconds: 0.04,
            peak_mib: 13.7,
            before_p50_us: 210.0,
            before_p99_us: 400.0,
            requests: 2500,
            p50_us: 215.0,
            p99_us: 500.0,
            p99_ratio: 1.25,
        }],
        moved: vec![Moved {
            from: "redis".to_owned(),
            to: "postgres".to_owned(),
            writers: 64,
            increments: 10_000,
            ended: 500,
            alive: 999_500,
            lost: 1,
            revived: 2,
            left: 0,
        }],
    }
}
