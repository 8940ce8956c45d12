//! [`TestEntropy`]: a random generator that can repeat itself and fail.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use session_core::{Entropy, EntropyError, OsEntropy};

const WORKS: u8 = 0;
const REPEATS: u8 = 1;
const FAILS: u8 = 2;

/// The generator of the operating system, until told otherwise. Clones are the same generator.
#[derive(Clone, Debug, Default)]
pub(super) struct TestEntropy {
    first: Arc<OnceLock<Vec<u8>>>,
    mode: Arc<AtomicU8>,
}

impl TestEntropy {
    /// The next bytes begin like the first ones ever: with the id of the first session.
    pub(super) fn repeat_the_first(&self) {
        self.mode.store(REPEATS, Ordering::SeqCst);
    }

    /// From now on there are no random bytes.
    pub(super) fn fail(&self) {
        self.mode.store(FAILS, Ordering::SeqCst);
    }
}

impl Entropy for TestEntropy {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        if self.mode.load(Ordering::SeqCst) == FAILS {
            return Err(EntropyError);
        }
        OsEntropy.fill(dest)?;
        let id = dest.len().min(16);
        let first = self.first.get_or_init(|| dest[..id].to_vec());
        if self.mode.swap(WORKS, Ordering::SeqCst) == REPEATS && first.len() == id {
            dest[..id].copy_from_slice(first);
        }
        Ok(())
    }
}
