//! Users on three nodes while everything goes wrong that can, and what must hold all the same.
//!
//! The servers are killed and frozen, nodes are cut off, the network is slow and loses replies, callers give up at any
//! await, and the clocks of the nodes are 30 seconds early and late. Whatever a client was told must hold: the
//! `Ledger` knows what that is, and counts what does not. Where nodes have caches, a request may find a copy that was outdated,
//! or whose session ended, at most so long ago as the cache promises.
//!
//! The faults and what users do are derived from a seed. The interleaving is not: a seed that found something finds it
//! again within some runs.

mod cancel;
mod cookie_device;
mod fault;
mod file;
mod findings;
mod ledger;
mod link;
mod schedule;
mod servers;
mod target;
mod temper;
mod token_device;
mod world;

use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Failure, Rng};
use session_core::{SessionManager, UserId};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use self::cookie_device::CookieDevice;
use self::ledger::Ledger;
use self::servers::Servers;
use self::temper::Temper;
use self::token_device::TokenDevice;
use self::world::World;

pub use self::fault::Fault;
pub use self::findings::{Broken, Findings};
pub use self::target::Target;

/// How long a device may take for one thing that it does, whatever goes on: every call has a time limit of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long what goes on in the background may take once the servers answer again.
const DRAIN: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where sessions are kept.
    pub target: Target,
    /// For how long things go wrong. Starting, settling and the last checks take some ten seconds more.
    pub duration: Duration,
    /// What the faults and the decisions of users are derived from.
    pub seed: u64,
    /// How many users there are; each has two browsers and a client with a refresh token.
    pub users: usize,
}

/// Runs it.
///
/// # Errors
/// If the servers cannot be started, or do not answer when nothing is wrong any more.
pub async fn run(options: Options) -> Result<Findings, Failure> {
    let Options { target, duration, seed, users } = options;
    let servers = Servers::start(target).await?;
    let ledger = Arc::new(Ledger::new(servers.staleness()));
    let world = Arc::new(World::start(servers, &ledger).await?);
    let end = Instant::now() + duration;

    let mut devices = JoinSet::new();
    for number in 0..users {
        let user = UserId::new(format!("user {number}"))?;
        let temper = if number % 3 == 0 { Temper::Restless } else { Temper::Busy };
        for place in 0..3 {
            let rng = Rng::new(seed, 1 + number * 3 + place);
            let (world, ledger, user) = (Arc::clone(&world), Arc::clone(&ledger), user.clone());
            let device = if place < 2 {
                Device::Cookie(CookieDevice::new(world, ledger, user, temper, rng))
            } else {
                Device::Token(TokenDevice::new(world, ledger, user, temper, rng))
            };
            devices.spawn(device.live(end));
        }
    }
    let faults = schedule::disturb(&world, &ledger, Rng::new(seed, 0), end);
    let watch = world.watch_connections(&ledger, end);
    let (disturbed, watched) = tokio::join!(faults, watch);
    disturbed?;
    watched?;
    let mut devices = devices.join_all().await;

    world.heal().await?;
    let left = world.drain(DRAIN).await;
    ledger.background_left(left);
    // What the servers still had of clients that are gone is done by now.
    sleep(Duration::from_secs(2)).await;
    for device in &mut devices {
        device.check().await?;
    }
    for number in 0..users {
        let user = UserId::new(format!("user {number}"))?;
        let stored = world.calm(async |manager: &SessionManager| manager.list(&user).await).await?;
        ledger.stored(&user, &stored);
    }
    ledger.copies(world.copies_given());
    ledger.connections_left(world.leaked_connections(ledger.count(Fault::TornReplies)).await?);
    Ok(ledger.findings())
}

/// A device of a user.
enum Device {
    Cookie(CookieDevice),
    Token(TokenDevice),
}

impl Device {
    /// Does one thing after the other until `end`.
    async fn live(mut self, end: Instant) -> Self {
        while Instant::now() < end {
            let (ledger, done) = match &mut self {
                Self::Cookie(device) => (Arc::clone(&device.ledger), timeout(PATIENCE, device.act()).await),
                Self::Token(device) => (Arc::clone(&device.ledger), timeout(PATIENCE, device.act()).await),
            };
            if done.is_err() {
                ledger.hung();
            }
        }
        self
    }

    /// Looks, when nothing is wrong any more, whether all that its user was told holds.
    async fn check(&mut self) -> Result<(), Failure> {
        match self {
            Self::Cookie(device) => device.check().await,
            Self::Token(device) => device.check().await,
        }
    }
}
