//! [`UsedTokens`]: which tokens this process has obeyed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::Timestamp;
use sha2::{Digest as _, Sha256};

/// Genuine tokens only, and only until they expire: more than this many users do not log out in two minutes.
const CAPACITY: usize = 16 * 1024;

/// Digests of the identifiers (`jti`) of tokens, each until its token has expired.
pub(super) struct UsedTokens {
    until: Mutex<HashMap<[u8; 32], Timestamp>>,
    capacity: usize,
}

impl Default for UsedTokens {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl UsedTokens {
    fn with_capacity(capacity: usize) -> Self {
        Self { until: Mutex::default(), capacity }
    }

    /// Whether the token was used, and would be good without that.
    pub(super) fn has(&self, id: &str, now: Timestamp) -> bool {
        self.lock().get(&digest(id)).is_some_and(|until| now < *until)
    }

    /// Remembers the token until then. If there are too many, the one that expires first is forgotten.
    pub(super) fn add(&self, id: &str, until: Timestamp, now: Timestamp) {
        let mut tokens = self.lock();
        if tokens.len() >= self.capacity {
            tokens.retain(|_, until| now < *until);
        }
        if tokens.len() >= self.capacity
            && let Some(first) = tokens.iter().min_by_key(|(_, until)| **until).map(|(id, _)| *id)
        {
            tokens.remove(&first);
        }
        tokens.insert(digest(id), until);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Timestamp>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(id: &str) -> [u8; 32] {
    Sha256::digest(id).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let used = UsedTokens::default();
        assert!(!used.has("a", at(0)));
        used.add("a", at(10), at(0));
        assert!(used.has("a", at(9)));
        assert!(!used.has("a", at(10)));
        assert!(!used.has("b", at(0)));
    }

    #[test]
    fn memory_is_bounded_and_what_is_good_the_longest_stays() {
        let used = UsedTokens::with_capacity(3);
        for (id, until) in [("a", 30), ("b", 10), ("c", 20), ("d", 40)] {
            used.add(id, at(until), at(0));
        }
        assert_eq!(["a", "b", "c", "d"].map(|id| used.has(id, at(0))), [true, false, true, true]);
        // What has expired makes room first.
        used.add("e", at(50), at(25));
        assert_eq!(["a", "d", "e"].map(|id| used.has(id, at(25))), [true; 3]);
        assert_eq!(used.lock().len(), 3);
        (0..1000).for_each(|id| used.add(&id.to_string(), at(60), at(25)));
        assert_eq!(used.lock().len(), 3);
    }
}
