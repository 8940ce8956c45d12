//! What happens to nodes, to their connections, and to a server that is alone.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use session_conformance::Failure;
use tokio::time::sleep;

use crate::coherence::node::MAX_STALE;
use crate::coherence::wire::{Way, Which};
use crate::coherence::world::World;
use crate::failure::failure;
use crate::servers::Server;

/// How long nodes are stopped.
const SUSPENDED: Duration = Duration::from_secs(20);

/// Longer than a copy may be used without a word of the store.
const DISTURBED: Duration = MAX_STALE.saturating_add(Duration::from_secs(3));

pub(super) async fn suspend(world: &mut World<'_>) -> Result<(), Failure> {
    let begin = Instant::now();
    try_join_all(world.others.iter().map(|node| node.process().pause())).await.map_err(failure)?;
    world.revoke(24, 200).await?;
    sleep(SUSPENDED.saturating_sub(begin.elapsed())).await;
    try_join_all(world.others.iter().map(|node| node.process().resume())).await.map_err(failure)?;
    Ok(())
}

/// Sessions are revoked before, and at once after.
pub(super) async fn reset(world: &mut World<'_>, which: Which) -> Result<(), Failure> {
    for _ in 0..5 {
        world.revoke(2, 5).await?;
        world.far.reset(which);
        world.revoke(4, 10).await?;
        world.pause(0, 1500).await;
    }
    Ok(())
}

pub(super) async fn disturb(world: &mut World<'_>, which: Which, way: Way) -> Result<(), Failure> {
    // At any moment between two beats.
    world.pause(0, 1000).await;
    let begin = Instant::now();
    world.far.set(which, way);
    world.revoke(24, 100).await?;
    sleep(DISTURBED.saturating_sub(begin.elapsed())).await;
    world.far.set(which, Way::Pass);
    world.revoke(8, 100).await
}

/// It is killed, and started again while sessions are to be revoked.
pub(super) async fn restart(world: &mut World<'_>, server: &Server) -> Result<(), Failure> {
    for _ in 0..2 {
        world.revoke(2, 5).await?;
        let down = Duration::from_millis(world.rng.below(700));
        let restart = async {
            server.kill9().await.map_err(failure)?;
            sleep(down).await;
            server.start().await.map_err(failure)
        };
        let (restarted, revoked) = tokio::join!(restart, world.revoke(10, 20));
        restarted?;
        revoked?;
        world.pause(0, 1000).await;
    }
    Ok(())
}
