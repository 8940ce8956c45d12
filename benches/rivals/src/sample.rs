//! [`Sample`]: what was measured, and for how long.

use std::time::Duration;

use serde::Serialize;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// How often everything is repeated, with new connections and empty stores.
    pub runs: usize,
    /// Rounds of each subject in a run.
    pub rounds: usize,
    /// The length of one round.
    pub round: Duration,
}

impl Length {
    /// Five runs, within ten minutes.
    pub const FULL: Self = Self { runs: 5, rounds: 5, round: Duration::from_millis(150) };
    /// One run, within a minute.
    pub const QUICK: Self = Self { runs: 1, rounds: 3, round: Duration::from_millis(80) };
}

/// What was measured: of a round, or medians of the rounds of a run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    /// Requests per second.
    pub ops_per_s: f64,
    /// The same, divided by that of the floor in the same round.
    pub ratio_to_floor: f64,
    /// The median latency, in microseconds.
    pub p50_us: f64,
    /// How long this process computed for a request, in microseconds.
    pub client_us: f64,
    /// How long the server computed for a request, in microseconds; 0 if it does not tell.
    pub server_us: f64,
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
