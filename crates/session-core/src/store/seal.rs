//! [`Seal`]: how a session is kept by its client.

use std::fmt;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::model::record::Record;

/// Turns sessions into text that a client can keep and cannot change, and back. `session-jwt` has one that signs JWTs.
///
/// The text is the session: its holder can use it until its deadlines and, unless the seal encrypts, read it. A seal protects
/// it against changes, not against being kept: an older text of a session is as good as a newer one.
pub trait Seal: fmt::Debug + Send + Sync + 'static {
    /// The text of `record`: printable ASCII without space, quotes, comma, semicolon and backslash, as cookies want it.
    ///
    /// # Errors
    /// If it cannot be made: [`StoreErrorKind::Other`](crate::StoreErrorKind::Other).
    fn seal(&self, record: &Record, now: Timestamp) -> Result<String, StoreError>;

    /// The record in `text`, if [`seal`](Self::seal) made it. Its deadlines are judged by core.
    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record>;

    /// How many bytes [`seal`](Self::seal) makes of `record`, without the work of signing it.
    fn sealed_len(&self, record: &Record) -> usize;
}

/// A shared seal is a seal: its keys can be replaced while it is in use.
impl<T: Seal + ?Sized> Seal for Arc<T> {
    fn seal(&self, record: &Record, now: Timestamp) -> Result<String, StoreError> {
        (**self).seal(record, now)
    }

    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record> {
        (**self).open(text, now)
    }

    fn sealed_len(&self, record: &Record) -> usize {
        (**self).sealed_len(record)
    }
}
