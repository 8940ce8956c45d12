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
/// How long to wait for one attempt to cancel.
const ATTEMPT: Duration = Duration::from_millis(500);
/// How long it keeps the only place for attempts, unless it is over before.
const ATTEMPT_ENDS: Duration = Duration::from_secs(2);
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
    /// The server says that it ends the connection. Its backend is gone once it has closed it.
    Ending,
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// It executes our statement.
    Active,
    /// It does not, and is ours no longer if there is a pooler.
    Idle,
    Gone,
}

impl Activity {
    /// Whether the place is free again. A backend whose connection broke ends as soon as it notices, unless it is that
    /// of a pooler.
    fn is_over(self, reply: Reply, attempt: u32) -> bool {
        match self {
            Self::Active => false,
            Self::Idle => reply != Reply::Lost || attempt > 0,
            Self::Gone => true,
        }
    }
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
            let activity = if self.reply == Reply::Lost {
                cancel.await
            } else {
                tokio::select! {
                    // Before its turn has come, or before it had an effect.
                    true = self.drained(ATTEMPT) => return self.release().await,
                    activity = cancel => activity,
                    else => None,
                }
            };
            let is_over = activity.is_some_and(|activity| activity.is_over(self.reply, attempt));
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

    /// Whether every reply comes within this time, or the backend ends. Notes if none will come.
    async fn drained(&mut self, limit: Duration) -> bool {
        self.drained_until(sleep(limit).deadline()).await
    }

    /// Whether every reply has come by then, or the backend has ended.
    async fn drained_until(&mut self, limit: Instant) -> bool {
        if self.reply == Reply::Lost {
            return false;
        }
        let Ok(connection) = self.held.connection() else { return false };
        if let Ok(reply) = timeout_at(limit, drain(connection, self.reply)).await {
            self.reply = reply;
            return reply != Reply::Lost;
        }
        false
    }

    async fn release(mut self) {
        if self.reply == Reply::Ending {
            return;
        }
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

/// Reads what is outstanding on a connection, until nothing is.
async fn drain(connection: &mut PgConnection, mut reply: Reply) -> Reply {
    loop {
        match connection.ping().await {
            Ok(()) => return Reply::Outstanding,
            Err(error) if is_farewell(&error) => reply = Reply::Ending,
            // That of the statement, which has failed.
            Err(error) if is_reply(&error) => {}
            Err(_) => return if reply == Reply::Ending { reply } else { Reply::Lost },
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
        let activity = cancel(connections, backend, sql, patience, attempt).await;
        let is_over = activity.is_some_and(|activity| activity.is_over(Reply::Lost, attempt));
        if is_over || connections.pool().is_closed() {
            return;
        }
        sleep(GRACE).await;
    }
}

/// Cancels the statement from another connection. What its backend did before; `None` if the server did not answer.
async fn cancel(
    connections: &Arc<Connections>,
    backend: Backend,
    sql: &str,
    patience: Duration,
    attempt: u32,
) -> Option<Activity> {
    let turn = Arc::clone(&connections.canceller).lock_owned().await;
    let how = if attempt < CANCELS { "pg_cancel_backend" } else { "pg_terminate_backend" };
    let values = [
        ("{how}", how.to_owned()),
        ("{old}", (patience.as_millis() / 2).to_string()),
        ("{pid}", backend.pid.to_string()),
        ("{began}", backend.began.to_string()),
        ("{sql}", sql.to_owned()),
    ];
    let statement = values.iter().fold(CANCEL.to_owned(), |text, (name, value)| text.replace(name, value));
    let home = connections.home()?;
    let connections = Arc::clone(connections);
    let ask = async move {
        let mut held = connections.take().await?;
        // Not prepared: a pooler may be in between.
        let row = raw_sql(AssertSqlSafe(statement)).fetch_optional(held.connection()?).await?;
        held.release();
        drop(turn);
        let Some(row) = row else { return Ok(Activity::Gone) };
        let active: Option<bool> = row.try_get(0)?;
        Ok::<_, sqlx::Error>(if active == Some(true) { Activity::Active } else { Activity::Idle })
    };
    // In a task: where the answer is late, its backend is not left to itself, while the next attempt has another.
    let ask = home.runtime().spawn(timeout(ATTEMPT_ENDS, ask));
    timeout(ATTEMPT, ask).await.ok()?.ok()?.ok()?.ok()
}
