//! The operations that write, each a step in a transaction that has the lock of the file.

use std::sync::Arc;

use session_core::store::{CreateOutcome, CreateRequest, LimitCandidate, UpdateOutcome, Version};
use session_core::{SessionId, SessionLimit, StoreError, Timestamp, UserId, VisitorLimit};
use sqlx::sqlite::SqliteRow;

use crate::link::{Failure, Operation, Space, Statement, Transaction};
use crate::row::{self, EncodedRow, column};
use crate::statements::Statements;

/// How many expired sessions one transaction deletes. A request that needs the core on which it computes waits for it: on two
/// cores, the slowest hundredth of loads takes 0.9 ms with 2, and 1.1 to 1.3 ms with 50. A thread that only computes, for
/// 0.4 ms at a time, costs as much as 2 do.
pub(crate) const SHORT_SWEEP: u32 = 2;

/// [`SessionStore::create`](session_core::store::SessionStore::create).
pub(crate) struct Create {
    sql: Arc<Statements>,
    row: EncodedRow,
    replaces: Option<(SessionId, Version)>,
    /// The user whose sessions are counted, and the limit.
    limit: Option<(UserId, SessionLimit)>,
    visitor: Option<VisitorLimit>,
    now: i64,
}

impl Create {
    pub(crate) fn new(sql: &Arc<Statements>, request: CreateRequest<'_>, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            sql: Arc::clone(sql),
            row: EncodedRow::of(request.record)?,
            replaces: request.replaces.map(|replaced| (replaced.id, replaced.version)),
            limit: request.record.user().cloned().zip(request.limit),
            visitor: request.visitor(),
            now: now.as_millis(),
        })
    }

    /// Who has to go, or the answer if nothing is to be done.
    async fn decide(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Result<(Vec<SessionId>, Vec<SessionId>), CreateOutcome>, Failure> {
        let bind = |statement: Statement| {
            let replaces = self.replaces.as_ref().map(|(id, _)| row::id(id));
            let user = self.limit.as_ref().and_then(|(user, _)| row::user(Some(user)));
            statement.bind(row::id(&self.row.id)).bind(replaces).bind(user).bind(self.now)
        };
        let (mut removed, mut replaced, mut others) = (Vec::new(), None, Vec::new());
        for rival in transaction.fetch(&self.sql.rivals, bind).await? {
            let (role, id, is_live) = (column::<i64>(&rival, 0)?, row::read_id(&rival, 1)?, column::<bool>(&rival, 5)?);
            match role {
                0 if !is_live => removed.push(id),
                0 if row::read_version(&rival, 2)? == self.row.version => {
                    return Ok(Err(CreateOutcome::Created { evicted: Vec::new() }));
                }
                0 => return Ok(Err(CreateOutcome::IdTaken)),
                1 => replaced = is_live.then_some(row::read_version(&rival, 2)?),
                _ => others.push(LimitCandidate {
                    id,
                    created_at: row::read_time(&rival, 3)?,
                    last_seen: row::read_time(&rival, 4)?,
                }),
            }
        }
        if let Some((id, version)) = self.replaces {
            match replaced {
                None => return Ok(Err(CreateOutcome::ReplacedAbsent)),
                Some(stored) if stored != version => return Ok(Err(CreateOutcome::ReplacedChanged)),
                Some(_) => removed.push(id),
            }
        }
        let Some((_, limit)) = &self.limit else { return Ok(Ok((removed, Vec::new()))) };
        Ok(limit.select_evictions(others).map(|evicted| (removed, evicted)).ok_or(CreateOutcome::LimitReached))
    }

    /// Ends visitors until there are as many as the limit allows: first those that have expired, which nobody misses.
    async fn end_visitors(
        &self,
        transaction: &mut Transaction<'_>,
        limit: VisitorLimit,
    ) -> Result<Vec<SessionId>, Failure> {
        let rows = transaction.fetch(&self.sql.visitors, |statement| statement).await?;
        let visitors: i64 = rows.first().map_or(Ok(0), |row| column(row, 0))?;
        let excess = visitors - i64::from(limit.max().get());
        if excess <= 0 {
            return Ok(Vec::new());
        }
        let bind = |statement: Statement| statement.bind(self.now).bind(row::id(&self.row.id)).bind(excess);
        let expired = transaction.fetch(&self.sql.delete_expired_visitors, bind).await?.len();
        self.end(transaction, excess - i64::try_from(expired).unwrap_or(excess)).await
    }

    /// Ends the `count` visitors that were used least recently.
    async fn end(&self, transaction: &mut Transaction<'_>, count: i64) -> Result<Vec<SessionId>, Failure> {
        if count <= 0 {
            return Ok(Vec::new());
        }
        let bind = |statement: Statement| statement.bind(row::id(&self.row.id)).bind(count);
        let ended = transaction.fetch(&self.sql.delete_visitors, bind).await?;
        Ok(ended.iter().map(|ended| row::read_id(ended, 0)).collect::<Result<_, _>>()?)
    }
}

impl Operation for Create {
    type Output = CreateOutcome;

    async fn apply(&self, transaction: &mut Transaction<'_>, space: Space) -> Result<CreateOutcome, Failure> {
        let (removed, mut evicted) = match self.decide(transaction).await? {
            Ok(decided) => decided,
            Err(outcome) => return Ok(outcome),
        };
        for id in removed.iter().chain(&evicted) {
            transaction.fetch(&self.sql.delete_id, |statement| statement.bind(row::id(id))).await?;
        }
        if let Space::Missing(visitors) = space {
            // Expired sessions first: no live one ends for them.
            let bind = |statement: Statement| statement.bind(self.now).bind(SHORT_SWEEP);
            if transaction.fetch(&self.sql.delete_expired, bind).await?.is_empty() {
                evicted.extend(self.end(transaction, visitors.into()).await?);
            }
        }
        let bind = |statement| self.row.bind(statement).bind(self.visitor.is_some());
        transaction.fetch(&self.sql.insert, bind).await?;
        if let Some(limit) = self.visitor {
            evicted.extend(self.end_visitors(transaction, limit).await?);
        }
        Ok(CreateOutcome::Created { evicted })
    }
}

/// [`SessionStore::update`](session_core::store::SessionStore::update).
pub(crate) struct Update {
    pub(crate) sql: Arc<Statements>,
    pub(crate) row: EncodedRow,
    pub(crate) expected: Version,
    pub(crate) now: i64,
}

impl Operation for Update {
    type Output = UpdateOutcome;

    async fn apply(&self, transaction: &mut Transaction<'_>, _space: Space) -> Result<UpdateOutcome, Failure> {
        let bind = |statement| self.row.bind(statement).bind(row::version(self.expected)).bind(self.now);
        if !transaction.fetch(&self.sql.update, bind).await?.is_empty() {
            return Ok(UpdateOutcome::Applied);
        }
        let bind = |statement: Statement| statement.bind(row::id(&self.row.id)).bind(self.now);
        let stored = transaction.fetch(&self.sql.version, bind).await?;
        Ok(match stored.first().map(|stored| row::read_version(stored, 0)).transpose()? {
            None => UpdateOutcome::Absent,
            Some(stored) if stored == self.row.version => UpdateOutcome::Applied,
            Some(_) => UpdateOutcome::Conflict,
        })
    }
}

/// An operation of one statement. Answers with the rows that it returns, one for each session that it changed.
pub(crate) struct Single {
    pub(crate) sql: Arc<str>,
    pub(crate) bind: Bind,
}

/// Gives a statement its parameters.
pub(crate) type Bind = Box<dyn Fn(Statement) -> Statement + Send + Sync>;

impl Operation for Single {
    type Output = Vec<SqliteRow>;

    async fn apply(&self, transaction: &mut Transaction<'_>, _space: Space) -> Result<Self::Output, Failure> {
        Ok(transaction.fetch(&self.sql, &self.bind).await?)
    }
}
