//! What reading a warm session costs, and how soon a node obeys what another one did.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use session_conformance::Failure;

use super::bed::{Bed, Store};
use super::census::{Census, Counting};
use super::http::Connection;
use super::node::{Copies, Login, Node, Site, Verdict};
use crate::failure::failure;

/// How long a node may take to hear of something when nothing is wrong. Far more than it does.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many sessions a user may have: with the third login, the first session ends.
const LIMIT: u32 = 2;

/// What is done on one node, after which the other must refuse the cookie that it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// The session ends.
    Logout,
    /// A login takes its place.
    Login,
    /// It has another token.
    Regenerate,
    /// Another session of the user ends all of them.
    RevokeAll,
    /// There is one too many.
    Eviction,
}

impl Revocation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Logout, Self::Login, Self::Regenerate, Self::RevokeAll, Self::Eviction];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Login => "login",
            Self::Regenerate => "regenerate",
            Self::RevokeAll => "revoke-all",
            Self::Eviction => "eviction",
        }
    }
}

/// What was measured on a store.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// The store.
    pub store: &'static str,
    /// How often each thing was done.
    pub rounds: usize,
    /// What reading a warm session took from the servers: each command or statement, and how often it was executed.
    pub executed: BTreeMap<String, u64>,
    /// The same, of a node that keeps no copies: what is counted, if there is something to count.
    pub executed_without_copies: u64,
    /// How many of the reads a copy answered.
    pub hits: u64,
    /// How many it did not.
    pub misses: u64,
    /// How long a question to the other node takes, and its answer, when a copy is there: half of them take no longer.
    pub round_trip_ms: f64,
    /// From the answer on one node until the other refuses.
    pub revocations: BTreeMap<Revocation, Delays>,
}

/// How long something took, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Delays {
    /// Half of them take no longer.
    pub p50_ms: f64,
    /// One in a hundred takes longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// How many questions were answered with the session meanwhile, in all.
    pub served: usize,
}

impl Latency {
    /// Whether reading cost nothing, the counter counts, and every read was answered by a copy.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let rounds = self.rounds as u64;
        self.executed.is_empty() && self.executed_without_copies >= rounds && (self.hits, self.misses) == (rounds, 0)
    }
}

/// Measures it on servers of its own. `progress` is told what comes next.
///
/// # Errors
/// If servers or nodes cannot be started, or something is not obeyed at all.
pub async fn latency(store: Store, rounds: usize, progress: &dyn Fn(&str)) -> Result<Latency, Failure> {
    progress("starting the servers");
    let bed = Bed::start(store).await?;
    let site = Site::new(LIMIT)?;
    let [a, b] = [site.start(&bed.url(), Copies::Kept).await?, site.start(&bed.url(), Copies::Kept).await?];
    let mut pair = Pair { a: a.connect(), b: b.connect() };
    progress("reads of a warm session");
    Census::set(&bed, Counting::On).await?;
    let (executed, [hits, misses], round_trip) = warm_reads(&bed, &b, &mut pair, rounds).await?;
    let without = site.start(&bed.url(), Copies::None).await?;
    let executed_without_copies = reads_without_copies(&bed, &without, &mut pair, rounds).await?;
    drop(without);
    Census::set(&bed, Counting::Off).await?;
    let mut revocations = BTreeMap::new();
    for revocation in Revocation::ALL {
        progress(revocation.name());
        let mut delays = Vec::with_capacity(rounds);
        let mut served = 0;
        for _ in 0..rounds {
            let (delay, answers) = pair.round(revocation).await?;
            delays.push(delay);
            served += answers;
        }
        let [p50_ms, p99_ms, max_ms] = [0.5, 0.99, 1.0].map(|part| milliseconds(quantile(&mut delays, part)));
        revocations.insert(revocation, Delays { p50_ms, p99_ms, max_ms, served });
    }
    Ok(Latency {
        store: store.name(),
        rounds,
        executed,
        executed_without_copies,
        hits,
        misses,
        round_trip_ms: milliseconds(round_trip),
        revocations,
    })
}

/// What reading a session takes from the servers, the hits and misses of the node, and how long half of the reads take at most.
async fn warm_reads(
    bed: &Bed,
    b: &Node,
    pair: &mut Pair,
    rounds: usize,
) -> Result<(BTreeMap<String, u64>, [u64; 2], Duration), Failure> {
    let login = pair.warm().await?;
    let counts = async || {
        let cache = b.cache().await?;
        let count = |name: &str| cache[name].as_u64().ok_or_else(|| Failure::new(format!("no {name} in /api/cache")));
        Ok::<_, Failure>([count("hits")?, count("misses")?])
    };
    let (before, census) = (counts().await?, Census::take(bed).await?);
    let mut taken = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let asked = Instant::now();
        pair.expect(&login, Verdict::Served).await?;
        taken.push(asked.elapsed());
    }
    let executed = Census::take(bed).await?.since(&census);
    let after = counts().await?;
    pair.end(&login).await?;
    Ok((executed, [after[0] - before[0], after[1] - before[1]], quantile(&mut taken, 0.5)))
}

/// How many commands or statements the servers execute for as many reads on a node that keeps no copies.
async fn reads_without_copies(bed: &Bed, node: &Node, pair: &mut Pair, rounds: usize) -> Result<u64, Failure> {
    let login = Login::begin(&mut pair.a, "alice", None).await?;
    let (mut connection, census) = (node.connect(), Census::take(bed).await?);
    for _ in 0..rounds {
        if login.ask(&mut connection).await.map_err(failure)? != Verdict::Served {
            return Err(Failure::new("a node without copies does not serve a session"));
        }
    }
    let executed = Census::take(bed).await?.since(&census);
    pair.end(&login).await?;
    Ok(executed.values().sum())
}

/// The node on which things are done, and the one that must obey.
struct Pair {
    a: Connection,
    b: Connection,
}

impl Pair {
    /// A session of which the other node has a copy.
    async fn warm(&mut self) -> Result<Login, Failure> {
        let login = Login::begin(&mut self.a, "alice", None).await?;
        // The second answer is that of the copy which the first one left, if nothing was heard of the session meanwhile.
        for _ in 0..2 {
            self.expect(&login, Verdict::Served).await?;
        }
        Ok(login)
    }

    async fn expect(&mut self, login: &Login, expected: Verdict) -> Result<(), Failure> {
        match login.ask(&mut self.b).await.map_err(failure)? {
            verdict if verdict == expected => Ok(()),
            verdict => Err(Failure::new(format!("{verdict:?} instead of {expected:?}"))),
        }
    }

    async fn post(&mut self, login: &Login, path: &str) -> Result<(), Failure> {
        match login.post(&mut self.a, path).await.map_err(failure)? {
            200 | 204 => Ok(()),
            status => Err(Failure::new(format!("{path} was answered with {status}"))),
        }
    }

    async fn end(&mut self, login: &Login) -> Result<(), Failure> {
        self.post(login, Login::REVOKE_ALL).await
    }

    /// From the answer on one node until the other refuses, and how often it served until then.
    async fn round(&mut self, revocation: Revocation) -> Result<(Duration, usize), Failure> {
        let login = self.warm().await?;
        // What is left in the end.
        let mut left = None;
        let done = match revocation {
            Revocation::Logout => {
                self.post(&login, Login::LOG_OUT).await?;
                Instant::now()
            }
            Revocation::Login => {
                left = Some(Login::begin(&mut self.a, login.user, Some(&login)).await?);
                Instant::now()
            }
            Revocation::Regenerate => {
                let answer = login.regenerate(&mut self.a).await.map_err(failure)?;
                let done = Instant::now();
                let cookie = answer.cookie.ok_or_else(|| Failure::new("a session did not get another token"))?;
                left = Some(Login { cookie, ..login.clone() });
                done
            }
            Revocation::RevokeAll => {
                let other = Login::begin(&mut self.a, login.user, None).await?;
                self.post(&other, Login::REVOKE_ALL).await?;
                Instant::now()
            }
            Revocation::Eviction => {
                // Sessions of one millisecond are equally old.
                tokio::time::sleep(Duration::from_millis(2)).await;
                for _ in 1..LIMIT {
                    Login::begin(&mut self.a, login.user, None).await?;
                }
                left = Some(Login::begin(&mut self.a, login.user, None).await?);
                Instant::now()
            }
        };
        let mut served = 0;
        loop {
            match login.ask(&mut self.b).await.map_err(failure)? {
                Verdict::Refused => break,
                Verdict::Served if done.elapsed() < PATIENCE => served += 1,
                verdict @ (Verdict::Served | Verdict::Failed) => {
                    return Err(Failure::new(format!("{verdict:?} after {}", revocation.name())));
                }
            }
        }
        let delay = done.elapsed();
        if let Some(left) = left {
            self.end(&left).await?;
        }
        Ok((delay, served))
    }
}

/// The value that such a part of them does not exceed.
fn quantile(values: &mut [Duration], part: f64) -> Duration {
    values.sort_unstable();
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::quantile;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let mut values: Vec<Duration> = (1..=1000).rev().map(Duration::from_millis).collect();
        let quantiles = [0.5, 0.99, 1.0].map(|part| quantile(&mut values, part).as_millis());
        assert_eq!(quantiles, [500, 990, 1000]);
        assert_eq!(quantile(&mut [], 0.5), Duration::ZERO);
    }
}
