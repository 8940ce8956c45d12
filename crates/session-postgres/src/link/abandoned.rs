//! [`Abandoned`]: a statement whose caller has gone, or whose connection broke.
//!
//! Its place is free again once its backend is known to be idle or gone: the reply has come, or another connection says
//! so. So the server never has more of our connections than the pool has places, whatever hangs.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, raw_sql};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::link::connections::{Backend, Connections, Held};
use crate::link::error::{is_farewell, is_reply};
use crate::link::places::Place;
use crate::link::unsettled::Unsettled;

/// How long a statement that was cancelled may take to end, and how long to wait for the next attempt.
const GRACE: Duration = Duration::from_millis(250);
/// How long one attempt to cancel may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// After so many attempts, the backend is ended.
const CANCELS: u32 = 4;

/// What executes our statements.
const BACKEND: &str = "SELECT a.pid, coalesce(extract(epoch FROM a.backend_start) * 1000000, 0)::bigint
    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a";

/// Cancels the statement, or ends its backend. A pooler may have given the backend to another client by now: only our
/// statement is cancelled, and only if it has been running for long. No row: the backend is gone.
const CANCEL: &str = "SELECT b.active, CASE WHEN b.active AND b.old THEN pg_catalog.{how}(b.pid) END
    FROM (
        SELECT a.pid,
            a.state = 'disabled' OR a.state NOT LIKE 'idle%'
                AND left($statement${sql}$statement$, length(a.query)) = a.query AS active,
            coalesce(a.query_start <= clock_timestamp() - {old} * interval '1 millisecond', true) AS old
        FROM pg_catalog.pg_stat_get_activity({pid}) AS a
        WHERE {began} IN (0, coalesce(extract(epoch FROM a.backend_start) * 1000000, 0)::bigint)
    ) AS b";

/// What is known of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It may still come.
    Outstanding,
    /// The connection broke: it will not come.
    Lost,
}

/// A statement that nobody waits for.
pub(crate) struct Abandoned {
    pub(crate) held: Held,
    pub(crate) place: Place,
    pub(crate) sql: Arc<str>,
    pub(crate) reply: Reply,
    /// When it is cancelled.
    pub(crate) deadline: Instant,
    /// How long statements may take.
    pub(crate) patience: Duration,
    pub(crate) unsettled: Option<Unsettled>,
}

impl Abandoned {
    /// Waits for the reply until the deadline, then cancels the statement, until it is over. The connection is used
    /// again if it can be.
    pub(crate) async fn settle(mut self) {
        if self.drained_until(self.deadline).await {
            return self.release().await;
        }
        let Some(backend) = self.held.backend else {
            // Nothing but the question for it was asked.
            if self.drained(self.patience).await {
                self.release().await;
            }
            return;
        };
        let connections = Arc::clone(self.held.connections());
        if connections.pool().options().get_max_connections() == 1 {
            // There is no other place to cancel from.
            let Self { held, sql, patience, place, unsettled, .. } = self;
            drop(held);
            cancel_until_over(&connections, backend, &sql, patience).await;
            drop((place, unsettled));
            return;
        }
        for attempt in 0.. {
            let sql = Arc::clone(&self.sql);
            let cancel = cancel(&connections, backend, &sql, self.patience, attempt);
            let is_over = if self.reply == Reply::Lost {
                cancel.await == Some(true)
            } else {
                tokio::select! {
                    // Before its turn has come, or before it had an effect.
                    true = self.drained(ATTEMPT) => return self.release().await,
                    is_over = cancel => is_over == Some(true),
                    else => false,
                }
            };
            if self.drained(GRACE).await {
                return self.release().await;
            }
            if is_over || connections.pool().is_closed() {
                return;
            }
            self.place.hang();
            if self.reply == Reply::Lost {
                sleep(GRACE).await;
            }
        }
    }

    /// Whether every reply comes within this time. Notes if none will.
    async fn drained(&mut self, limit: Duration) -> bool {
        self.drained_until(sleep(limit).deadline()).await
    }

    /// Whether every reply has come by then.
    async fn drained_until(&mut self, limit: Instant) -> bool {
        if self.reply == Reply::Lost {
            return false;
        }
        let Ok(connection) = self.held.connection() else { return false };
        match timeout_at(limit, drain(connection)).await {
            Ok(Ok(())) => return true,
            Ok(Err(_)) => self.reply = Reply::Lost,
            Err(_) => {}
        }
        false
    }

    async fn release(mut self) {
        if self.held.in_transaction {
            let Ok(connection) = self.held.connection() else { return };
            let rolled_back = timeout(GRACE, raw_sql("ROLLBACK").execute(connection)).await;
            if !matches!(rolled_back, Ok(Ok(_))) {
                return;
            }
        }
        self.held.release();
    }
}

/// Reads what is outstanding on a connection.
async fn drain(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    loop {
        match connection.ping().await {
            // That of the statement, which has failed.
            Err(error) if is_reply(&error) && !is_farewell(&error) => {}
            result => return result,
        }
    }
}

/// Asks which backend executes the statements of this connection. One round trip.
pub(crate) async fn backend(connection: &mut PgConnection) -> Result<Backend, sqlx::Error> {
    identity(&raw_sql(BACKEND).fetch_one(connection).await?)
}

/// Begins a transaction, behind a pooler, and asks which backend executes it. One round trip.
pub(crate) async fn begin(connection: &mut PgConnection) -> Result<Backend, sqlx::Error> {
    // Cheaper than the time at which it began, and enough for one statement.
    let row = raw_sql("BEGIN; SELECT pg_catalog.pg_backend_pid(), 0::bigint").fetch_one(connection).await?;
    identity(&row)
}

fn identity(row: &PgRow) -> Result<Backend, sqlx::Error> {
    Ok(Backend { pid: row.try_get(0)?, began: row.try_get(1)? })
}

/// Cancels the statement, until it is over.
async fn cancel_until_over(connections: &Arc<Connections>, backend: Backend, sql: &str, patience: Duration) {
    for attempt in 0.. {
        let is_over = cancel(connections, backend, sql, patience, attempt).await == Some(true);
        if is_over || connections.pool().is_closed() {
            return;
        }
        sleep(GRACE).await;
    }
}

/// Cancels the statement from another connection. Whether it was over already; `None` if the server could not be asked.
async fn cancel(
    connections: &Arc<Connections>,
    backend: Backend,
    sql: &str,
    patience: Duration,
    attempt: u32,
) -> Option<bool> {
    let _turn = connections.canceller.lock().await;
    let how = if attempt < CANCELS { "pg_cancel_backend" } else { "pg_terminate_backend" };
    let values = [
        ("{how}", how.to_owned()),
        ("{old}", (patience.as_millis() / 2).to_string()),
        ("{pid}", backend.pid.to_string()),
        ("{began}", backend.began.to_string()),
        ("{sql}", sql.to_owned()),
    ];
    let statement = values.iter().fold(CANCEL.to_owned(), |text, (name, value)| text.replace(name, value));
    let ask = async {
        let mut held = connections.take().await?;
        // Not prepared: a pooler may be in between.
        let row = raw_sql(AssertSqlSafe(statement)).fetch_optional(held.connection()?).await?;
        held.release();
        let active: Option<bool> = row.map(|row| row.try_get(0)).transpose()?.flatten();
        Ok::<_, sqlx::Error>(active != Some(true))
    };
    timeout(ATTEMPT, ask).await.ok()?.ok()
}
