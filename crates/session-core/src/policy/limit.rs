//! How many sessions a user may have, and which are evicted: [`SessionLimit`].

use std::num::NonZeroU32;

use crate::clock::Timestamp;
use crate::model::id::SessionId;

/// How many sessions one user may have at once.
///
/// Enforced inside [`SessionStore::create`](crate::store::SessionStore::create), atomically: after K simultaneous logins exactly
/// min(K, max) live. Anonymous and expired sessions do not count, nor does the one that the login replaces.
///
/// Sessions that are dead only because the policy was tightened after they began never keep a login out. Under the two
/// eviction rules they take a place until they are evicted or reach their own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimit {
    /// The highest number of live sessions.
    pub max: NonZeroU32,
    /// What happens to the login that would exceed it.
    pub at_limit: LimitPolicy,
}

impl SessionLimit {
    /// The highest limit a policy accepts: a user with more sessions than this has a script, and would make every
    /// login and every list slow.
    pub const HARD_CAP: u32 = 100;

    /// For constants: `max` must not be zero.
    pub(super) fn capped(max: u32, at_limit: LimitPolicy) -> Self {
        Self { max: NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN), at_limit }
    }

    /// Which of `others`, the live sessions a user has, must end so that one more fits; `None` if the login is to be
    /// rejected. For backends, inside their atomic step.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use session_core::store::LimitCandidate;
    /// use session_core::{LimitPolicy, OsEntropy, SessionId, SessionLimit, Timestamp};
    ///
    /// let session = |created_at| LimitCandidate {
    ///     id: SessionId::generate(None, &OsEntropy).unwrap(),
    ///     created_at: Timestamp::from_millis(created_at),
    ///     last_seen: Timestamp::from_millis(9_000),
    /// };
    /// let limit = SessionLimit { max: NonZeroU32::new(2).unwrap(), at_limit: LimitPolicy::EvictOldest };
    /// let (old, young) = (session(1_000), session(2_000));
    /// assert_eq!(limit.select_evictions(vec![young]), Some(vec![]));
    /// assert_eq!(limit.select_evictions(vec![young, old]), Some(vec![old.id]));
    /// ```
    #[must_use]
    pub fn select_evictions(&self, mut others: Vec<LimitCandidate>) -> Option<Vec<SessionId>> {
        let excess = (others.len() + 1).saturating_sub(self.max.get() as usize);
        if excess == 0 {
            return Some(Vec::new());
        }
        match self.at_limit {
            LimitPolicy::Reject => return None,
            LimitPolicy::EvictOldest => others.sort_unstable_by_key(|other| (other.created_at, other.id)),
            LimitPolicy::EvictLeastRecent => others.sort_unstable_by_key(|other| (other.last_seen, other.id)),
        }
        Some(others.iter().take(excess).map(|other| other.id).collect())
    }
}

/// A live session that counts towards a [`SessionLimit`].
#[derive(Clone, Copy, Debug)]
pub struct LimitCandidate {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: Timestamp,
    /// Last recorded activity.
    pub last_seen: Timestamp,
}

/// What happens at the session limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPolicy {
    /// The session that began first ends (at equal times, the one with the lower id).
    EvictOldest,
    /// The session that was used least recently ends (at equal times, the one with the lower id).
    EvictLeastRecent,
    /// The login fails with [`Error::LimitReached`](crate::Error::LimitReached).
    Reject,
}
