//! [`Dice`]: a random generator that can repeat itself and fail.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use session_core::{Entropy, EntropyError, OsEntropy};

const FAIR: u8 = 0;
const REPEATS: u8 = 1;
const FAILS: u8 = 2;

/// The generator of the operating system, until it is told otherwise. Clones are the same generator.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    first: Arc<OnceLock<Vec<u8>>>,
    mode: Arc<AtomicU8>,
}

impl Dice {
    pub(super) fn new() -> Self {
        Self { first: Arc::default(), mode: Arc::new(AtomicU8::new(FAIR)) }
    }

    /// The next bytes begin as those that were given out first: with the id of the first session.
    pub(super) fn repeat_the_first(&self) {
        self.mode.store(REPEATS, Ordering::SeqCst);
    }

    /// From now on there are no more random bytes.
    pub(super) fn fail(&self) {
        self.mode.store(FAILS, Ordering::SeqCst);
    }
}

impl Entropy for Dice {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        if self.mode.load(Ordering::SeqCst) == FAILS {
            return Err(EntropyError);
        }
        OsEntropy.fill(dest)?;
        let id = dest.len().min(16);
        let first = self.first.get_or_init(|| dest[..id].to_vec());
        if self.mode.swap(FAIR, Ordering::SeqCst) == REPEATS && first.len() == id {
            dest[..id].copy_from_slice(first);
        }
        Ok(())
    }
}
