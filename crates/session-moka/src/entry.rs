//! [`Entry`]: one session, encoded.

use std::ops::Range;

use session_core::store::{LimitCandidate, Record, Version, layout};
use session_core::{SessionId, SessionSummary, StoreError, Timeouts, Timestamp};

/// The encoded record, and what is needed to skip it without decoding.
pub(crate) struct Entry {
    /// [`Record::encode`].
    bytes: Box<[u8]>,
    /// [`Record::deadline`].
    deadline: Timestamp,
    /// From which second of [`Uptime`](crate::expiry::Uptime) on the memory may be freed.
    free_at: u32,
    /// Some bits of a hash of the user. Another tag is another user; the same tag may be the same user.
    tag: u16,
    /// How often it was loaded from the table, modulo 256.
    loads: u8,
    /// Whether it is in [`Visitors`](crate::visitors::Visitors).
    is_visitor: bool,
}

impl Entry {
    /// # Errors
    /// As [`Record::encode`].
    pub(crate) fn new(record: &Record, tag: u16, free_at: u32) -> Result<Self, StoreError> {
        let bytes = Box::from(record.encode()?.as_ref());
        Ok(Self { bytes, deadline: record.deadline(), free_at, tag, loads: 0, is_visitor: false })
    }

    /// # Errors
    /// As [`Record::decode`].
    pub(crate) fn decode(&self, id: &SessionId) -> Result<Record, StoreError> {
        decode(id, self.copy())
    }

    /// Decodes the record without its values, which are not copied.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub(crate) fn summary(&self, id: &SessionId) -> Result<SessionSummary, StoreError> {
        let [a, b, c] = self.field(layout::VALUES);
        let end = u32::from_be_bytes([0, a, b, c]) as usize;
        Record::decode_summary(*id, self.bytes.get(..end).unwrap_or(&self.bytes))
    }

    /// What a session limit needs to know of session `id`.
    pub(crate) fn candidate(&self, id: &SessionId) -> LimitCandidate {
        let created_at = layout::read_time(self.field(layout::CREATED_AT));
        LimitCandidate { id: *id, created_at, last_seen: self.last_seen() }
    }

    /// Whether the session belongs to this [`owner`](layout::owner).
    pub(crate) fn is_of(&self, owner: &[u8]) -> bool {
        self.bytes[layout::OWNER..].starts_with(owner)
    }

    /// The encoded record, to be decoded after the lock is released.
    pub(crate) fn copy(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    pub(crate) fn version(&self) -> Version {
        Version::from_bytes(self.field(layout::VERSION))
    }

    pub(crate) fn last_seen(&self) -> Timestamp {
        layout::read_time(self.field(layout::LAST_SEEN))
    }

    /// What the deadline would be with this `last_seen`.
    pub(crate) fn deadline_if(&self, last_seen: Timestamp) -> Timestamp {
        let timeouts = Timeouts {
            idle: layout::read_timeout(self.field(layout::IDLE)),
            absolute: layout::read_timeout(self.field(layout::ABSOLUTE)),
        };
        timeouts.deadline(layout::read_time(self.field(layout::CREATED_AT)), last_seen)
    }

    /// Sets `last_seen`, and what depends on it.
    ///
    /// # Errors
    /// As [`layout::time`]. Nothing is changed then.
    pub(crate) fn set_last_seen(&mut self, last_seen: Timestamp, free_at: u32) -> Result<(), StoreError> {
        self.bytes[layout::LAST_SEEN].copy_from_slice(&layout::time(last_seen)?);
        self.deadline = self.deadline_if(last_seen);
        self.free_at = free_at;
        Ok(())
    }

    pub(crate) fn deadline(&self) -> Timestamp {
        self.deadline
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.deadline
    }

    pub(crate) fn may_be_freed(&self, second: u32) -> bool {
        second >= self.free_at
    }

    /// Counts a load. Returns whether the session should be cached: every eighth time.
    pub(crate) fn count_load(&mut self) -> bool {
        self.loads = self.loads.wrapping_add(1);
        self.loads.is_multiple_of(8)
    }

    /// Takes the place of `replaced`. The count goes on: a session that is written by each request is busy too.
    pub(crate) fn follow(&mut self, replaced: &Self) {
        self.loads = replaced.loads;
        self.is_visitor = replaced.is_visitor;
    }

    pub(crate) fn is_visitor(&self) -> bool {
        self.is_visitor
    }

    pub(crate) fn into_visitor(self) -> Self {
        Self { is_visitor: true, ..self }
    }

    pub(crate) fn has_tag(&self, tag: u16) -> bool {
        self.tag == tag
    }

    /// The bytes at `range`, which has this length and is part of the header that every encoded record has.
    fn field<const N: usize>(&self, range: Range<usize>) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[range]);
        field
    }
}

/// # Errors
/// As [`Record::decode`].
pub(crate) fn decode(id: &SessionId, bytes: Vec<u8>) -> Result<Record, StoreError> {
    Record::decode(*id, &bytes.into())
}
