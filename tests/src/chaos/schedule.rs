//! What goes wrong, and when.

use std::time::Duration;

use session_conformance::{Failure, Rng};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::fault::Fault;
use super::ledger::Ledger;
use super::link::Weather;
use super::servers::NODES;
use super::world::World;

/// Disturbs the world until `end`, with pauses.
pub(super) async fn disturb(world: &World, ledger: &Ledger, mut rng: Rng, end: Instant) -> Result<(), Failure> {
    // The users log in first.
    sleep(Duration::from_millis(1500)).await;
    while Instant::now() < end {
        let fault = Fault::ALL[rng.below(Fault::ALL.len() as u64) as usize];
        let node = rng.below(NODES as u64) as usize;
        let lasts = Duration::from_millis(200 + rng.below(3000));
        let delay = Duration::from_millis(5 + rng.below(200));
        let pause = Duration::from_millis(300 + rng.below(1500));
        ledger.fault(fault);
        match fault {
            // The shorter, the more often connections are made while it starts.
            Fault::Kill => world.kill(lasts / 3).await?,
            Fault::Freeze => world.freeze(lasts).await?,
            Fault::Partition => world.disturb(&[node], Weather::Silent, lasts).await,
            Fault::Cut => world.disturb(&[node], Weather::Cut, lasts).await,
            Fault::Slow => world.disturb(&[0, 1, 2], Weather::Slow(delay), lasts).await,
            Fault::LostReplies => world.disturb(&[node], Weather::LosesReplies, lasts).await,
            Fault::TornReplies => world.disturb(&[node], Weather::TearsReplies, lasts).await,
        }
        let _ = timeout_at(end, sleep(pause)).await;
    }
    sleep_until(end).await;
    Ok(())
}
