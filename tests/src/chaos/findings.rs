//! [`Findings`]: what happened, and what was broken.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fault::Fault;

/// A promise that must not be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// An increment was acknowledged and is not there.
    LostUpdate,
    /// An increment is there twice.
    AppliedTwice,
    /// A session is there although its end was acknowledged.
    Revival,
    /// A client that did nothing wrong was taken for a thief, or its session ended by itself.
    FalseAlarm,
    /// A session of which no client has the token is there when all is quiet.
    Orphan,
    /// The server has a connection that no node needs.
    LeakedConnection,
    /// Something took longer than any time limit, or is not finished when all is quiet.
    Unfinished,
    /// An answer that there is no reason for.
    Unexpected,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::LostUpdate,
        Self::AppliedTwice,
        Self::Revival,
        Self::FalseAlarm,
        Self::Orphan,
        Self::LeakedConnection,
        Self::Unfinished,
        Self::Unexpected,
    ];
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// How often each promise was broken. Only those that were.
    pub broken: BTreeMap<Broken, usize>,
    /// The first of them, in words.
    pub descriptions: Vec<String>,
    /// How often each fault began.
    pub faults: BTreeMap<Fault, usize>,
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that failed because the store did not answer.
    pub failed: usize,
    /// Requests whose caller gave up.
    pub cancelled: usize,
    /// Requests that lost a race and were asked to come again.
    pub raced: usize,
    /// Sessions that began.
    pub sessions: usize,
    /// Tokens that were renewed or rotated.
    pub renewals: usize,
    /// Sessions that were ended because their token reached no client.
    pub unreceived: usize,
    /// Loads that a copy answered.
    pub copies: u64,
    /// How long after its end was known to a client a session was still opened with a copy, at most.
    pub longest_dead: Duration,
    /// The most connections that the server had at once.
    pub connections: usize,
}

impl Findings {
    /// Whether all promises held.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.broken.is_empty()
    }
}
