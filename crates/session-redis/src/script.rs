//! The Lua scripts: each is one atomic step. Their keys and arguments, and what they answer.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use redis::Value;
use session_core::store::{LimitCandidate, Listing, Record, layout};
use session_core::{Namespace, SessionId, Timeouts, Timestamp, UserId};

use crate::error::Result;

/// How often an operation starts again because the sessions of the user changed meanwhile.
pub(crate) const MAX_ATTEMPTS: u32 = 32;

/// A script that the server keeps under the SHA-1 of its text.
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) sha1: LazyLock<String>,
}

impl Script {
    /// Whether the script writes nothing.
    pub(crate) fn is_read(&self) -> bool {
        self.text.starts_with("#!lua flags=no-writes")
    }
}

/// `allow-oom`: sessions can be ended, and activity recorded, when the server has reached its `maxmemory`.
macro_rules! scripts {
    ($($name:ident = $flags:literal $($file:literal)+;)+) => {$(
        pub(crate) static $name: Script = {
            const TEXT: &str = concat!("#!lua", $flags, "\n", $(include_str!(concat!("lua/", $file, ".lua"))),+);
            Script { text: TEXT, sha1: LazyLock::new(|| redis::Script::new(TEXT).get_hash().to_owned()) }
        };
    )+};
}

scripts! {
    CREATE = "" "record" "load" "bury" "is_of_visitors" "index" "tell" "create";
    UPDATE = "" "record" "load" "is_of_visitors" "index" "entry" "tell" "update";
    REPLACE = "" "tell" "replace";
    TOUCH = " flags=allow-oom" "record" "load" "is_of_visitors" "index" "entry" "touch";
    DELETE = " flags=allow-oom" "record" "bury" "tell" "delete";
    COMPARE_AND_DELETE = " flags=allow-oom" "record" "load" "bury" "compare_and_delete";
    LIST = " flags=no-writes" "members" "beginning" "list";
    PAGE = " flags=no-writes,allow-cross-slot-keys" "beginning" "is_session" "server" "page";
    COUNT = " flags=no-writes,allow-cross-slot-keys" "record" "is_session" "count";
    DELETE_BY_USER = " flags=allow-oom" "members" "beginning" "bury" "is_of_visitors" "tell" "delete_by_user";
    INSPECT = " flags=no-writes,allow-cross-slot-keys" "inspect";
    VISITORS = " flags=no-writes,allow-cross-slot-keys" "visitors";
}

/// Names keys. All keys of one shard share a hash tag, and with it a slot of a Cluster:
///
/// * `{namespace:shard}:s:id`: a session, or its [tombstone](TOMBSTONE);
/// * `{namespace:shard}:u:user`: a user's index, a hash of ids and what the session limit needs to know of each;
/// * `{namespace:shard}:v`: that of the visitors, who count as if they were one user for each shard;
/// * `{namespace:shard}:w`: written only so that `WAIT` has a write to wait for.
///
/// A namespace has neither braces, which would move the hash tag, nor colons: no key begins like one of another
/// application.
#[derive(Clone, Debug)]
pub(crate) struct Keys(pub(crate) Namespace);

impl Keys {
    pub(crate) fn session(&self, id: &SessionId) -> Vec<u8> {
        let mut key = self.begin(id.shard(), "s:", SessionId::TEXT_LEN);
        // Writing to a `String` cannot fail.
        let _ = write!(key, "{id}");
        key.into_bytes()
    }

    /// The key of the session that the index of a user in `shard` knows by this name: an id, unless another version has
    /// put something else there.
    pub(crate) fn member(&self, shard: u16, name: &[u8]) -> Vec<u8> {
        let mut key = self.begin(shard, "s:", name.len()).into_bytes();
        key.extend_from_slice(name);
        key
    }

    pub(crate) fn index(&self, user: &UserId) -> Vec<u8> {
        let mut key = self.begin(user.shard(), "u:", user.as_str().len());
        key.push_str(user.as_str());
        key.into_bytes()
    }

    /// The index of the visitors in a shard.
    pub(crate) fn visitors(&self, shard: u16) -> Vec<u8> {
        self.begin(shard, "v", 0).into_bytes()
    }

    /// The key of a session, and that of the index it is in.
    pub(crate) fn session_and_index(&self, id: &SessionId, user: Option<&UserId>) -> [Vec<u8>; 2] {
        [self.session(id), user.map_or_else(|| self.visitors(id.shard()), |user| self.index(user))]
    }

    /// `{namespace:shard}:kind`, with room for a name. Every request needs one: written by hand, not formatted.
    fn begin(&self, shard: u16, kind: &str, name: usize) -> String {
        let mut key = String::with_capacity(self.0.as_str().len() + 11 + name);
        key.extend(["{", self.0.as_str(), ":"]);
        key.extend([12, 8, 4, 0].map(|bits| char::from(b"0123456789abcdef"[usize::from(shard >> bits & 15)])));
        key.extend(["}:", kind]);
        key
    }
}

/// How long a key outlives its deadline: the clocks of two nodes may differ.
pub(crate) const SLACK: Duration = Duration::from_secs(60);

/// The deadline of a session as it is stored: with timeouts that fit into the record.
pub(crate) fn stored_deadline(record: &Record) -> Timestamp {
    let longest = Timeouts { idle: Timeouts::MAX, absolute: Timeouts::MAX };
    record.summary.timeouts.min(longest).deadline(record.summary.created_at, record.summary.last_seen)
}

/// The time to live of a session's key, in milliseconds, as an argument.
pub(crate) fn ttl(record: &Record, now: Timestamp) -> Vec<u8> {
    (stored_deadline(record).since(now) + SLACK).as_millis().to_string().into()
}

/// The entry of `record` in the index: the version of this form, then `created_at`, `last_seen` and deadline, each as
/// in [`layout`]. `encoded` is the encoding of `record`.
pub(crate) fn index_entry(encoded: &[u8], record: &Record) -> Vec<u8> {
    // The last time that there is a form for, if the deadline is later.
    let deadline = layout::time(stored_deadline(record)).unwrap_or([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]);
    [&[1], &encoded[layout::CREATED_AT.start..layout::LAST_SEEN.end], &deadline].concat()
}

/// What a script answers: a word, or a list that begins with one.
pub(crate) struct Answer(pub(crate) Vec<Value>);

impl Answer {
    pub(crate) fn new(value: Value) -> Self {
        Self(if let Value::Array(values) = value { values } else { vec![value] })
    }

    /// The word; empty if there is none.
    pub(crate) fn word(&self) -> &str {
        self.0.first().and_then(bytes).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }

    /// What follows the word, as names of members of an index.
    pub(crate) fn members(&self) -> Vec<Vec<u8>> {
        self.rest().iter().filter_map(bytes).map(<[u8]>::to_vec).collect()
    }

    /// What follows the word, as ids and the beginnings of stored records: those that are live, and those that cannot
    /// be read.
    pub(crate) fn listing(&self, now: Timestamp) -> Result<Listing> {
        let mut listing = Listing::default();
        for [of, record] in self.rest().as_chunks().0 {
            let (Some(id), Some(record)) = (id(of), bytes(record)) else { continue };
            add_live(&mut listing, id, record, now)?;
        }
        Ok(listing)
    }

    /// What follows the word, as ids and entries of an index.
    pub(crate) fn snapshot(&self) -> Option<IndexSnapshot> {
        let pair = |[of, entry]: &[Value; 2]| Some((id(of)?, bytes(entry)?.try_into().ok()?));
        let mut entries = self.rest().as_chunks().0.iter().map(pair).collect::<Option<Vec<_>>>()?;
        entries.sort_unstable();
        Some(IndexSnapshot(entries))
    }

    fn rest(&self) -> &[Value] {
        self.0.get(1..).unwrap_or_default()
    }
}

/// The live sessions of a user, as the index had them at one moment: ids and [entries](index_entry).
#[derive(Default, PartialEq, Eq)]
pub(crate) struct IndexSnapshot(pub(crate) Vec<(SessionId, [u8; 19])>);

impl IndexSnapshot {
    pub(crate) fn candidates(&self) -> Vec<LimitCandidate> {
        let candidate = |(id, entry): &(SessionId, [u8; 19])| {
            let (times, _) = entry[1..].as_chunks();
            LimitCandidate { id: *id, created_at: layout::read_time(times[0]), last_seen: layout::read_time(times[1]) }
        };
        self.0.iter().map(candidate).collect()
    }

    /// Moves `first` to the front.
    pub(crate) fn put_first(&mut self, first: &[SessionId]) {
        self.0.sort_by_key(|(id, _)| !first.contains(id));
    }
}

/// What the key of a session holds for two minutes after it was ended, so that a `create` which is repeated or late
/// does not bring it back.
const TOMBSTONE: &[u8] = b"\0";

/// Adds session `id`, whose stored record begins like this, unless it has expired.
pub(crate) fn add_live(listing: &mut Listing, id: SessionId, record: &[u8], now: Timestamp) -> Result<()> {
    let summary = Record::decode_summary(id, record);
    let is_over = !is_record(record) || summary.as_ref().is_ok_and(|summary| summary.is_expired(now));
    if is_over { Ok(()) } else { listing.add(id, summary) }
}

/// Whether a key holds a record: neither nothing nor a tombstone.
pub(crate) fn is_record(stored: &[u8]) -> bool {
    !stored.is_empty() && stored != TOMBSTONE
}

/// The record in the value of the key of session `id`, if there is one.
pub(crate) fn decode(id: &SessionId, value: Vec<u8>) -> Result<Option<Record>> {
    is_record(&value).then(|| Record::decode(*id, &value.into())).transpose()
}

pub(crate) fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

fn id(value: &Value) -> Option<SessionId> {
    std::str::from_utf8(bytes(value)?).ok()?.parse().ok()
}

/// An argument that Lua reads as text.
pub(crate) fn text(value: impl ToString) -> Vec<u8> {
    value.to_string().into()
}

/// Waits before another attempt, if this one was not among the first.
pub(crate) async fn back_off(attempt: u32) {
    if attempt > 2 {
        tokio::time::sleep(Duration::from_micros(RandomState::new().hash_one(attempt) % 4096)).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use session_core::OsEntropy;

    use super::*;

    fn keys(namespace: &str) -> Keys {
        Keys(Namespace::new(namespace).unwrap())
    }

    /// A script cannot import core's constants; this fails when core moves a field or changes the format.
    #[test]
    fn the_scripts_and_core_agree_on_the_layout() {
        // Lua counts from 1, and its ranges include their ends. GETRANGE and SETRANGE count from 0.
        let version = format!("{}, {}", layout::VERSION.start + 1, layout::VERSION.end);
        let until_last_seen = format!("1, {}", layout::LAST_SEEN.start);
        let last_seen = format!("{}, {}", layout::LAST_SEEN.start + 1, layout::LAST_SEEN.end);
        let after_last_seen = layout::LAST_SEEN.end + 1;
        let times = format!("{}, {}", layout::CREATED_AT.start + 1, layout::LAST_SEEN.end);
        let (header, owner) = (layout::HEADER, layout::OWNER);
        let (oldest, newest) = (layout::FORMATS.start(), layout::FORMATS.end());
        assert_eq!(layout::FORMAT, 0, "string.byte without an offset reads the first byte");
        // '>i6i6I5I5' reads the four of them at once.
        assert_eq!([layout::LAST_SEEN, layout::IDLE, layout::ABSOLUTE].map(|field| field.start), [19, 25, 30]);
        assert_eq!([layout::CREATED_AT, layout::LAST_SEEN].map(|field| field.len()), [6, 6]);
        assert_eq!([layout::IDLE, layout::ABSOLUTE].map(|field| field.len()), [5, 5]);
        let values = layout::VALUES.start + 1;
        assert_eq!(layout::VALUES.len(), 3, "'>I3' reads three bytes");
        let id = SessionId::TEXT_LEN;
        let sources: [(&Script, String); 23] = [
            (&CREATE, format!("sub(key, -{id})")),
            (&UPDATE, format!("unpack('>i6', value, {})", layout::LAST_SEEN.start + 1)),
            (&TOUCH, "now = unpack('>i6', ARGV[1])".to_owned()),
            (&TOUCH, format!("#h < {header} or string.byte(h) < {oldest} or string.byte(h) > {newest} then")),
            (&TOUCH, format!("unpack('>i6i6I5I5', h, {})", layout::CREATED_AT.start + 1)),
            (&TOUCH, format!("'GETRANGE', key, '0', '{}')", header - 1)),
            (&TOUCH, format!("SLACK = {} ", SLACK.as_millis())),
            (&TOUCH, format!("sub(h, {times})")),
            (&CREATE, format!("sub(stored, {version}) == sub(ARGV[1], {version})")),
            (&CREATE, format!("sub(stored, {version}) ~= ARGV[5]")),
            (&COMPARE_AND_DELETE, format!("sub(stored, {version}) ~= ARGV[1]")),
            (&TOUCH, format!("'SETRANGE', KEYS[1], '{}', ARGV[1])", layout::LAST_SEEN.start)),
            (&TOUCH, format!("sub(stored, {until_last_seen}) .. ARGV[1] .. sub(stored, {after_last_seen})")),
            (&UPDATE, format!("sub(stored, {version}) ~= ARGV[3]")),
            (&UPDATE, format!("sub(stored, {version}) == sub(value, {version})")),
            (
                &UPDATE,
                format!("sub(value, {until_last_seen}) .. sub(stored, {last_seen}) .. sub(value, {after_last_seen})"),
            ),
            (&REPLACE, format!("'GETRANGE', KEYS[1], '0', '{}')", layout::ABSOLUTE.end - 1)),
            (&DELETE, format!("'GETRANGE', KEYS[1], 0, {} + #ARGV[1])", owner - 1)),
            (&DELETE, format!("sub(stored, {}) ~= ARGV[1]", owner + 1)),
            (&COUNT, format!("'GETRANGE', key, '0', '{}')", header - 1)),
            (&LIST, format!("values = {header}\n")),
            (
                &LIST,
                format!(
                    "#record > {} and string.byte(record) > {} and string.byte(record) < {} then",
                    header - 1,
                    oldest - 1,
                    newest + 1
                ),
            ),
            (&LIST, format!("unpack('>I3', record, {values})")),
        ];
        for (script, expected) in sources {
            assert!(script.text.contains(&expected), "the script lacks {expected}");
        }
    }

    /// The rights that a user of the server needs are those that the documentation names.
    #[test]
    fn every_command_of_a_script_is_documented() {
        let (_, rights) = include_str!("lib.rs").split_once("**ACL**").unwrap();
        let scripts = [
            &CREATE,
            &UPDATE,
            &REPLACE,
            &TOUCH,
            &DELETE,
            &COMPARE_AND_DELETE,
            &LIST,
            &PAGE,
            &COUNT,
            &DELETE_BY_USER,
            &VISITORS,
        ];
        let mut commands = 0;
        for script in scripts {
            // As in `redis.call('GET', …)` and `pcall(call, 'GET', …)`.
            for call in script.text.split("call(").skip(1) {
                let Some(command) = call.trim_start_matches("call, ").strip_prefix('\'') else { continue };
                let command = command.split('\'').next().unwrap();
                assert!(rights.contains(&format!("`{command}`")), "{command} is not documented");
                commands += 1;
            }
        }
        assert!(commands > 40, "{commands} calls were found");
    }

    /// `alive` is the only place that reads the timeouts.
    #[test]
    fn one_rule_says_when_a_session_is_alive() {
        for script in [&CREATE, &UPDATE, &TOUCH, &DELETE, &COMPARE_AND_DELETE, &COUNT] {
            assert_eq!(script.text.matches("idle, absolute = ").count(), 1);
        }
    }

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
        let keys = keys("shop");
        for name in ["alice", "{}", "}{", "a}b{c", "\0", ":s:", "ü%7d"] {
            let user = UserId::new(name).unwrap();
            let id = SessionId::generate(Some(&user), &OsEntropy).unwrap();
            let tag = format!("shop:{:04x}", user.shard());
            assert_eq!(hash_tag(&keys.session(&id)), tag);
            assert_eq!(hash_tag(&keys.index(&user)), tag);
        }
    }

    #[test]
    fn a_key_leads_to_its_session_and_no_other_key_does() {
        let keys = keys("shop");
        let id = SessionId::generate(None, &OsEntropy).unwrap();
        assert_eq!(keys.id_in(&keys.session(&id)), Some(id));
        let of_another = self::keys("shop-2").session(&id);
        let cut = &keys.session(&id)[..20];
        for other in [&of_another[..], cut, b"", b":", &keys.index(&UserId::new(id.to_string()).unwrap())] {
            assert_eq!(keys.id_in(other), None, "{other:?}");
        }
    }

    #[test]
    fn keys_read_as_documented() {
        let keys = keys("shop");
        let id = SessionId::from_bytes([0x0a; 16]);
        assert_eq!(text(&keys.session(&id)), "{shop:0a0a}:s:CgoKCgoKCgoKCgoKCgoKCg");
        let user = UserId::new("alice").unwrap();
        assert_eq!(text(&keys.index(&user)), format!("{{shop:{:04x}}}:u:alice", user.shard()));
    }
}
