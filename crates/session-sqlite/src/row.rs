//! Between records and rows.

use std::time::Duration;

use bytes::Bytes;
use session_core::store::{Record, RecordHeader, Version, layout};
use session_core::{SessionId, SessionSummary, StoreError, StoreErrorKind, Timeouts, Timestamp, UserId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite};

use crate::link::{Statement, unexpected_reply};

/// The first nine parameters of `insert` and `update`.
pub(crate) struct EncodedRow {
    pub(crate) id: SessionId,
    pub(crate) version: Version,
    user: Option<UserId>,
    times: [i64; 4],
    body: Bytes,
    data: Bytes,
}

impl EncodedRow {
    /// # Errors
    /// As [`layout::time`]: no backend stores such a time, and the sum of it and a timeout could overflow.
    pub(crate) fn of(record: &Record) -> Result<Self, StoreError> {
        let summary = &record.summary;
        Ok(Self {
            id: record.id(),
            version: record.version,
            user: record.user().cloned(),
            times: [
                time(summary.created_at)?,
                time(summary.last_seen)?,
                millis(summary.timeouts.idle),
                millis(summary.timeouts.absolute),
            ],
            body: record.encode_body(),
            data: record.encode_values(),
        })
    }

    pub(crate) fn bind(&self, statement: Statement) -> Statement {
        let [created_at, last_seen, idle, absolute] = self.times;
        let statement = statement.bind(id(&self.id)).bind(version(self.version)).bind(user(self.user.as_ref()));
        let statement = statement.bind(created_at).bind(last_seen).bind(idle).bind(absolute);
        statement.bind(self.body.to_vec()).bind(self.data.to_vec())
    }
}

/// A moment that may be stored.
pub(crate) fn time(moment: Timestamp) -> Result<i64, StoreError> {
    layout::time(moment).map(|_| moment.as_millis())
}

fn millis(timeout: Duration) -> i64 {
    i64::try_from(timeout.min(Timeouts::MAX).as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn id(id: &SessionId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub(crate) fn version(version: Version) -> Vec<u8> {
    version.to_bytes().to_vec()
}

pub(crate) fn user(user: Option<&UserId>) -> Option<Vec<u8>> {
    user.map(|user| user.as_str().as_bytes().to_vec())
}

/// The record in a row of `load`.
pub(crate) fn record(row: &SqliteRow) -> Result<Record, StoreError> {
    let data: Vec<u8> = column(row, 8)?;
    Record::decode_body(header(row)?, column(row, 7)?, &data.into())
}

/// The session in a row that begins with `{summary}`.
pub(crate) fn summary(row: &SqliteRow) -> Result<SessionSummary, StoreError> {
    Record::decode_body_summary(header(row)?, column(row, 7)?)
}

pub(crate) fn read_id(row: &SqliteRow, index: usize) -> Result<SessionId, StoreError> {
    let bytes = column::<&[u8]>(row, index)?.try_into().map_err(|_| corrupt("a session id is damaged"))?;
    Ok(SessionId::from_bytes(bytes))
}

pub(crate) fn read_version(row: &SqliteRow, index: usize) -> Result<Version, StoreError> {
    let bytes = column::<&[u8]>(row, index)?.try_into().map_err(|_| corrupt("a version is damaged"))?;
    Ok(Version::from_bytes(bytes))
}

pub(crate) fn read_time(row: &SqliteRow, index: usize) -> Result<Timestamp, StoreError> {
    column(row, index).map(Timestamp::from_millis)
}

fn header(row: &SqliteRow) -> Result<RecordHeader, StoreError> {
    let user = column::<Option<&[u8]>>(row, 2)?.map(|user| {
        let user = std::str::from_utf8(user).ok().and_then(|user| UserId::new(user).ok());
        user.ok_or_else(|| corrupt("a user id is damaged"))
    });
    let timeout =
        |index| column(row, index).map(|millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
    Ok(RecordHeader {
        id: read_id(row, 0)?,
        version: read_version(row, 1)?,
        user: user.transpose()?,
        created_at: read_time(row, 3)?,
        last_seen: read_time(row, 4)?,
        timeouts: Timeouts { idle: timeout(5)?, absolute: timeout(6)? },
    })
}

pub(crate) fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(index).map_err(|_| unexpected_reply())
}

fn corrupt(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, detail)
}
