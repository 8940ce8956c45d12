//! [`Plain`]: a seal for tests.

use bytes::Bytes;
use session_core::store::{Record, Seal};
use session_core::{SessionId, StoreError, Timestamp};

/// Hexadecimal digits are no protection; what a seal must do is the business of `session-jwt`.
#[derive(Debug)]
pub(crate) struct Plain;

impl Seal for Plain {
    fn seal(&self, record: &Record, _now: Timestamp) -> Result<String, StoreError> {
        let bytes = [record.summary.id.as_bytes(), &record.encode()?[..]].concat();
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn open(&self, text: &[u8], _now: Timestamp) -> Option<Record> {
        let text = std::str::from_utf8(text).ok()?;
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let bytes = (0..text.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
        let (id, bytes) = bytes.split_first_chunk()?;
        Record::decode(SessionId::from_bytes(*id), &Bytes::copy_from_slice(bytes)).ok()
    }

    fn sealed_len(&self, record: &Record) -> usize {
        record.encode().map_or(usize::MAX / 2, |bytes| 2 * (16 + bytes.len()))
    }
}
