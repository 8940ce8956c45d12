//! The report of the comparison; see `session_benches::Report`.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Report {
    pub(super) environment: Environment,
    #[serde(default)]
    pub(super) rows: Vec<Row>,
    #[serde(default)]
    pub(super) growth: Vec<Growth>,
    #[serde(default)]
    pub(super) memory: Vec<Memory>,
}

#[derive(Deserialize)]
pub(super) struct Environment {
    host: String,
    rustc: String,
    redis: String,
    postgres: String,
    transport: String,
    fsync: String,
}

impl Environment {
    /// The machine, and the servers.
    pub(super) fn lines(&self) -> [String; 2] {
        let Self { host, rustc, redis, postgres, transport, fsync } = self;
        [format!("{host}; {rustc}"), format!("Redis {redis}, PostgreSQL {postgres} (fsync {fsync}), {transport}")]
    }
}

#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) op: String,
    pub(super) backend: String,
    pub(super) concurrency: usize,
    pub(super) ops_per_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) ratio_to_floor: f64,
    pub(super) round_trips: f64,
}

impl Row {
    /// Whether this is what others are compared with.
    pub(super) fn is_floor(&self) -> bool {
        self.backend.starts_with("floor-")
    }
}

#[derive(Deserialize)]
pub(super) struct Growth {
    pub(super) op: String,
    pub(super) backend: String,
    pub(super) sessions: usize,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

#[derive(Deserialize)]
pub(super) struct Memory {
    pub(super) backend: String,
    pub(super) what: String,
    pub(super) sessions: usize,
    pub(super) bytes_per_session: f64,
}
