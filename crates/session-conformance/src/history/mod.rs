//! Recorded histories: what several tasks asked a store at once, what it answered, and whether it could have done so
//! one call after the other.
//!
//! That is linearizability: there is an order of all calls, in which each lies between its beginning and its end, and
//! in which [`Sessions`](crate::reference::Sessions) gives the same answers.

mod call;
mod log;
mod names;
#[cfg(test)]
mod oracle;
mod verdict;

pub(crate) use call::{Answer, Call};
pub(crate) use log::Log;

use session_core::{Entropy as _, OsEntropy};

use crate::outcome::Failure;

/// Small random numbers from a seed, so that a failure can name what was asked.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// A seed nobody knows.
    pub(crate) fn seed() -> Result<u64, Failure> {
        let mut seed = [0; 8];
        OsEntropy.fill(&mut seed)?;
        Ok(u64::from_be_bytes(seed))
    }

    /// The dice of one task.
    pub(crate) fn new(seed: u64, task: usize) -> Self {
        Self(seed.wrapping_add(task as u64))
    }

    /// A number below `end`. This is SplitMix64.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let turn = self.below(of.len().max(1) as u64);
        of.get(turn as usize).copied()
    }
}
