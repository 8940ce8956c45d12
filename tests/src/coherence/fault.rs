//! [`Fault`]: what goes wrong, and on which stores it can.

use clap::ValueEnum;

use super::bed::Store;

/// Something that goes wrong between a revocation and the nodes that must obey it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// The nodes are stopped (`SIGSTOP`) for 20 seconds.
    Suspend,
    /// The connections of their feeds are reset, again and again.
    FeedReset,
    /// The same, and new ones are not possible for a while.
    FeedCut,
    /// All their connections are reset, again and again.
    AllReset,
    /// Nothing passes on the connections of their feeds.
    FeedHole,
    /// Nothing comes in there.
    FeedHoleIn,
    /// Nothing goes out there.
    FeedHoleOut,
    /// Nothing passes on any of their connections.
    AllHole,
    /// The server, or the primary, is killed and started again.
    Restart,
    /// Another server becomes the primary, in order.
    Failover,
    /// The primary is frozen until another one is, and then goes on.
    FailoverFrozen,
    /// The primary goes on as if nothing had happened, reachable for the nodes, and not for the one that revokes.
    FailoverSplit,
    /// The same, and the nodes do not reach the sentinel that did it; the other sentinels, which they reach, do not know of it.
    FailoverDeaf,
    /// Slots move to another primary.
    SlotsMoved,
    /// Slots move to a primary that has just joined, and has none.
    SlotsToNew,
    /// Nobody is notified of a revocation: its node is killed after the commit, or it is done by hand.
    WriterKilled,
    /// No notification gets through.
    NotifyBlocked,
}

impl Fault {
    /// Those that a store can have.
    #[must_use]
    pub fn of(store: Store) -> Vec<Self> {
        let network = [
            Self::Suspend,
            Self::FeedReset,
            Self::FeedCut,
            Self::AllReset,
            Self::FeedHole,
            Self::FeedHoleIn,
            Self::FeedHoleOut,
            Self::AllHole,
            Self::Restart,
        ];
        let more: &[Self] = match store {
            Store::Redis | Store::Valkey => &[],
            Store::RedisSentinel => &[Self::Failover, Self::FailoverFrozen, Self::FailoverSplit, Self::FailoverDeaf],
            Store::RedisCluster => &[Self::Failover, Self::FailoverFrozen, Self::SlotsMoved, Self::SlotsToNew],
            Store::Postgres => &[Self::WriterKilled, Self::NotifyBlocked],
        };
        [&network, more].concat()
    }

    /// Whether a primary that was replaced may go on answering, so that the store itself gives out what has ended.
    pub(super) fn deposes(self) -> bool {
        matches!(self, Self::Failover | Self::FailoverFrozen | Self::FailoverSplit | Self::FailoverDeaf)
    }

    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}
