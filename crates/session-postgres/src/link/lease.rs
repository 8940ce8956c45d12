//! [`Lease`]: a connection for one statement.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::Uuid;
use sqlx::{PgConnection, Postgres, raw_sql};
use tokio::time::{Instant, sleep};

use crate::link::abandoned::{self, Abandoned, Reply};
use crate::link::connections::Held;
use crate::link::error::{is_farewell, is_reply};
use crate::link::places::Place;
use crate::link::unsettled::UnsettledKeys;

pub(crate) type Statement = Query<'static, Postgres, PgArguments>;

/// A connection and its place. If it is dropped while a statement runs, that is settled in the background.
pub(crate) struct Lease {
    taken: Option<(Held, Place)>,
    /// The statement that runs, and when it has taken too long.
    running: Option<(Arc<str>, Instant)>,
    /// What others wait for if the statement is abandoned.
    key: Option<Uuid>,
    unsettled: Arc<UnsettledKeys>,
    /// How long statements may take.
    patience: Duration,
}

impl Lease {
    pub(crate) fn new(held: Held, place: Place, unsettled: Arc<UnsettledKeys>, patience: Duration) -> Self {
        Self { taken: Some((held, place)), running: None, key: None, unsettled, patience }
    }

    /// The statement to be executed is that of this key.
    pub(crate) fn with_key(mut self, key: Option<Uuid>) -> Self {
        self.key = key;
        self
    }

    pub(crate) fn key(&self) -> Option<Uuid> {
        self.key
    }

    /// Learns which backend executes the statements, so that they can be cancelled. Costs a round trip the first time.
    pub(crate) async fn identify(&mut self) -> Result<(), sqlx::Error> {
        if self.held()?.backend.is_none() {
            let backend = abandoned::backend(self.begin(&Arc::from(""))?).await?;
            self.running = None;
            self.held()?.backend = Some(backend);
        }
        Ok(())
    }

    /// Executes one statement in a transaction that keeps it on one backend. Three round trips; one more to prepare it.
    pub(crate) async fn in_transaction(
        &mut self,
        sql: &Arc<str>,
        statement: Statement,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        self.held()?.in_transaction = true;
        let backend = abandoned::begin(self.begin(&Arc::from("BEGIN"))?).await?;
        self.held()?.backend = Some(backend);
        let rows = statement.persistent(false).fetch_all(self.begin(sql)?).await;
        let (end, rows) = match rows {
            Err(error) if !is_reply(&error) || is_farewell(&error) => return Err(error),
            Err(error) => ("ROLLBACK", Err(error)),
            Ok(rows) => ("COMMIT", Ok(rows)),
        };
        raw_sql(end).execute(self.begin(&Arc::from(end))?).await?;
        let held = self.held()?;
        (held.backend, held.in_transaction) = (None, false);
        rows
    }

    /// The connection, on which `sql` runs from now on.
    pub(crate) fn begin(&mut self, sql: &Arc<str>) -> Result<&mut PgConnection, sqlx::Error> {
        let deadline = self.running.take().map_or_else(|| sleep(self.patience).deadline(), |(_, deadline)| deadline);
        self.running = Some((Arc::clone(sql), deadline));
        self.held()?.connection()
    }

    fn held(&mut self) -> Result<&mut Held, sqlx::Error> {
        let (held, _) = self.taken.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        Ok(held)
    }

    /// Makes the connection available again, if it can be used again after this result of its statement.
    pub(crate) fn end<T>(mut self, result: &Result<T, sqlx::Error>) {
        match result {
            Ok(_) => self.running = None,
            Err(error) if is_farewell(error) => self.abandon(Reply::Ending),
            // To be rolled back.
            Err(error) if is_reply(error) && self.is_in_transaction() => self.abandon(Reply::Outstanding),
            Err(error) if is_reply(error) => self.running = None,
            Err(_) => self.abandon(Reply::Lost),
        }
    }

    fn is_in_transaction(&self) -> bool {
        self.taken.as_ref().is_some_and(|(held, _)| held.in_transaction)
    }

    fn abandon(&mut self, reply: Reply) {
        let Some((held, place)) = self.taken.take() else { return };
        let Some((sql, deadline)) = self.running.take() else { return held.release() };
        let unsettled = self.key.map(|key| self.unsettled.add(key));
        let (patience, home) = (self.patience, Arc::clone(held.home()));
        let abandoned = Abandoned { held, place, sql, reply, deadline, patience, unsettled };
        home.runtime().spawn(abandoned.settle());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.abandon(Reply::Outstanding);
    }
}
