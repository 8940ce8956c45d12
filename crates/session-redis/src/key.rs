//! The names of the keys, and how long they live.

use std::fmt::Write as _;

use std::time::Duration;

use session_core::store::Record;
use session_core::{SessionId, Timeouts, Timestamp, UserId};

/// The longest key prefix, in bytes.
pub(crate) const MAX_PREFIX: usize = 64;

/// Names keys. What belongs to one shard has one hash tag, and so is in one slot of a Cluster:
///
/// * `{prefix:shard}:s:id`: a session;
/// * `{prefix:shard}:u:user`: the index of a user, ids and what the session limit needs to know of each;
/// * `{prefix:shard}:w`: written only so that `WAIT` has a write to wait for.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// `None` if `prefix` is empty, too long, or has other characters than visible ASCII without braces. A brace would
    /// move the hash tag.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let valid = (1..=MAX_PREFIX).contains(&prefix.len())
            && prefix.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'{' && byte != b'}');
        valid.then(|| Self { prefix: prefix.to_owned() })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn session(&self, id: &SessionId) -> Vec<u8> {
        let mut key = self.begin(id.shard(), "s", SessionId::TEXT_LEN);
        // Memory takes any text.
        let _ = write!(key, "{id}");
        key.into_bytes()
    }

    pub(crate) fn index(&self, user: &UserId) -> Vec<u8> {
        let mut key = self.begin(user.shard(), "u", user.as_str().len());
        key.push_str(user.as_str());
        key.into_bytes()
    }

    /// `{prefix:shard}:kind:`, with room for a name. Every request needs one: written by hand, not formatted.
    fn begin(&self, shard: u16, kind: &str, name: usize) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 11 + name);
        key.extend(["{", &self.prefix, ":"]);
        key.extend([12, 8, 4, 0].map(|bits| char::from(b"0123456789abcdef"[usize::from(shard >> bits & 15)])));
        key.extend(["}:", kind, ":"]);
        key
    }

    pub(crate) fn fence(&self, shard: u16) -> Vec<u8> {
        format!("{{{}:{shard:04x}}}:w", self.prefix).into_bytes()
    }
}

/// How long a key outlives its deadline: the clocks of two nodes may differ.
pub(crate) const SLACK: Duration = Duration::from_secs(60);

/// The deadline of a session as it is stored: with timeouts that fit into the record.
pub(crate) fn deadline(record: &Record) -> Timestamp {
    let longest = Timeouts { idle: Timeouts::MAX, absolute: Timeouts::MAX };
    record.summary.timeouts.min(longest).deadline(record.summary.created_at, record.summary.last_seen)
}

/// How long the key of a session lives on, in milliseconds.
pub(crate) fn life(record: &Record, now: Timestamp) -> u128 {
    (deadline(record).since(now) + SLACK).as_millis()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use session_core::OsEntropy;

    use super::*;

    fn text(key: &[u8]) -> &str {
        std::str::from_utf8(key).unwrap()
    }

    /// The part of a key that Redis Cluster hashes: between the first `{` and the next `}`.
    fn hash_tag(key: &[u8]) -> &str {
        let key = text(key);
        let start = key.find('{').unwrap() + 1;
        &key[start..start + key[start..].find('}').unwrap()]
    }

    #[test]
    fn everything_of_a_user_is_in_one_slot_whatever_the_user_is_called() {
        let keys = Keys::new("shop").unwrap();
        for name in ["alice", "{}", "}{", "a}b{c", "\0", ":s:", "ü%7d"] {
            let user = UserId::new(name).unwrap();
            let id = SessionId::generate(Some(&user), &OsEntropy).unwrap();
            let tag = format!("shop:{:04x}", user.shard());
            assert_eq!(hash_tag(&keys.session(&id)), tag);
            assert_eq!(hash_tag(&keys.index(&user)), tag);
            assert_eq!(hash_tag(&keys.fence(user.shard())), tag);
        }
    }

    #[test]
    fn keys_read_as_documented() {
        let keys = Keys::new("shop").unwrap();
        let id = SessionId::from_bytes([0x0a; 16]);
        assert_eq!(text(&keys.session(&id)), "{shop:0a0a}:s:CgoKCgoKCgoKCgoKCgoKCg");
        let user = UserId::new("alice").unwrap();
        assert_eq!(text(&keys.index(&user)), format!("{{shop:{:04x}}}:u:alice", user.shard()));
    }

    #[test]
    fn a_prefix_cannot_move_the_hash_tag() {
        for bad in ["", "a{b", "a}b", "a b", "a\0b", "ü", &"x".repeat(65)] {
            assert!(Keys::new(bad).is_none(), "{bad:?} was accepted");
        }
        for good in ["s", "my-app:prod", &"x".repeat(64)] {
            assert!(Keys::new(good).is_some(), "{good:?} was refused");
        }
    }
}
