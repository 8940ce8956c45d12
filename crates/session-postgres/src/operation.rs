//! The operations that are executed in batches: load and update.

use std::collections::HashMap;
use std::sync::Arc;

use session_core::store::{Record, UpdateOutcome, Version};
use session_core::{SessionId, StoreError, Timestamp};
use sqlx::postgres::PgRow;

use crate::link::{Operation, Purpose, Statement, unexpected_reply};
use crate::row::{self, EncodedRow, column};

/// [`SessionStore::load`](session_core::store::SessionStore::load).
pub(crate) struct Load(pub(crate) SessionId);

impl Operation for Load {
    /// Decoded by the caller, so that a corrupt record fails that call alone.
    type Output = Option<Arc<PgRow>>;
    const PURPOSE: Purpose = Purpose::Load;

    fn size(&self) -> usize {
        size_of::<SessionId>()
    }

    fn bind(&self, statement: Statement) -> Statement {
        statement.bind(row::uuid(&self.0))
    }

    fn output(rows: Vec<PgRow>) -> Result<Self::Output, StoreError> {
        Ok(rows.into_iter().next().map(Arc::new))
    }

    fn bind_batch(batch: &[&Self], statement: Statement) -> Statement {
        statement.bind(batch.iter().map(|load| row::uuid(&load.0)).collect::<Vec<_>>())
    }

    fn batch_outputs(batch: &[&Self], rows: Vec<PgRow>) -> Vec<Option<Self::Output>> {
        let found = rows.into_iter().map(|row| Ok((row::row_id(&row)?, Arc::new(row))));
        let Ok(found) = found.collect::<Result<HashMap<_, _>, StoreError>>() else { return Vec::new() };
        let output = |row: &Arc<PgRow>| (!row::is_without_data(row)).then(|| Some(Arc::clone(row)));
        batch.iter().map(|load| found.get(&load.0).map_or(Some(None), output)).collect()
    }
}

/// [`SessionStore::update`](session_core::store::SessionStore::update).
pub(crate) struct Update {
    row: EncodedRow,
    expected: [u8; 12],
    now: i64,
}

impl Update {
    pub(crate) fn new(record: &Record, expected: Version, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self { row: EncodedRow::of(record)?, expected: expected.to_bytes(), now: row::time(now) })
    }
}

impl Operation for Update {
    type Output = UpdateOutcome;
    const PURPOSE: Purpose = Purpose::Other;

    fn size(&self) -> usize {
        self.row.body.len() + self.row.data.len()
    }

    fn bind(&self, statement: Statement) -> Statement {
        let statement = self.row.bind(statement).bind(self.row.body.as_ref()).bind(self.row.data.as_ref());
        statement.bind(self.expected).bind(self.now)
    }

    fn output(rows: Vec<PgRow>) -> Result<UpdateOutcome, StoreError> {
        outcome(column(&row::only(rows)?, 0)?).ok_or_else(unexpected_reply)
    }

    fn bind_batch(batch: &[&Self], statement: Statement) -> Statement {
        fn array<'a, T>(batch: &[&'a Update], field: impl Fn(&'a Update) -> T) -> Vec<T> {
            batch.iter().map(|update| field(update)).collect()
        }
        statement
            .bind(array(batch, |update| update.row.created_at))
            .bind(array(batch, |update| update.row.last_seen))
            .bind(array(batch, |update| update.row.idle_ms))
            .bind(array(batch, |update| update.row.absolute_ms))
            .bind(array(batch, |update| update.row.sweep_at))
            .bind(array(batch, |update| update.row.id))
            .bind(array(batch, |update| update.row.version))
            .bind(array(batch, |update| update.row.body.as_ref()))
            .bind(array(batch, |update| update.row.data.as_ref()))
            .bind(array(batch, |update| update.expected))
            .bind(array(batch, |update| update.now))
    }

    fn batch_outputs(_batch: &[&Self], mut rows: Vec<PgRow>) -> Vec<Option<UpdateOutcome>> {
        let Some(row) = rows.pop() else { return Vec::new() };
        let outcomes: Vec<Option<String>> = column(&row, 0).unwrap_or_default();
        outcomes.into_iter().map(|text| text.as_deref().and_then(outcome)).collect()
    }
}

/// What `update_session` and `update_sessions` answer.
fn outcome(text: &str) -> Option<UpdateOutcome> {
    match text {
        "applied" => Some(UpdateOutcome::Applied),
        "conflict" => Some(UpdateOutcome::Conflict),
        "absent" => Some(UpdateOutcome::Absent),
        _ => None,
    }
}
