//! How many anonymous sessions there may be: [`VisitorLimit`].

use std::num::NonZeroU32;

use super::limit::{LimitPolicy, SessionLimit};
use crate::entropy::{Entropy, EntropyError};
use crate::model::id::SessionId;

/// How many anonymous sessions there may be at once, in the whole application.
///
/// Anyone can have one, without a login: a script that keeps no cookie begins another with each request. Beyond the limit,
/// each new one ends the one that was used least recently. The sessions of users neither count nor end.
///
/// Counting all of them at each visit would cost a shared store more than the visit. So the ids of visitors lie in few
/// [shards](Self::shards), and each has an equal [part](Self::of_shard) of the limit, 64 to 127 sessions: a bound that is
/// never exceeded. Chance fills some shards before others: the first session ends when two thirds of the limit are used, one of
/// a hundred at nine tenths. Up to 127 visitors there is one shard, the limit is exact, and visits to a shared store that meet
/// wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitorLimit {
    max: NonZeroU32,
}

/// The smallest part of the limit that a shard gets: with fewer, chance would fill some shards long before others.
const PART: u32 = 64;

impl VisitorLimit {
    /// The highest limit a policy accepts: 1024 sessions a shard.
    pub const HARD_CAP: u32 = 1 << 26;

    /// At most `max`; for policies, and tests of backends. `None` if that is zero or more than [`HARD_CAP`](Self::HARD_CAP).
    #[must_use]
    pub fn new(max: u32) -> Option<Self> {
        NonZeroU32::new(max).filter(|max| max.get() <= Self::HARD_CAP).map(|max| Self { max })
    }

    /// For constants: `max` must be in range.
    pub(super) fn capped(max: u32) -> Self {
        Self { max: NonZeroU32::new(max.min(Self::HARD_CAP)).unwrap_or(NonZeroU32::MIN) }
    }

    /// The limit.
    #[must_use]
    pub const fn max(&self) -> NonZeroU32 {
        self.max
    }

    /// In how many shards the visitors are, from shard 0 on: a power of two, at most 65 536.
    #[must_use]
    pub const fn shards(&self) -> u32 {
        let parts = self.max.get() / PART;
        // The largest power of two that is no larger.
        let shards = if parts == 0 { 1 } else { 1 << parts.ilog2() };
        if shards > SHARDS { SHARDS } else { shards }
    }

    /// What the visitors of one shard may have: for backends, which apply it as if they were the sessions of one user.
    #[must_use]
    pub fn of_shard(&self) -> SessionLimit {
        SessionLimit::capped(self.max.get() / self.shards(), LimitPolicy::EvictLeastRecent)
    }

    /// The id of a new visitor.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed.
    pub fn generate_id(&self, entropy: &dyn Entropy) -> Result<SessionId, EntropyError> {
        let mut bytes = *SessionId::generate(None, entropy)?.as_bytes();
        let shard = u32::from(u16::from_be_bytes([bytes[0], bytes[1]])) % self.shards();
        bytes[..2].copy_from_slice(&shard.to_be_bytes()[2..]);
        Ok(SessionId::from_bytes(bytes))
    }
}

const SHARDS: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn all_shards_together_hold_nearly_the_limit_and_never_more() {
        for max in [1, 2, 63, 64, 127, 128, 1000, 99_999, 100_000, 1 << 22, (1 << 22) + 1, VisitorLimit::HARD_CAP] {
            let limit = VisitorLimit::new(max).unwrap();
            let (shards, part) = (limit.shards(), limit.of_shard().max.get());
            assert!(shards.is_power_of_two() && shards <= SHARDS, "{max}: {shards}");
            let all = u64::from(shards) * u64::from(part);
            assert!(all <= u64::from(max) && all * 64 >= u64::from(max) * 63, "{max}: {shards} x {part}");
            assert!(shards == 1 || part >= PART, "{max}: {shards} x {part}");
        }
        assert_eq!(VisitorLimit::new(127).unwrap().of_shard().max.get(), 127);
        assert_eq!(VisitorLimit::new(0), None);
        assert_eq!(VisitorLimit::new(VisitorLimit::HARD_CAP + 1), None);
    }

    #[test]
    fn ids_lie_in_the_shards_of_the_limit_and_use_all_of_them() {
        let limit = VisitorLimit::new(1000).unwrap();
        assert_eq!(limit.shards(), 8);
        let ids = (0..1000).map(|_| limit.generate_id(&OsEntropy).unwrap());
        let mut seen = ids.map(|id| id.shard()).collect::<Vec<_>>();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(VisitorLimit::new(VisitorLimit::HARD_CAP).unwrap().generate_id(&OsEntropy).is_ok());
    }
}
