//! What happens to the primaries of a Cluster, and to their slots.

use std::collections::BTreeSet;
use std::time::Duration;

use session_conformance::Failure;
use tokio::time::sleep;

use crate::coherence::node::MAX_STALE;
use crate::coherence::world::World;
use crate::failure::failure;
use crate::servers::{Redis, RedisCluster, Reply, ServerError};

pub(super) async fn restart(world: &mut World<'_>, cluster: &RedisCluster) -> Result<(), Failure> {
    let victim = victim(world, cluster).await?;
    super::network::restart(world, victim).await?;
    cluster.settled().await.map_err(failure)
}

pub(super) async fn failover(world: &mut World<'_>, cluster: &RedisCluster) -> Result<(), Failure> {
    let victim = victim(world, cluster).await?;
    let replaced = async {
        let replica = cluster.replica_of(victim).await.map_err(failure)?;
        replica.command(&["CLUSTER", "FAILOVER"]).await.map_err(failure)?;
        cluster.settled().await.map_err(failure)
    };
    let (replaced, revoked) = tokio::join!(replaced, world.revoke(24, 200));
    replaced.and(revoked)
}

pub(super) async fn frozen(world: &mut World<'_>, cluster: &RedisCluster) -> Result<(), Failure> {
    let victim = victim(world, cluster).await?;
    let key = any_key(world, victim).await?;
    victim.pause().await.map_err(failure)?;
    // It does not answer, so that this is another one.
    cluster.primary_of(&key).await.map_err(failure)?;
    world.revoke(16, 50).await?;
    world.pause(0, 2000).await;
    victim.resume().await.map_err(failure)?;
    world.revoke(8, 50).await?;
    cluster.settled().await.map_err(failure)
}

pub(super) async fn slots_moved(world: &mut World<'_>, cluster: &RedisCluster) -> Result<(), Failure> {
    let victim = victim(world, cluster).await?;
    let mut to = None;
    for node in cluster.nodes() {
        if node.port() != victim.port() && is_primary(node).await? {
            to = Some(node);
        }
    }
    let to = to.ok_or_else(|| Failure::new("there is one primary only"))?;
    move_while_revoking(world, cluster, victim, to).await
}

pub(super) async fn slots_to_new(world: &mut World<'_>, cluster: &RedisCluster, spare: &Redis) -> Result<(), Failure> {
    let victim = victim(world, cluster).await?;
    let (port, bus) = (spare.port().to_string(), (spare.port() + 10_000).to_string());
    for node in cluster.nodes() {
        node.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await.map_err(failure)?;
    }
    for node in cluster.nodes().iter().chain([spare]) {
        while lines(node).await? != cluster.nodes().len() + 1 || !is_ok(node).await? {
            sleep(Duration::from_millis(20)).await;
        }
    }
    let moved = move_while_revoking(world, cluster, victim, spare).await;
    // As it was: the slots are where they were, and the node has met nobody.
    let slots = slots_of(world, spare).await?;
    move_slots(cluster, &slots, spare, victim, [Duration::ZERO; 2]).await?;
    let id = spare.command(&["CLUSTER", "MYID"]).await.map_err(failure)?;
    for node in cluster.nodes() {
        node.command(&["CLUSTER", "FORGET", id.text()]).await.map_err(failure)?;
    }
    spare.command(&["CLUSTER", "RESET", "HARD"]).await.map_err(failure)?;
    // One that has heard of it from another after it forgot.
    for node in cluster.nodes() {
        let _ = node.command(&["CLUSTER", "FORGET", id.text()]).await;
    }
    cluster.settled().await.map_err(failure)?;
    moved
}

/// How long the first slot is on its way when all of its sessions have arrived: longer than a copy may be used without a word.
const ARRIVAL: Duration = MAX_STALE.saturating_add(Duration::from_secs(3));

/// Slowly, so that sessions are revoked before, after, and at every step between.
async fn move_while_revoking(
    world: &mut World<'_>,
    cluster: &RedisCluster,
    from: &Redis,
    to: &Redis,
) -> Result<(), Failure> {
    let slots = slots_of(world, from).await?;
    let step = Duration::from_millis(100 + world.rng.below(400));
    let moved = move_slots(cluster, &slots, from, to, [step, ARRIVAL]);
    let (moved, revoked) = tokio::join!(moved, world.revoke(40, 600));
    moved.and(revoked)
}

async fn move_slots(
    cluster: &RedisCluster,
    slots: &BTreeSet<i64>,
    from: &Redis,
    to: &Redis,
    [step, arrival]: [Duration; 2],
) -> Result<(), Failure> {
    let moved = async {
        let (from_id, to_id) = (from.command(&["CLUSTER", "MYID"]).await?, to.command(&["CLUSTER", "MYID"]).await?);
        let port = to.port().to_string();
        for slot in slots.iter().map(i64::to_string) {
            to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", from_id.text()]).await?;
            from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", to_id.text()]).await?;
            sleep(step).await;
            loop {
                let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "4"]).await?;
                if keys.list().is_empty() {
                    break;
                }
                for key in keys.list() {
                    // No error if it ended meanwhile.
                    from.command(&["MIGRATE", "127.0.0.1", &port, key.text(), "0", "2000"]).await?;
                }
                sleep(step).await;
            }
            // With the first one it has a slot, and with that the nodes follow it.
            if slots.first().is_some_and(|first| first.to_string() == slot) {
                sleep(arrival).await;
            }
            // The new owner first, so that every slot always has one.
            let others = cluster.nodes().iter().filter(|node| ![to.port(), from.port()].contains(&node.port()));
            for node in [to, from].into_iter().chain(others) {
                // Replicas do not take it, and hear of it.
                let _ = node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", to_id.text()]).await;
                sleep(step / 4).await;
            }
        }
        Ok::<_, ServerError>(())
    };
    moved.await.map_err(failure)
}

/// The primary with most sessions.
async fn victim<'c>(world: &World<'_>, cluster: &'c RedisCluster) -> Result<&'c Redis, Failure> {
    let mut most = None;
    for node in cluster.nodes() {
        if is_primary(node).await? {
            let count = keys(world, node).await?.len();
            if most.is_none_or(|(least, _)| count > least) {
                most = Some((count, node));
            }
        }
    }
    most.map(|(_, node)| node).ok_or_else(|| Failure::new("there is no primary"))
}

async fn keys(world: &World<'_>, node: &Redis) -> Result<Vec<String>, Failure> {
    let keys = node.command(&["KEYS", &format!("{{{}:*", world.site.namespace)]).await.map_err(failure)?;
    Ok(keys.list().iter().map(|key| key.text().to_owned()).collect())
}

async fn any_key(world: &World<'_>, node: &Redis) -> Result<String, Failure> {
    keys(world, node).await?.into_iter().next().ok_or_else(|| Failure::new("a primary without sessions"))
}

async fn slots_of(world: &World<'_>, node: &Redis) -> Result<BTreeSet<i64>, Failure> {
    let mut slots = BTreeSet::new();
    for key in keys(world, node).await? {
        slots.extend(node.command(&["CLUSTER", "KEYSLOT", &key]).await.map_err(failure)?.number());
    }
    Ok(slots)
}

async fn is_primary(node: &Redis) -> Result<bool, Failure> {
    let role = node.command(&["ROLE"]).await.map_err(failure)?;
    Ok(role.list().first().map(Reply::text) == Some("master"))
}

/// How many nodes it knows.
async fn lines(node: &Redis) -> Result<usize, Failure> {
    let nodes = node.command(&["CLUSTER", "NODES"]).await.map_err(failure)?;
    Ok(nodes.text().lines().filter(|line| !line.contains("handshake")).count())
}

async fn is_ok(node: &Redis) -> Result<bool, Failure> {
    let info = node.command(&["CLUSTER", "INFO"]).await.map_err(failure)?;
    Ok(info.text().contains("cluster_state:ok"))
}
