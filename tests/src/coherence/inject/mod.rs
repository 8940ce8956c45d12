//! [`inject`]: lets it go wrong, revokes sessions meanwhile, and leaves everything as it was.

mod cluster;
mod network;
mod postgres;
mod sentinel;

use session_conformance::Failure;

use super::bed::Bed;
use super::fault::Fault;
use super::wire::{Way, Which};
use super::world::World;

pub(super) async fn inject(fault: Fault, world: &mut World<'_>) -> Result<(), Failure> {
    let bed = world.bed;
    match (fault, bed) {
        (Fault::Suspend, _) => network::suspend(world).await,
        (Fault::FeedReset, _) => network::reset(world, Which::Feeds).await,
        (Fault::AllReset, _) => network::reset(world, Which::All).await,
        (Fault::FeedCut, _) => network::disturb(world, Which::Feeds, Way::Cut).await,
        (Fault::FeedHole, _) => network::disturb(world, Which::Feeds, Way::HoldAll).await,
        (Fault::FeedHoleIn, _) => network::disturb(world, Which::Feeds, Way::HoldReplies).await,
        (Fault::FeedHoleOut, _) => network::disturb(world, Which::Feeds, Way::HoldRequests).await,
        (Fault::AllHole, _) => network::disturb(world, Which::All, Way::HoldAll).await,
        (Fault::Restart, Bed::Redis(server)) => network::restart(world, server).await,
        (Fault::Restart, Bed::Postgres(server)) => network::restart(world, server).await,
        (Fault::Restart, Bed::Sentinel(set)) => sentinel::restart(world, set).await,
        (Fault::Restart, Bed::Cluster { cluster, .. }) => cluster::restart(world, cluster).await,
        (Fault::Failover, Bed::Sentinel(set)) => sentinel::failover(world, set).await,
        (Fault::FailoverFrozen, Bed::Sentinel(set)) => sentinel::frozen(world, set).await,
        (Fault::FailoverSplit | Fault::FailoverDeaf, Bed::Sentinel(set)) => sentinel::split(fault, world, set).await,
        (Fault::Failover, Bed::Cluster { cluster, .. }) => cluster::failover(world, cluster).await,
        (Fault::FailoverFrozen, Bed::Cluster { cluster, .. }) => cluster::frozen(world, cluster).await,
        (Fault::SlotsMoved, Bed::Cluster { cluster, .. }) => cluster::slots_moved(world, cluster).await,
        (Fault::SlotsToNew, Bed::Cluster { cluster, spare }) => cluster::slots_to_new(world, cluster, spare).await,
        (Fault::WriterKilled, Bed::Postgres(server)) => postgres::writer_killed(world, server).await,
        (Fault::NotifyBlocked, Bed::Postgres(server)) => postgres::notify_blocked(world, server).await,
        _ => Err(Failure::new(format!("a store like this one cannot have {}", fault.name()))),
    }
}
