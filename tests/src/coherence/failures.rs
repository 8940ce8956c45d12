//! How late a revocation is obeyed at most, whatever goes wrong.

use std::time::Duration;

use serde::Serialize;
use session_conformance::{Failure, Rng};

use super::bed::{Bed, Store};
use super::fault::Fault;
use super::inject::inject;
use super::node::MAX_STALE;
use super::witness::Longest;
use super::world::{Found, Run, World};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often each failure is to happen to a node, at least.
    pub runs: usize,
    /// To how many nodes at once.
    pub nodes: usize,
    /// What its moments are derived from.
    pub seed: u64,
}

/// What came of a failure on a store.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The store.
    pub store: &'static str,
    /// What went wrong.
    pub failure: String,
    /// To how many nodes it happened.
    pub runs: usize,
    /// How many sessions were revoked, counted once for each node.
    pub revoked: usize,
    /// How many of them the store itself did not know to be revoked in the end. Not counted above.
    pub forgotten: usize,
    /// Whether a store may forget here what it has acknowledged.
    pub may_forget: bool,
    /// How many questions were answered.
    pub answers: u64,
    /// From the revocation of a session until the answer to the last question that was answered with it: an upper bound.
    pub longest_ms: u64,
    /// The same, until that question was asked: a lower bound.
    pub longest_asked_ms: u64,
    /// The same as the upper bound, of a node beside the others that keeps no copies: what the servers themselves still gave out.
    pub longest_without_copies_ms: u64,
    /// Each run that served a session longer than it may.
    pub broken: Vec<Broken>,
    /// What could not be run, and why.
    pub unrun: Option<String>,
}

/// A run that served a session longer than it may.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Broken {
    /// What its moments were derived from.
    pub seed: u64,
    /// How long it served it, at least.
    pub asked_ms: u64,
    /// How the session was revoked.
    pub by: &'static str,
}

impl Outcome {
    /// Whether it was run, something was revoked, and the law held. Only a failover, or a restart, may make a store forget.
    #[must_use]
    pub fn holds(&self) -> bool {
        let is_kept = self.forgotten == 0 || self.may_forget;
        self.broken.is_empty() && self.unrun.is_none() && self.revoked > 0 && is_kept
    }
}

/// Runs these failures on servers of their own, one after the other. `progress` hears of what comes next, and of what came of each.
///
/// # Errors
/// If the servers cannot be started.
pub async fn failures(
    store: Store,
    faults: &[Fault],
    options: Options,
    progress: &dyn Fn(&str),
) -> Result<Vec<Outcome>, Failure> {
    progress("starting the servers");
    let mut bed = Bed::start(store).await?;
    let mut outcomes = Vec::new();
    for fault in faults {
        let mut outcome = Outcome {
            store: store.name(),
            failure: fault.name(),
            runs: 0,
            revoked: 0,
            forgotten: 0,
            may_forget: fault.deposes() || *fault == Fault::Restart,
            answers: 0,
            longest_ms: 0,
            longest_asked_ms: 0,
            longest_without_copies_ms: 0,
            broken: Vec::new(),
            unrun: None,
        };
        let rounds = options.runs.div_ceil(options.nodes);
        for round in 0..rounds {
            let seed = options.seed.wrapping_add(round as u64);
            progress(&format!("{}, {} of {rounds}, seed {seed}", outcome.failure, round + 1));
            match one(&bed, *fault, options.nodes, seed).await {
                Ok(found) => outcome.add(seed, &found),
                Err(failure) => {
                    outcome.unrun = Some(failure.to_string());
                    // Whatever state they are in.
                    drop(bed);
                    bed = Bed::start(store).await?;
                    break;
                }
            }
        }
        progress(&outcome.describe());
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// One failure, which happens to so many nodes at once.
async fn one(bed: &Bed, fault: Fault, nodes: usize, seed: u64) -> Result<Found, Failure> {
    let mut world = World::start(bed, nodes, Rng::new(seed, 0)).await?;
    inject(fault, &mut world).await?;
    world.finish(fault.deposes()).await
}

impl Outcome {
    fn add(&mut self, seed: u64, Found { runs, bare }: &Found) {
        self.longest_without_copies_ms = self.longest_without_copies_ms.max(milliseconds(bare.answered));
        for Run { longest: Longest { asked, answered, .. }, over, by, revoked, forgotten, answers } in runs {
            self.runs += 1;
            self.revoked += revoked;
            self.forgotten += forgotten;
            self.answers += answers;
            self.longest_ms = self.longest_ms.max(milliseconds(*answered));
            self.longest_asked_ms = self.longest_asked_ms.max(milliseconds(*asked));
            if *over > MAX_STALE {
                self.broken.push(Broken { seed, asked_ms: milliseconds(*over), by });
            }
        }
    }

    fn describe(&self) -> String {
        let Self { failure, runs, revoked, longest_ms, broken, unrun, .. } = self;
        let verdict = match unrun {
            Some(why) => format!("not run: {why}"),
            None if broken.is_empty() => "holds".to_owned(),
            None => {
                let broken: Vec<String> =
                    broken.iter().map(|Broken { seed, asked_ms, by }| format!("{seed} {by} {asked_ms}")).collect();
                format!("broken in {} runs: {}", broken.len(), broken.join(", "))
            }
        };
        format!("{failure}: {runs} runs, {revoked} revocations, served for {longest_ms} ms at most: {verdict}")
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
