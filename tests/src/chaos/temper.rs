//! [`Temper`]: what a user does most.

use session_conformance::Rng;

/// How many sessions that ended a device remembers.
pub(super) const REMEMBERED: usize = 100;

/// What a user does most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    /// Uses sessions.
    Busy,
    /// Begins and ends sessions.
    Restless,
}

impl Temper {
    /// A number below 1000. What uses a session has the low numbers.
    pub(super) fn decide(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Busy => rng.below(1000),
            Self::Restless => 880 + rng.below(120),
        }
    }
}

/// Adds what a device remembers, and forgets the oldest.
pub(super) fn remember<T>(memory: &mut Vec<T>, held: Option<T>) {
    memory.extend(held);
    let forgotten = memory.len().saturating_sub(REMEMBERED);
    memory.drain(..forgotten);
}
