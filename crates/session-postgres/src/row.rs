//! Between records and rows.

use bytes::Bytes;
use session_core::{Record, SessionId, StoreError, StoreErrorKind, Timestamp, UserId, Version};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};

use crate::error::store_error;

pub(crate) type Statement = Query<'static, Postgres, PgArguments>;

/// What a record says about times, as columns.
pub(crate) struct Times {
    pub(crate) created_at: i64,
    pub(crate) last_seen: i64,
    pub(crate) idle_ms: i64,
    pub(crate) deadline: i64,
    pub(crate) sweep_at: i64,
}

impl Times {
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            created_at: record.created_at.as_millis(),
            last_seen: record.last_seen.as_millis(),
            idle_ms: i64::try_from(record.lifetime.idle.as_millis()).unwrap_or(i64::MAX),
            deadline: (record.created_at + record.lifetime.absolute).as_millis(),
            sweep_at: record.deadline().as_millis(),
        }
    }

    /// Binds the columns that `create_session` and `update_session` begin with.
    pub(crate) fn bind(&self, statement: Statement) -> Statement {
        statement.bind(self.created_at).bind(self.last_seen).bind(self.idle_ms).bind(self.deadline).bind(self.sweep_at)
    }
}

/// The current time as statements compare it. Before 1970 is 1970, so that `now - idle_ms` cannot overflow.
pub(crate) fn time(now: Timestamp) -> i64 {
    now.as_millis().max(0)
}

pub(crate) fn bytes(id: &SessionId) -> &[u8] {
    id.as_bytes()
}

pub(crate) fn version(version: Version) -> [u8; 12] {
    version.to_bytes()
}

pub(crate) fn user(user: Option<&UserId>) -> Option<&[u8]> {
    user.map(|user| user.as_str().as_bytes())
}

/// The record in a row of `record, last_seen, id`.
pub(crate) fn record(row: &PgRow) -> Result<Record, StoreError> {
    let stored: Vec<u8> = column(row, 0)?;
    let id = id(column(row, 2)?)?;
    let mut record = Record::decode(id, &Bytes::from(stored)).map_err(|error| error.in_backend(crate::NAME))?;
    record.last_seen = Timestamp::from_millis(column(row, 1)?);
    Ok(record)
}

pub(crate) fn id(stored: &[u8]) -> Result<SessionId, StoreError> {
    let bytes = stored.try_into().map_err(|_| store_error(StoreErrorKind::Corrupt, "decode", "an id is damaged"))?;
    Ok(SessionId::from_bytes(bytes))
}

/// The row of what answers with exactly one.
pub(crate) fn only(mut rows: Vec<PgRow>) -> Result<PgRow, StoreError> {
    rows.pop().ok_or_else(unexpected)
}

pub(crate) fn column<'r, T>(row: &'r PgRow, index: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    row.try_get(index).map_err(|_| unexpected())
}

/// A reply of another shape than our statements have.
pub(crate) fn unexpected() -> StoreError {
    store_error(StoreErrorKind::Other, "decode", "the schema answers something unexpected; is it ours?")
}
