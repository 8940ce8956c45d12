//! The Lua scripts: each is one atomic step. Their arguments, and what they answer.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use redis::Value;
use session_core::SessionId;
use session_core::store::{LimitCandidate, Record, layout};

use crate::error::{self, Result};

/// How often an operation starts again because the sessions of the user changed meanwhile.
pub(crate) const MAX_ATTEMPTS: u32 = 32;

/// A script that the server keeps under the SHA-1 of its text.
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) sha1: LazyLock<String>,
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
    CREATE = "" "record" "load" "index" "create";
    UPDATE = "" "record" "index" "entry" "update";
    TOUCH = " flags=allow-oom" "record" "load" "index" "entry" "touch";
    DELETE = " flags=allow-oom" "delete";
    COMPARE_AND_DELETE = " flags=allow-oom" "record" "load" "compare_and_delete";
    LIST = " flags=no-writes" "members" "list";
    DELETE_BY_USER = " flags=allow-oom" "members" "delete_by_user";
}

/// What a script answers: a word, or a list that begins with one.
pub(crate) struct Answer(Vec<Value>);

impl Answer {
    pub(crate) fn new(value: Value) -> Self {
        Self(if let Value::Array(values) = value { values } else { vec![value] })
    }

    /// The word; empty if there is none.
    pub(crate) fn word(&self) -> &str {
        self.0.first().and_then(bytes).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }

    /// What follows the word, as ids.
    pub(crate) fn ids(&self) -> Result<Vec<SessionId>> {
        self.rest().iter().map(id).collect::<Option<_>>().ok_or_else(error::unexpected_reply)
    }

    /// What follows the word, as ids and stored records.
    pub(crate) fn into_records(self) -> Result<Vec<Record>> {
        let mut values = self.0.into_iter().skip(1);
        let pairs = std::iter::from_fn(|| values.next().zip(values.next()));
        let record = |(first, value)| decode(&id(&first).ok_or_else(error::unexpected_reply)?, value);
        pairs.filter_map(|pair| record(pair).transpose()).collect()
    }

    /// What follows the word, as ids and entries of an index.
    pub(crate) fn snapshot(&self) -> Option<IndexSnapshot> {
        let pair = |pair: &[Value]| match pair {
            [of, entry] => Some((id(of)?, bytes(entry)?.try_into().ok()?)),
            _ => None,
        };
        let mut entries = self.rest().chunks(2).map(pair).collect::<Option<Vec<_>>>()?;
        entries.sort_unstable();
        Some(IndexSnapshot(entries))
    }

    fn rest(&self) -> &[Value] {
        self.0.get(1..).unwrap_or_default()
    }
}

/// The live sessions of a user, as the index had them at one moment: ids and [entries](crate::key::index_entry).
#[derive(Default, PartialEq, Eq)]
pub(crate) struct IndexSnapshot(pub(crate) Vec<(SessionId, [u8; 18])>);

impl IndexSnapshot {
    pub(crate) fn candidates(&self) -> Vec<LimitCandidate> {
        let candidate = |(id, entry): &(SessionId, [u8; 18])| {
            let (times, _) = entry.as_chunks();
            LimitCandidate { id: *id, created_at: layout::read_time(times[0]), last_seen: layout::read_time(times[1]) }
        };
        self.0.iter().map(candidate).collect()
    }

    /// Moves `first` to the front.
    pub(crate) fn put_first(&mut self, first: &[SessionId]) {
        self.0.sort_by_key(|(id, _)| !first.contains(id));
    }
}

/// The record in the value of the key of session `id`, if there is one.
pub(crate) fn decode(id: &SessionId, value: Value) -> Result<Option<Record>> {
    let value: Option<Vec<u8>> = redis::from_redis_value(value).map_err(|_| error::unexpected_reply())?;
    value.map(|value| Record::decode(*id, &value.into())).transpose()
}

fn bytes(value: &Value) -> Option<&[u8]> {
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
    use session_core::store::layout;

    use crate::key;

    const RECORD: &str = include_str!("lua/record.lua");
    const LOAD: &str = include_str!("lua/load.lua");
    const INDEX: &str = include_str!("lua/index.lua");
    const ENTRY: &str = include_str!("lua/entry.lua");
    const CREATE: &str = include_str!("lua/create.lua");
    const COMPARE_AND_DELETE: &str = include_str!("lua/compare_and_delete.lua");
    const TOUCH: &str = include_str!("lua/touch.lua");
    const UPDATE: &str = include_str!("lua/update.lua");
    const DELETE: &str = include_str!("lua/delete.lua");

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
        assert_eq!(layout::FORMAT, 0, "string.byte without an offset reads the first byte");
        // '>i6i6I5I5' reads the four of them at once.
        assert_eq!([layout::LAST_SEEN, layout::IDLE, layout::ABSOLUTE].map(|field| field.start), [19, 25, 30]);
        assert_eq!([layout::CREATED_AT, layout::LAST_SEEN].map(|field| field.len()), [6, 6]);
        assert_eq!([layout::IDLE, layout::ABSOLUTE].map(|field| field.len()), [5, 5]);
        let sources = [
            (RECORD, format!("#h < {header} or string.byte(h) ~= {} then", layout::FORMAT_VERSION)),
            (RECORD, format!("unpack('>i6i6I5I5', h, {})", layout::CREATED_AT.start + 1)),
            (LOAD, format!("'GETRANGE', key, 0, {})", header - 1)),
            (INDEX, format!("SLACK = {} ", key::SLACK.as_millis())),
            (ENTRY, format!("sub(h, {times})")),
            (CREATE, format!("sub(stored, {version}) == sub(ARGV[1], {version})")),
            (CREATE, format!("sub(stored, {version}) ~= ARGV[7]")),
            (COMPARE_AND_DELETE, format!("sub(stored, {version}) ~= ARGV[1]")),
            (TOUCH, format!("'SETRANGE', KEYS[1], {}, ARGV[1])", layout::LAST_SEEN.start)),
            (TOUCH, format!("sub(stored, {until_last_seen}) .. ARGV[1] .. sub(stored, {after_last_seen})")),
            (UPDATE, format!("sub(stored, {version}) == ARGV[3]")),
            (UPDATE, format!("sub(stored, {version}) == sub(value, {version})")),
            (
                UPDATE,
                format!("sub(value, {until_last_seen}) .. sub(stored, {last_seen}) .. sub(value, {after_last_seen})"),
            ),
            (DELETE, format!("'GETRANGE', KEYS[1], {owner}, {} + #ARGV[1])", owner - 1)),
        ];
        for (source, expected) in sources {
            assert!(source.contains(&expected), "no script has {expected}");
        }
    }

    /// `alive` is the only place that reads the timeouts.
    #[test]
    fn one_rule_says_when_a_session_is_alive() {
        let sources = [RECORD, LOAD, INDEX, ENTRY, CREATE, COMPARE_AND_DELETE, TOUCH, UPDATE, DELETE];
        assert_eq!(sources.concat().matches("idle, absolute = ").count(), 1);
    }
}
