//! Between records and rows.

use std::time::Duration;

use bytes::Bytes;
use session_core::store::{Record, RecordHeader, Version, layout};
use session_core::{SessionId, SessionSummary, StoreError, StoreErrorKind, Timeouts, Timestamp, UserId};
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{Postgres, Row as _};

use crate::link::{Statement, unexpected_reply};

/// The place of the data in a row.
const DATA: usize = 8;

/// The unit of `sweep_at`, in milliseconds.
const SWEEP_UNIT: i64 = 10_000;

/// A record as parameters of `create_session` and `update_session`.
pub(crate) struct EncodedRow {
    pub(crate) created_at: i64,
    pub(crate) last_seen: i64,
    pub(crate) idle_ms: i64,
    pub(crate) absolute_ms: i64,
    pub(crate) sweep_at: i32,
    pub(crate) id: Uuid,
    pub(crate) version: [u8; 12],
    pub(crate) body: Bytes,
    pub(crate) data: Bytes,
}

impl EncodedRow {
    /// # Errors
    /// As [`layout::time`]: no backend stores such a time, and the arithmetic of the server would overflow.
    pub(crate) fn of(record: &Record) -> Result<Self, StoreError> {
        let summary = &record.summary;
        for time in [summary.created_at, summary.last_seen] {
            let _ = layout::time(time)?;
        }
        let sweep_at = record.deadline().as_millis().div_euclid(SWEEP_UNIT);
        Ok(Self {
            created_at: summary.created_at.as_millis(),
            last_seen: summary.last_seen.as_millis(),
            idle_ms: millis(summary.timeouts.idle),
            absolute_ms: millis(summary.timeouts.absolute),
            sweep_at: i32::try_from(sweep_at).unwrap_or(if sweep_at < 0 { i32::MIN } else { i32::MAX }),
            id: uuid(&summary.id),
            version: record.version.to_bytes(),
            body: record.encode_body(),
            data: record.encode_values(),
        })
    }

    /// Binds the parameters that both functions begin with: everything but the bytes.
    pub(crate) fn bind(&self, statement: Statement) -> Statement {
        let statement = statement.bind(self.created_at).bind(self.last_seen).bind(self.idle_ms).bind(self.absolute_ms);
        statement.bind(self.sweep_at).bind(self.id).bind(self.version)
    }
}

fn millis(timeout: Duration) -> i64 {
    i64::try_from(timeout.min(Timeouts::MAX).as_millis()).unwrap_or(i64::MAX)
}

/// The current time as statements compare it. A time before 1970 becomes 1970, so that `now - idle_ms` cannot overflow.
pub(crate) fn time(now: Timestamp) -> i64 {
    now.as_millis().max(0)
}

pub(crate) fn uuid(id: &SessionId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(crate) fn id(stored: Uuid) -> SessionId {
    SessionId::from_bytes(stored.into_bytes())
}

pub(crate) fn user(user: Option<&UserId>) -> Option<&[u8]> {
    user.map(|user| user.as_str().as_bytes())
}

/// The record in a row of `load_session`.
pub(crate) fn record(row: &PgRow) -> Result<Record, StoreError> {
    let data: Vec<u8> = column(row, DATA)?;
    Record::decode_body(header(row)?, column(row, 7)?, &data.into())
}

/// The session in a row of `list_sessions_of`, `list_sessions` or `revoke_sessions_of`.
pub(crate) fn summary(row: &PgRow) -> Result<SessionSummary, StoreError> {
    Record::decode_body_summary(header(row)?, column(row, 7)?)
}

/// Whether the data of a row of `load_sessions` stayed on the server.
pub(crate) fn is_without_data(row: &PgRow) -> bool {
    column::<Option<&[u8]>>(row, DATA).is_ok_and(|data| data.is_none())
}

pub(crate) fn row_id(row: &PgRow) -> Result<SessionId, StoreError> {
    column(row, 0).map(id)
}

fn header(row: &PgRow) -> Result<RecordHeader, StoreError> {
    let corrupt = |detail| StoreError::new(StoreErrorKind::Corrupt, detail);
    let version = column::<&[u8]>(row, 1)?.try_into().map_err(|_| corrupt("a version is damaged"))?;
    let user = column::<Option<&[u8]>>(row, 2)?.map(|user| {
        let user = std::str::from_utf8(user).ok().and_then(|user| UserId::new(user).ok());
        user.ok_or_else(|| corrupt("a user id is damaged"))
    });
    let time = |index| column(row, index).map(Timestamp::from_millis);
    let timeout =
        |index| column(row, index).map(|millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
    Ok(RecordHeader {
        id: row_id(row)?,
        version: Version::from_bytes(version),
        user: user.transpose()?,
        created_at: time(3)?,
        last_seen: time(4)?,
        timeouts: Timeouts { idle: timeout(5)?, absolute: timeout(6)? },
    })
}

/// The row of a statement that returns exactly one.
pub(crate) fn only(mut rows: Vec<PgRow>) -> Result<PgRow, StoreError> {
    rows.pop().ok_or_else(unexpected_reply)
}

pub(crate) fn column<'r, T>(row: &'r PgRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    row.try_get(index).map_err(|_| unexpected_reply())
}
