//! Updates that move no deadline, which most are: one command where the server has it, else a script that is a third of the
//! other.

use std::ops::Range;

use bytes::Bytes;
use session_core::store::{Record, UpdateOutcome, Version, layout};
use session_core::{Timeouts, Timestamp};

use crate::RedisStore;
use crate::error::Result;
use crate::link::{Old, Replaced};
use crate::script::{is_record, stored_deadline};

impl RedisStore {
    /// `update` with a record that moves no deadline; `None` if it does, or the one before was touched since it was read: then
    /// it is left to the script. `encoded` is the encoding of `record`. One round trip, or none.
    pub(crate) async fn replace_unmoved(
        &self,
        record: &Record,
        encoded: &Bytes,
        expected: Version,
        now: Timestamp,
    ) -> Result<Option<UpdateOutcome>> {
        let Some(old) = unmoved(record, encoded, expected, now) else { return Ok(None) };
        Ok(match self.link.replace(self.keys.session(&record.id()), old, encoded, self.channel()).await? {
            Replaced::Done => Some(UpdateOutcome::Applied),
            Replaced::Found(stored) => refusal(&stored, record, expected, now),
            Replaced::Unknown => None,
        })
    }
}

/// What `record` replaces, if both have the same times and timeouts: then the time to live and the entry in the
/// index are right as they are, also if it was touched meanwhile. `encoded` is the encoding of `record`.
///
/// What was read may be older than what is replaced: a commit goes on from what the one before has written. Its times are
/// those of most records since, and the server compares them.
fn unmoved(record: &Record, encoded: &[u8], expected: Version, now: Timestamp) -> Option<Old> {
    let read = record.replaces.as_ref()?;
    let mut begins = *read.first_chunk::<{ layout::ABSOLUTE.end }>()?;
    let times = layout::CREATED_AT.start..layout::ABSOLUTE.end;
    if begins[times.clone()] != encoded[times] || now >= stored_deadline(record) {
        return None;
    }
    let is_base = begins[layout::VERSION] == expected.to_bytes();
    begins[layout::VERSION].copy_from_slice(&expected.to_bytes());
    Some(Old { begins, whole: is_base.then(|| read.clone()) })
}

/// What an update came to that found something else than it expected, by the beginning of what it found. `None` if that was
/// only touched, or cannot be judged here.
fn refusal(stored: &[u8], record: &Record, expected: Version, now: Timestamp) -> Option<UpdateOutcome> {
    if !is_record(stored) {
        return Some(UpdateOutcome::Absent);
    }
    let header = stored
        .first_chunk::<{ layout::ABSOLUTE.end }>()
        .filter(|header| layout::FORMATS.contains(&header[layout::FORMAT]))?;
    let time = |at: Range<usize>| Some(layout::read_time(header[at].try_into().ok()?));
    let timeout = |at: Range<usize>| Some(layout::read_timeout(header[at].try_into().ok()?));
    let timeouts = Timeouts { idle: timeout(layout::IDLE)?, absolute: timeout(layout::ABSOLUTE)? };
    let version = Version::from_bytes(header[layout::VERSION].try_into().ok()?);
    if now >= timeouts.deadline(time(layout::CREATED_AT)?, time(layout::LAST_SEEN)?) {
        Some(UpdateOutcome::Absent)
    } else if version == record.version {
        Some(UpdateOutcome::Applied) // by this call, which is repeated
    } else {
        (version != expected).then_some(UpdateOutcome::Conflict)
    }
}
