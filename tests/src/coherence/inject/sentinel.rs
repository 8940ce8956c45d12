//! What happens to a primary and its replicas.

use std::time::{Duration, Instant};

use session_conformance::Failure;
use tokio::time::sleep;

use crate::coherence::fault::Fault;
use crate::coherence::node::MAX_STALE;
use crate::coherence::wire::{Way, Which};
use crate::coherence::world::World;
use crate::failure::failure;
use crate::servers::{Redis, RedisSentinel, Reply};

/// How long sentinels may take for a failover.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// The old primary is told to become a replica, and refuses. The node that revokes does not reach it.
pub(super) async fn split(fault: Fault, world: &mut World<'_>, set: &RedisSentinel) -> Result<(), Failure> {
    let old = set.primary().await.map_err(failure)?;
    let leader = &set.sentinels()[world.rng.below(set.sentinels().len() as u64) as usize];
    let others: Vec<&Redis> = set.sentinels().iter().filter(|sentinel| sentinel.port() != leader.port()).collect();
    let is_deaf = fault == Fault::FailoverDeaf;
    old.command(&["ACL", "SETUSER", "default", "-replicaof", "-slaveof"]).await.map_err(failure)?;
    if is_deaf {
        world.far.set_to(leader.address(), Way::Cut);
        others.iter().for_each(|other| world.near.set_to(other.address(), Way::Cut));
        talk(set, leader, &others, Talk::Forbidden).await?;
    }
    let replaced = replace(set, leader, old).await;
    world.near.set_to(old.address(), Way::Cut);
    if replaced.is_ok() {
        world.revoke(24, 50).await?;
        sleep(MAX_STALE + Duration::from_secs(3)).await;
    }
    old.command(&["ACL", "SETUSER", "default", "+@all"]).await.map_err(failure)?;
    if is_deaf {
        talk(set, leader, &others, Talk::Allowed).await?;
    }
    world.near.set(Which::All, Way::Pass);
    world.far.set(Which::All, Way::Pass);
    replaced?;
    set.settled().await.map_err(failure)
}

/// Whether others hear of what a sentinel knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Talk {
    Allowed,
    Forbidden,
}

/// It tells them on a channel of every server that it watches, and directly. One that does not hear of a failover undoes it, after
/// four times the period of these messages.
async fn talk(set: &RedisSentinel, leader: &Redis, others: &[&Redis], talk: Talk) -> Result<(), Failure> {
    let (publish, period) = match talk {
        Talk::Allowed => ("+publish", "500"),
        Talk::Forbidden => ("-publish", "5000"),
    };
    for sentinel in set.sentinels() {
        sentinel.command(&["SENTINEL", "DEBUG", "PUBLISH-PERIOD", period]).await.map_err(failure)?;
    }
    for other in others {
        other.command(&["ACL", "SETUSER", "default", publish]).await.map_err(failure)?;
    }
    // A user of its own: what the nodes publish is to be heard.
    let user = ["ACL", "SETUSER", "leader", "on", ">leader", "~*", "&*", "+@all", publish];
    for node in set.nodes() {
        node.command(&user).await.map_err(failure)?;
    }
    if talk == Talk::Forbidden {
        for setting in ["auth-user", "auth-pass"] {
            let set = ["SENTINEL", "SET", set.service(), setting, "leader"];
            leader.command(&set).await.map_err(failure)?;
        }
        reconnect(set, leader).await?;
    }
    Ok(())
}

/// Closes the connections of a sentinel, so that it is that user.
async fn reconnect(set: &RedisSentinel, leader: &Redis) -> Result<(), Failure> {
    let id = leader.command(&["SENTINEL", "MYID"]).await.map_err(failure)?;
    let name = format!(" name=sentinel-{}", id.text().chars().take(8).collect::<String>());
    for node in set.nodes() {
        let clients = node.command(&["CLIENT", "LIST"]).await.map_err(failure)?;
        for client in clients.text().lines().filter(|client| client.contains(&name)) {
            let number = client.split(' ').next().and_then(|field| field.strip_prefix("id=")).unwrap_or_default();
            node.command(&["CLIENT", "KILL", "ID", number]).await.map_err(failure)?;
        }
    }
    Ok(())
}

/// Another node becomes the primary, as this sentinel wants it, and says.
async fn replace(set: &RedisSentinel, leader: &Redis, old: &Redis) -> Result<(), Failure> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        // Refused until the replicas have been seen, and for a while after the failover before; and given up if their connections
        // are just being made again.
        let _ = leader.command(&["SENTINEL", "FAILOVER", set.service()]).await;
        for _ in 0..200 {
            let named =
                leader.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", set.service()]).await.map_err(failure)?;
            if named.list().get(1).and_then(Reply::number) != Some(i64::from(old.port())) {
                return Ok(());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
    Err(Failure::new("a sentinel names no other primary"))
}
