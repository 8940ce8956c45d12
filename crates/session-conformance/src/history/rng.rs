//! [`Rng`]: small random numbers that can be repeated.

use session_core::{Entropy as _, OsEntropy};

use crate::outcome::Failure;

/// SplitMix64, from a seed that a failure can name.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// A random seed.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn seed() -> Result<u64, Failure> {
        let mut seed = [0; 8];
        OsEntropy.fill(&mut seed)?;
        Ok(u64::from_be_bytes(seed))
    }

    /// The generator of one task.
    #[must_use]
    pub fn new(seed: u64, task: usize) -> Self {
        Self(seed.wrapping_add(task as u64))
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of these; `None` if there are none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len().max(1) as u64);
        of.get(at as usize).copied()
    }
}
