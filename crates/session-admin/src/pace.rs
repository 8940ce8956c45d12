//! How a command leaves room for requests: [`Pace`].

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// However long something took: it was not the server that kept us waiting, but whoever reads the output.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// How much is done at a time, and how long nothing is done then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How many sessions a page has: so many are in memory.
    pub(crate) read: NonZeroU32,
    /// How many sessions move before a rest; of them, sixteen at once at most.
    pub(crate) moved: NonZeroU32,
    /// How many expired records one call may delete.
    pub(crate) swept: NonZeroU32,
    /// How many sessions are ended at once.
    pub(crate) ended: usize,
    /// How many times as long as what was done before.
    rest: u32,
}

impl Pace {
    const GENTLE: Self = Self {
        read: NonZeroU32::new(100).unwrap(),
        moved: NonZeroU32::new(4).unwrap(),
        swept: NonZeroU32::new(100).unwrap(),
        ended: 4,
        rest: 3,
    };

    /// Where nobody uses the store.
    const FAST: Self = Self {
        read: NonZeroU32::new(1000).unwrap(),
        moved: NonZeroU32::new(1000).unwrap(),
        swept: NonZeroU32::new(1000).unwrap(),
        ended: 16,
        rest: 0,
    };

    pub(crate) fn new(is_fast: bool) -> Self {
        if is_fast { Self::FAST } else { Self::GENTLE }
    }

    /// Rests, after work that began then.
    pub(crate) async fn rest(self, begin: Instant) {
        if self.rest > 0 {
            tokio::time::sleep((begin.elapsed() * self.rest).min(LONGEST_REST)).await;
        }
    }
}
