//! [`Entry`]: one session, encoded.

use std::ops::Range;

use session_core::store::{Record, Version, layout};
use session_core::{SessionId, StoreError, Timeouts, Timestamp};

/// One session as it is kept: the encoded record, and beside it what is needed to pass over it without looking inside.
pub(crate) struct Entry {
    /// [`Record::encode`].
    bytes: Box<[u8]>,
    /// [`Record::deadline`].
    deadline: Timestamp,
    /// From which second of the store's life on the memory may be freed.
    free_at: u32,
    /// Some bits of a hash of the user. Who has another tag is another user; who has the same must be compared.
    tag: u16,
    /// How often it was loaded from here, modulo 256.
    loads: u8,
}

impl Entry {
    /// # Errors
    /// As [`Record::encode`].
    pub(crate) fn new(record: &Record, tag: u16, free_at: u32) -> Result<Self, StoreError> {
        let bytes = Box::from(record.encode()?.as_ref());
        Ok(Self { bytes, deadline: record.deadline(), free_at, tag, loads: 0 })
    }

    /// # Errors
    /// As [`Record::decode`].
    pub(crate) fn decode(&self, id: &SessionId) -> Result<Record, StoreError> {
        decode(id, self.copy())
    }

    /// The encoded record, to be decoded when the lock is released.
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
    pub(crate) fn deadline_if(&self, seen: Timestamp) -> Timestamp {
        let lifetime = Timeouts {
            idle: layout::read_timeout(self.field(layout::IDLE)),
            absolute: layout::read_timeout(self.field(layout::ABSOLUTE)),
        };
        lifetime.deadline(layout::read_time(self.field(layout::CREATED_AT)), seen)
    }

    /// Sets `last_seen`, and what follows from it.
    ///
    /// # Errors
    /// As [`layout::time`], and nothing is changed then.
    pub(crate) fn set_last_seen(&mut self, seen: Timestamp, free_at: u32) -> Result<(), StoreError> {
        self.bytes[layout::LAST_SEEN].copy_from_slice(&layout::time(seen)?);
        self.deadline = self.deadline_if(seen);
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

    /// Counts a load, and says whether the session is busy: every eighth time.
    pub(crate) fn count_load(&mut self) -> bool {
        self.loads = self.loads.wrapping_add(1);
        self.loads.is_multiple_of(8)
    }

    /// Goes on counting where `before` was: a session that is written with each request is busy too.
    pub(crate) fn keep_loads(&mut self, before: &Self) {
        self.loads = before.loads;
    }

    pub(crate) fn has_tag(&self, tag: u16) -> bool {
        self.tag == tag
    }

    /// The bytes at `range`, which has this length, and lies within the header that every encoded record has.
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
