//! [`Replays`]: which proofs were used, so that a captured one is good for nothing.

use std::collections::HashSet;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use session_core::{Error, SessionManager, Timestamp};

/// What identifies a proof: a digest of its key and its `jti`.
pub(crate) type ProofId = [u8; 16];

/// Independent parts, so that requests at the same time rarely wait for each other.
const PARTS: usize = 16;
/// What one process remembers at most, in each of two generations, of some 20 bytes each.
const CAPACITY: usize = 1_000_000;

/// Whether a proof was used before.
#[derive(Clone)]
pub(super) enum Replays {
    /// In this process.
    Here(Arc<Seen>),
    /// On any server with the same store.
    Everywhere(SessionManager),
}

/// Why it is not known whether a proof was used before.
pub(super) enum ReplayError {
    /// As many proofs as this process can remember were used in a short time.
    Full,
    /// The store failed.
    Store(Error),
}

impl Replays {
    pub(super) fn here() -> Self {
        Self::Here(Arc::default())
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here(own), Self::Here(others)) => Arc::ptr_eq(own, others),
            // Who uses several stores in one stack of layers is nobody.
            (Self::Everywhere(_), Self::Everywhere(_)) => true,
            (Self::Here(_), Self::Everywhere(_)) | (Self::Everywhere(_), Self::Here(_)) => false,
        }
    }

    /// Whether it is used for the first time. It is remembered until `until`, which is at most `window` from now.
    pub(super) async fn claim(
        &self,
        id: &ProofId,
        until: Timestamp,
        window: Duration,
        now: Timestamp,
    ) -> Result<bool, ReplayError> {
        match self {
            Self::Here(seen) => seen.claim(id, window, now).ok_or(ReplayError::Full),
            Self::Everywhere(manager) => manager.claim_once("dpop", id, until).await.map_err(ReplayError::Store),
        }
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Everywhere(_) => "Everywhere",
        })
    }
}

/// Two generations of proofs: a new one begins when the older has lived for a window, and the one before is forgotten. So each
/// is remembered for one window at least and two at most, and forgetting costs nothing.
#[derive(Default)]
pub(super) struct Seen([Mutex<Part>; PARTS]);

#[derive(Default)]
struct Part {
    began: Option<Timestamp>,
    /// The longest that was asked for.
    window: Duration,
    current: HashSet<ProofId>,
    previous: HashSet<ProofId>,
}

impl Seen {
    /// `None` if there is no room.
    fn claim(&self, id: &ProofId, window: Duration, now: Timestamp) -> Option<bool> {
        self.claim_within(id, window, now, CAPACITY / PARTS)
    }

    fn claim_within(&self, id: &ProofId, window: Duration, now: Timestamp, capacity: usize) -> Option<bool> {
        let part = &self.0[usize::from(id[0]) % PARTS];
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        part.renew(window, now);
        if part.current.contains(id) || part.previous.contains(id) {
            return Some(false);
        }
        // What was forgotten to make room could be used again.
        if part.current.len() >= capacity {
            return None;
        }
        Some(part.current.insert(*id))
    }
}

impl Part {
    fn renew(&mut self, window: Duration, now: Timestamp) {
        self.window = self.window.max(window);
        let (began, window) = (*self.began.get_or_insert(now), self.window);
        // A clock that was set back begins anew.
        if (began..began + window).contains(&now) {
            return;
        }
        self.previous = mem::take(&mut self.current);
        if now >= began + window + window {
            self.previous.clear();
        }
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(90);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn id(number: u64) -> ProofId {
        let mut id = ProofId::default();
        id[1..9].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[test]
    fn a_proof_is_remembered_for_a_window_at_least() {
        let seen = Seen::default();
        for begin in (0..400).step_by(7) {
            assert_eq!(seen.claim(&id(begin), WINDOW, at(begin as i64)), Some(true));
            for before in (0..=begin).step_by(7).filter(|before| begin - before < 90) {
                assert_eq!(seen.claim(&id(before), WINDOW, at(begin as i64)), Some(false), "{before} at {begin}");
            }
        }
        assert_eq!(seen.claim(&id(393), WINDOW, at(10_000)), Some(true), "forgotten");
    }

    #[test]
    fn what_has_no_room_is_not_taken_for_new() {
        let seen = Seen::default();
        let claim = |number, now| seen.claim_within(&id(number), WINDOW, at(now), 3);
        assert_eq!([0, 1, 2].map(|number| claim(number, 0)), [Some(true); 3]);
        assert_eq!(claim(3, 1), None);
        assert_eq!(claim(0, 1), Some(false));
        assert_eq!(claim(3, 90), Some(true), "another generation");
        assert_eq!(claim(0, 90), Some(false));
    }

    #[test]
    fn of_many_at_the_same_time_one_is_first() {
        let seen = Seen::default();
        let first = |number| {
            std::thread::scope(|scope| {
                let claims = [(); 8].map(|()| scope.spawn(|| seen.claim(&id(number), WINDOW, at(0))));
                claims.into_iter().filter_map(|claim| claim.join().ok()).filter(|claim| *claim == Some(true)).count()
            })
        };
        (0..200).for_each(|number| assert_eq!(first(number), 1));
    }
}
