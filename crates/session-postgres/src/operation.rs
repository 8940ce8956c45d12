//! The operations that are executed in batches: load and update.

use session_core::store::{Record, UpdateOutcome, Version};
use session_core::{SessionId, StoreError, Timestamp};
use sqlx::postgres::PgRow;

use crate::error::unexpected_reply;
use crate::link::{Operation, Statement};
use crate::row::{self, EncodedRow, column};

/// [`SessionStore::load`](session_core::store::SessionStore::load).
pub(crate) struct Load(pub(crate) SessionId);

impl Operation for Load {
    /// Decoded by the caller, so that a corrupt record fails that call alone.
    type Output = Option<PgRow>;

    fn bind(&self, statement: Statement) -> Statement {
        statement.bind(row::uuid(&self.0))
    }

    fn output(rows: Vec<PgRow>) -> Result<Self::Output, StoreError> {
        Ok(rows.into_iter().next())
    }

    fn bind_batch(batch: &[&Self], statement: Statement) -> Statement {
        statement.bind(batch.iter().map(|load| row::uuid(&load.0)).collect::<Vec<_>>())
    }

    fn batch_outputs(batch: &[&Self], rows: Vec<PgRow>) -> Vec<Option<Self::Output>> {
        let mut outputs: Vec<_> = batch.iter().map(|_| Some(None)).collect();
        for row in rows {
            let place = column::<i64>(&row, 8).ok().and_then(|place| usize::try_from(place.checked_sub(1)?).ok());
            let Some(output) = place.and_then(|place| outputs.get_mut(place)) else { return Vec::new() };
            *output = Some(Some(row));
        }
        outputs
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

    fn bind(&self, statement: Statement) -> Statement {
        self.row.bind(statement).bind(self.row.body.as_ref()).bind(self.expected).bind(self.now)
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
