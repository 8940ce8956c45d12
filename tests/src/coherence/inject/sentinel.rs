//! What happens to a primary and its replicas.

use std::time::Duration;

use session_conformance::Failure;
use tokio::time::sleep;

use crate::coherence::failure::failure;
use crate::coherence::fault::Fault;
use crate::coherence::node::MAX_STALE;
use crate::coherence::wire::Way;
use crate::coherence::world::World;
use crate::servers::{Redis, RedisSentinel};

/// It is back before it is missed.
pub(super) async fn restart(world: &mut World<'_>, set: &RedisSentinel) -> Result<(), Failure> {
    let primary = set.primary().await.map_err(failure)?;
    super::network::restart(world, primary).await?;
    set.settled().await.map_err(failure)
}

pub(super) async fn failover(world: &mut World<'_>, set: &RedisSentinel) -> Result<(), Failure> {
    let old = set.primary().await.map_err(failure)?;
    let replaced = async {
        replace(set, &set.sentinels()[0], old).await?;
        set.settled().await.map_err(failure)
    };
    let (replaced, revoked) = tokio::join!(replaced, world.revoke(24, 200));
    replaced.and(revoked)
}

pub(super) async fn frozen(world: &mut World<'_>, set: &RedisSentinel) -> Result<(), Failure> {
    let old = set.primary().await.map_err(failure)?;
    old.pause().await.map_err(failure)?;
    // It does not answer, so that this is another one.
    set.primary().await.map_err(failure)?;
    world.revoke(16, 50).await?;
    world.pause(0, 2000).await;
    old.resume().await.map_err(failure)?;
    world.revoke(8, 50).await?;
    set.settled().await.map_err(failure)
}

/// The old primary is told to become a replica, and refuses. The node that revokes is not where it is.
pub(super) async fn split(fault: Fault, world: &mut World<'_>, set: &RedisSentinel) -> Result<(), Failure> {
    let old = set.primary().await.map_err(failure)?;
    let leader = &set.sentinels()[world.rng.below(set.sentinels().len() as u64) as usize];
    old.command(&["ACL", "SETUSER", "default", "-replicaof", "-slaveof"]).await.map_err(failure)?;
    if fault == Fault::FailoverDeaf {
        world.far.set_to(leader.address(), Way::Cut);
        // As seldom as by default: until then the others do not hear of it.
        tell_every(set, "2000").await?;
    }
    let replaced = replace(set, leader, old).await;
    world.near.set_to(old.address(), Way::Cut);
    if replaced.is_ok() {
        world.revoke(24, 50).await?;
        sleep(MAX_STALE + Duration::from_secs(3)).await;
    }
    old.command(&["ACL", "SETUSER", "default", "+@all"]).await.map_err(failure)?;
    world.near.set_to(old.address(), Way::Pass);
    world.far.set_to(leader.address(), Way::Pass);
    tell_every(set, "500").await?;
    replaced?;
    set.settled().await.map_err(failure)
}

/// How often the sentinels tell each other what they know, in milliseconds.
async fn tell_every(set: &RedisSentinel, period: &str) -> Result<(), Failure> {
    for sentinel in set.sentinels() {
        sentinel.command(&["SENTINEL", "DEBUG", "PUBLISH-PERIOD", period]).await.map_err(failure)?;
    }
    Ok(())
}

/// Another node becomes the primary, as this sentinel wants it, and says.
async fn replace(set: &RedisSentinel, leader: &Redis, old: &Redis) -> Result<(), Failure> {
    // Refused until the replicas have been seen, and for a while after the failover before.
    while leader.command(&["SENTINEL", "FAILOVER", set.service()]).await.is_err() {
        sleep(Duration::from_millis(100)).await;
    }
    loop {
        let named = leader.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", set.service()]).await.map_err(failure)?;
        if named.list().get(1).and_then(crate::servers::Reply::number) != Some(i64::from(old.port())) {
            return Ok(());
        }
        sleep(Duration::from_millis(5)).await;
    }
}
