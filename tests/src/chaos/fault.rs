//! [`Fault`]: what goes wrong.

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The server is killed (`kill -9`) and started again.
    Kill,
    /// The server is stopped (`SIGSTOP`) and goes on.
    Freeze,
    /// Nothing passes between a node and the server; what was sent arrives later.
    Partition,
    /// The connections of a node are closed, and new ones refused.
    Cut,
    /// Everything takes longer.
    Slow,
    /// A node loses the replies of the server, with their connections.
    LostReplies,
    /// A node gets the beginning of a reply, and nothing more.
    TornReplies,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Kill, Self::Freeze, Self::Partition, Self::Cut, Self::Slow, Self::LostReplies, Self::TornReplies];
}
