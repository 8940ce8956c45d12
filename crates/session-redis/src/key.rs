//! The names of the keys, their time to live, and the entries of an index.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{Record, layout};
use session_core::{SessionId, Timeouts, Timestamp, UserId};

/// Names keys. All keys of one shard share a hash tag, and with it a slot of a Cluster:
///
/// * `{prefix:shard}:s:id`: a session;
/// * `{prefix:shard}:u:user`: a user's index, a hash of ids and what the session limit needs to know of each;
/// * `{prefix:shard}:w`: written only so that `WAIT` has a write to wait for.
///
/// Made of the prefix, without braces: they would move the hash tag.
#[derive(Clone, Debug)]
pub(crate) struct Keys(pub(crate) Arc<str>);

impl Keys {
    pub(crate) fn session(&self, id: &SessionId) -> Vec<u8> {
        let mut key = self.begin(id.shard(), "s", SessionId::TEXT_LEN);
        // Writing to a `String` cannot fail.
        let _ = write!(key, "{id}");
        key.into_bytes()
    }

    pub(crate) fn index(&self, user: &UserId) -> Vec<u8> {
        let mut key = self.begin(user.shard(), "u", user.as_str().len());
        key.push_str(user.as_str());
        key.into_bytes()
    }

    /// The key of a session and, if it has a user, that of the index.
    pub(crate) fn session_and_index(&self, id: &SessionId, user: Option<&UserId>) -> Vec<Vec<u8>> {
        [self.session(id)].into_iter().chain(user.map(|user| self.index(user))).collect()
    }

    /// `{prefix:shard}:kind:`, with room for a name. Every request needs one: written by hand, not formatted.
    fn begin(&self, shard: u16, kind: &str, name: usize) -> String {
        let mut key = String::with_capacity(self.0.len() + 11 + name);
        key.extend(["{", &self.0, ":"]);
        key.extend([12, 8, 4, 0].map(|bits| char::from(b"0123456789abcdef"[usize::from(shard >> bits & 15)])));
        key.extend(["}:", kind, ":"]);
        key
    }
}

/// How long a key outlives its deadline: the clocks of two nodes may differ.
pub(crate) const SLACK: Duration = Duration::from_secs(60);

/// The deadline of a session as it is stored: with timeouts that fit into the record.
fn stored_deadline(record: &Record) -> Timestamp {
    let longest = Timeouts { idle: Timeouts::MAX, absolute: Timeouts::MAX };
    record.summary.timeouts.min(longest).deadline(record.summary.created_at, record.summary.last_seen)
}

/// The time to live of a session's key, in milliseconds, as an argument.
pub(crate) fn ttl(record: &Record, now: Timestamp) -> Vec<u8> {
    (stored_deadline(record).since(now) + SLACK).as_millis().to_string().into()
}

/// The entry of `record` in the index: `created_at`, `last_seen` and deadline, each as in [`layout`]. `encoded` is the
/// encoding of `record`.
pub(crate) fn index_entry(encoded: &[u8], record: &Record) -> Vec<u8> {
    // The last time that there is a form for, if the deadline is later.
    let deadline = layout::time(stored_deadline(record)).unwrap_or([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]);
    [&encoded[layout::CREATED_AT.start..layout::LAST_SEEN.end], &deadline].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

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
    fn all_keys_of_a_user_are_in_one_slot_whatever_the_name() {
        let keys = Keys("shop".into());
        for name in ["alice", "{}", "}{", "a}b{c", "\0", ":s:", "ü%7d"] {
            let user = UserId::new(name).unwrap();
            let id = SessionId::generate(Some(&user), &OsEntropy).unwrap();
            let tag = format!("shop:{:04x}", user.shard());
            assert_eq!(hash_tag(&keys.session(&id)), tag);
            assert_eq!(hash_tag(&keys.index(&user)), tag);
        }
    }

    #[test]
    fn keys_read_as_documented() {
        let keys = Keys("shop".into());
        let id = SessionId::from_bytes([0x0a; 16]);
        assert_eq!(text(&keys.session(&id)), "{shop:0a0a}:s:CgoKCgoKCgoKCgoKCgoKCg");
        let user = UserId::new("alice").unwrap();
        assert_eq!(text(&keys.index(&user)), format!("{{shop:{:04x}}}:u:alice", user.shard()));
    }
}
