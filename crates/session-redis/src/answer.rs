//! What the scripts answer: [`Answer`], and the sessions at the limit, [`Seen`].

use redis::Value;
use session_core::store::{LimitCandidate, layout};
use session_core::{SessionId, StoreError, StoreErrorKind};

/// The answer of a script: a word, or a list that begins with one.
pub(crate) struct Answer(Vec<Value>);

impl Answer {
    pub(crate) fn of(value: Value) -> Self {
        Self(if let Value::Array(values) = value { values } else { vec![value] })
    }

    /// The word; empty if there is none.
    pub(crate) fn word(&self) -> &str {
        self.0.first().and_then(bytes).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }

    /// What follows the word.
    pub(crate) fn rest(&self) -> &[Value] {
        self.0.get(1..).unwrap_or_default()
    }

    /// What follows the word, as ids and what belongs to each.
    pub(crate) fn into_pairs(self, operation: &'static str) -> Result<Vec<(SessionId, Value)>, StoreError> {
        let mut values = self.0.into_iter().skip(1);
        let mut pairs = Vec::with_capacity(values.len() / 2);
        while let Some(first) = values.next() {
            let pair = id(&first).zip(values.next());
            pairs.push(pair.ok_or_else(|| not_understood(operation))?);
        }
        Ok(pairs)
    }

    /// What follows the word, as ids.
    pub(crate) fn ids(&self, operation: &'static str) -> Result<Vec<SessionId>, StoreError> {
        self.rest().iter().map(|value| id(value).ok_or_else(|| not_understood(operation))).collect()
    }
}

/// The script and this crate do not speak the same language.
pub(crate) fn not_understood(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the answer of the server was not understood")
}

fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

fn id(value: &Value) -> Option<SessionId> {
    std::str::from_utf8(bytes(value)?).ok()?.parse().ok()
}

/// The live sessions of a user as the index has them: the id, and created_at, last_seen and deadline in 18 bytes.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Seen(pub(crate) Vec<(SessionId, [u8; 18])>);

impl Seen {
    pub(crate) fn parse(values: &[Value]) -> Option<Self> {
        let pair = |pair: &[Value]| match pair {
            [of, entry] => Some((id(of)?, bytes(entry)?.try_into().ok()?)),
            _ => None,
        };
        let mut seen = values.chunks(2).map(pair).collect::<Option<Vec<_>>>()?;
        seen.sort_unstable();
        Some(Self(seen))
    }

    pub(crate) fn occupants(&self) -> Vec<LimitCandidate> {
        let occupant = |(id, entry): &(SessionId, [u8; 18])| {
            let (times, _) = entry.as_chunks();
            LimitCandidate { id: *id, created_at: layout::read_time(times[0]), last_seen: layout::read_time(times[1]) }
        };
        self.0.iter().map(occupant).collect()
    }

    /// Moves `first` to the front.
    pub(crate) fn put_first(&mut self, first: &[SessionId]) {
        self.0.sort_by_key(|(id, _)| !first.contains(id));
    }
}
