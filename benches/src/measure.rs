//! Benchmarks side by side, in alternating rounds: whatever else the machine does affects all of them alike.

use std::time::Duration;

use serde::Serialize;

use crate::op::{Benchmark, Failure};

/// The most calls of one worker in one round: their state has to fit into memory.
const MAX_COUNT: usize = 200_000;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct RunLength {
    /// Rounds of each benchmark.
    pub rounds: usize,
    /// The approximate length of one round.
    pub round: Duration,
}

impl RunLength {
    /// For `cargo xtask bench --quick`.
    pub const QUICK: Self = Self { rounds: 5, round: Duration::from_millis(80) };
    /// For numbers to publish.
    pub const FULL: Self = Self { rounds: 11, round: Duration::from_millis(400) };
}

/// What was measured of one benchmark.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Calls per second of all workers together; the median of the rounds.
    pub ops_per_s: f64,
    /// The median latency of one call, in microseconds.
    pub p50_us: f64,
    /// The latency that 1 % of calls exceed, in microseconds.
    pub p99_us: f64,
    /// Calls per second divided by those of the floor in the same round; the median of the rounds.
    pub ratio_to_floor: f64,
}

/// Measures benchmarks, the first of which is the floor.
///
/// # Errors
/// If an outcome was wrong.
pub async fn compare(
    benchmarks: &[&dyn Benchmark],
    concurrency: usize,
    length: RunLength,
) -> Result<Vec<Sample>, Failure> {
    let mut counts = Vec::with_capacity(benchmarks.len());
    for benchmark in benchmarks {
        counts.push(calibrate(*benchmark, concurrency, length.round).await?);
    }
    let mut rates = vec![Vec::with_capacity(length.rounds); benchmarks.len()];
    let mut latencies = vec![Vec::new(); benchmarks.len()];
    for round in 0..length.rounds {
        // Another one goes first in each round.
        for turn in 0..benchmarks.len() {
            let at = (turn + round) % benchmarks.len();
            let mut measured = benchmarks[at].round(concurrency, counts[at]).await?;
            rates[at].push(rate(concurrency * counts[at], measured.elapsed));
            latencies[at].append(&mut measured.latencies);
        }
    }
    let floor = rates.first().cloned().unwrap_or_default();
    let samples = rates.into_iter().zip(latencies).map(|(rates, mut latencies)| {
        latencies.sort_unstable();
        Sample {
            ratio_to_floor: median(rates.iter().zip(&floor).map(|(rate, floor)| rate / floor).collect()),
            ops_per_s: median(rates),
            p50_us: quantile(&latencies, 0.50),
            p99_us: quantile(&latencies, 0.99),
        }
    });
    Ok(samples.collect())
}

/// How many calls of each worker make a round of about this length. Warms up on the way.
async fn calibrate(benchmark: &dyn Benchmark, concurrency: usize, round: Duration) -> Result<usize, Failure> {
    let mut count = 1;
    loop {
        let elapsed = benchmark.round(concurrency, count).await?.elapsed;
        if elapsed * 4 >= round || count == MAX_COUNT {
            let wanted = count as f64 * round.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
            return Ok((wanted as usize).clamp(1, MAX_COUNT));
        }
        count = (count * 4).min(MAX_COUNT);
    }
}

fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// The median; of an even number of values, the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), middle.checked_sub(1).and_then(|at| values.get(at))) {
        (Some(upper), Some(lower)) if values.len().is_multiple_of(2) => (upper + lower) / 2.0,
        (Some(value), _) => *value,
        (None, _) => 0.0,
    }
}

/// The quantile of sorted nanoseconds, in microseconds.
pub(crate) fn quantile(sorted: &[u32], quantile: f64) -> f64 {
    let at = ((sorted.len() as f64 * quantile) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |nanos| f64::from(*nanos) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::{median, quantile};

    #[test]
    fn medians_and_quantiles() {
        assert_eq!([median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 3.0]), median(vec![])], [2.0, 2.5, 0.0]);
        let sorted: Vec<u32> = (1..=100).map(|micros| micros * 1000).collect();
        assert_eq!([quantile(&sorted, 0.5), quantile(&sorted, 0.99), quantile(&[], 0.5)], [51.0, 100.0, 0.0]);
    }
}
