//! The operations that requests wait for, alone and in batches.

use bytes::Bytes;
use session_core::store::{Record, UpdateOutcome, Version};
use session_core::{SessionId, StoreError, Timestamp};
use sqlx::postgres::PgRow;

use crate::batch::Operation;
use crate::row::{self, Statement, Times, column, columns, unexpected};

/// [`SessionStore::load`](session_core::store::SessionStore::load).
#[derive(Debug)]
pub(crate) struct Load(pub(crate) SessionId);

impl Operation for Load {
    /// Decoded by the caller, so that a damaged record is the problem of its caller alone.
    type Answer = Option<PgRow>;
    const NAME: &'static str = "load";
    const ONE: &'static str = concat!("SELECT ", columns!(), " FROM {schema}.session WHERE id = $1");
    // A subquery that is not taken apart, because of OFFSET: as one plan for all it would be a scan of the whole table, if
    // the table was empty when it was planned.
    const MANY: &'static str = concat!(
        "SELECT s.*, wanted.place FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (wanted_id, place), LATERAL (SELECT ",
        columns!(),
        " FROM {schema}.session WHERE id = wanted_id OFFSET 0) AS s"
    );

    fn bind(&self, statement: Statement) -> Statement {
        statement.bind(row::uuid(&self.0))
    }

    fn answer(rows: Vec<PgRow>) -> Result<Self::Answer, StoreError> {
        Ok(rows.into_iter().next())
    }

    fn bind_many(operations: &[&Self], statement: Statement) -> Statement {
        statement.bind(operations.iter().map(|load| row::uuid(&load.0)).collect::<Vec<_>>())
    }

    fn answers(operations: &[&Self], rows: Vec<PgRow>) -> Vec<Option<Self::Answer>> {
        let mut answers: Vec<_> = operations.iter().map(|_| Some(None)).collect();
        for row in rows {
            let place = column::<i64>(&row, 8).ok().and_then(|place| usize::try_from(place.checked_sub(1)?).ok());
            match place.and_then(|place| answers.get_mut(place)) {
                Some(answer) => *answer = Some(Some(row)),
                None => return Vec::new(),
            }
        }
        answers
    }
}

/// [`SessionStore::update`](session_core::store::SessionStore::update).
pub(crate) struct Update {
    id: SessionId,
    times: Times,
    version: [u8; 12],
    record: Bytes,
    expected: [u8; 12],
    now: i64,
}

impl Update {
    pub(crate) fn new(record: &Record, expected: Version, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.summary.id,
            times: Times::of(record)?,
            version: row::version(record.version),
            record: record.encode_body(),
            expected: row::version(expected),
            now: row::time(now),
        })
    }

    fn outcome(outcome: &str) -> Option<UpdateOutcome> {
        match outcome {
            "applied" => Some(UpdateOutcome::Applied),
            "conflict" => Some(UpdateOutcome::Conflict),
            "absent" => Some(UpdateOutcome::Absent),
            _ => None,
        }
    }
}

impl Operation for Update {
    type Answer = UpdateOutcome;
    const NAME: &'static str = "update";
    const ONE: &'static str = "SELECT {schema}.update_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    const MANY: &'static str = "SELECT {schema}.update_sessions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

    fn bind(&self, statement: Statement) -> Statement {
        self.times
            .bind(statement)
            .bind(row::uuid(&self.id))
            .bind(self.version)
            .bind(self.record.as_ref())
            .bind(self.expected)
            .bind(self.now)
    }

    fn answer(rows: Vec<PgRow>) -> Result<UpdateOutcome, StoreError> {
        Self::outcome(column(&row::only(rows)?, 0)?).ok_or_else(unexpected)
    }

    fn bind_many(operations: &[&Self], statement: Statement) -> Statement {
        fn all<'a, T>(operations: &[&'a Update], of: impl Fn(&'a Update) -> T) -> Vec<T> {
            operations.iter().map(|update| of(update)).collect()
        }
        statement
            .bind(all(operations, |update| update.times.created_at))
            .bind(all(operations, |update| update.times.last_seen))
            .bind(all(operations, |update| update.times.idle_ms))
            .bind(all(operations, |update| update.times.absolute_ms))
            .bind(all(operations, |update| update.times.sweep_at))
            .bind(all(operations, |update| row::uuid(&update.id)))
            .bind(all(operations, |update| update.version))
            .bind(all(operations, |update| update.record.as_ref()))
            .bind(all(operations, |update| update.expected))
            .bind(all(operations, |update| update.now))
    }

    fn answers(_operations: &[&Self], mut rows: Vec<PgRow>) -> Vec<Option<UpdateOutcome>> {
        let Some(row) = rows.pop() else { return Vec::new() };
        let outcomes: Vec<Option<String>> = column(&row, 0).unwrap_or_default();
        outcomes.into_iter().map(|outcome| outcome.as_deref().and_then(Self::outcome)).collect()
    }
}
