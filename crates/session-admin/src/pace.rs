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

    /// Rests, after work that has begun then.
    pub(crate) async fn rest(self, work: Work) {
        let rest = self.rest_after(work.0.elapsed());
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }

    fn rest_after(self, took: Duration) -> Duration {
        took.saturating_mul(self.rest).min(LONGEST_REST)
    }
}

/// Something that takes time, and when it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work(Instant);

impl Work {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_longer_than_the_work_unless_that_waited_or_nobody_uses_the_store() {
        let [short, long] = [Duration::from_millis(10), Duration::from_secs(600)];
        let [gentle, fast] = [false, true].map(Pace::new);
        assert!(gentle.rest_after(short) >= 2 * short);
        assert_eq!(gentle.rest_after(long), LONGEST_REST);
        assert_eq!([fast.rest_after(short), fast.rest_after(long)], [Duration::ZERO; 2]);
        assert!(gentle.read < fast.read && gentle.moved < fast.moved && gentle.swept < fast.swept);
    }
}
