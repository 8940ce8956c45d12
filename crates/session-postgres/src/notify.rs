//! [`Notifier`] wakes those who follow the changes, as soon as something may have been committed; and [`listen`] is woken.
//!
//! What was changed is not said: the server knows, and is asked. So nothing depends on a notification but how soon that is.
//! `NOTIFY` holds a lock of the whole server through the commit of its transaction: in those of operations, they would commit
//! one after the other, each after a flush to disk. So it comes after their commit, once for a few milliseconds.

use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{Namespace, StoreError};
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Row as _, raw_sql};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::link::{Executor, Pooler, Statement, store_error};
use crate::row::column;
use crate::schema::render;

/// The time from one notification to the next.
const PAUSE: Duration = Duration::from_millis(5);

/// How long connecting may take in all, and an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a notification of our own may take.
const OWN_TIMEOUT: Duration = Duration::from_secs(2);
/// When a connection on which nothing is heard is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);
/// Pause between attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// After as many that were not heard in a row, it is not for lack of time.
const UNHEARD: u32 = 2;

/// Asks which process of the server executes it.
const BACKEND: &str = "SELECT pg_catalog.pg_backend_pid()";

/// Wakes those who listen.
pub(crate) struct Notifier {
    pub(crate) executor: Arc<Executor>,
    channel: String,
    // The statements.
    notify: Arc<str>,
    pub(crate) changes_since: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Something may have been committed since the last notification.
    is_due: bool,
    /// A task notifies whenever that is due.
    is_seen_to: bool,
}

impl Notifier {
    pub(crate) fn new(executor: Arc<Executor>, namespace: &Namespace) -> Arc<Self> {
        let render = |sql: &str| render(namespace, sql).into();
        Arc::new(Self {
            executor,
            channel: namespace.to_string(),
            // In this order: the first holds for the commit of the second, which waits for no disk.
            notify: render(
                "SELECT pg_catalog.set_config('synchronous_commit', 'off', true), pg_catalog.pg_notify($1, '')",
            ),
            changes_since: render(
                "SELECT until, incarnation, is_noted, is_whole, ids, versions \
                 FROM {schema}.changes_since($1::text::txid_snapshot, $2, $3)",
            ),
            state: Mutex::default(),
        })
    }

    /// Notifies, soon and in the background.
    fn notify_soon(self: &Arc<Self>) {
        let is_seen_to = {
            let mut state = self.lock();
            state.is_due = true;
            std::mem::replace(&mut state.is_seen_to, true)
        };
        if is_seen_to {
            return;
        }
        // Without the lock: a runtime that is shutting down drops the task here and now, and the task takes it then.
        let task = Task { notifier: Arc::clone(self), is_over: false };
        if let Some(home) = self.executor.home() {
            home.runtime().spawn(task.notify_while_due());
        }
    }

    async fn notify(&self) -> Result<(), StoreError> {
        self.executor.run(&self.notify, |statement: Statement| statement.bind(self.channel.clone())).await.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that notifies. If its runtime ends, the next change starts another.
struct Task {
    notifier: Arc<Notifier>,
    is_over: bool,
}

impl Task {
    async fn notify_while_due(mut self) {
        while self.is_due() {
            if let Err(error) = self.notifier.notify().await {
                tracing::debug!(%error, "those who follow the changes in PostgreSQL could not be notified");
            }
            sleep(PAUSE).await;
        }
    }

    fn is_due(&mut self) -> bool {
        let mut state = self.notifier.lock();
        let is_due = std::mem::take(&mut state.is_due);
        (state.is_seen_to, self.is_over) = (is_due, !is_due);
        is_due
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.is_over {
            self.notifier.lock().is_seen_to = false;
        }
    }
}

/// An operation that may change sessions. When it ends, if only because its caller has gone, those who follow the changes are
/// notified.
pub(crate) struct Changing<'a>(pub(crate) Option<&'a Arc<Notifier>>);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if let Some(notifier) = self.0 {
            notifier.notify_soon();
        }
    }
}

/// Why there is no listening any more, or not yet.
enum Failure {
    /// There is no connection.
    Unconnected(String),
    /// There is, and our own notification was not heard in time.
    Unheard,
    /// There is, and nobody could ever hear anything on it.
    Deaf,
}

/// Wakes `woken` at each notification, and when it begins to listen; connects again when it cannot. Returns if nobody ever
/// can.
pub(crate) async fn listen(notifier: &Notifier, woken: &Notify) {
    let (mut pause, mut unheard, mut is_known) = (PAUSES.0, 0, false);
    loop {
        let failure = match listener(notifier).await {
            Ok(listener) => {
                (pause, unheard, is_known) = (PAUSES.0, 0, false);
                woken.notify_one();
                Failure::Unconnected(until_lost(listener, woken).await)
            }
            Err(failure) => failure,
        };
        let reason = match failure {
            Failure::Unconnected(reason) => reason,
            Failure::Unheard if unheard < UNHEARD => {
                unheard += 1;
                "a notification was not heard in time".to_owned()
            }
            Failure::Unheard | Failure::Deaf => {
                tracing::warn!(
                    "nobody can LISTEN through a pooler in transaction mode: changes are heard of with the next beat"
                );
                return;
            }
        };
        // Once for each outage.
        if !std::mem::replace(&mut is_known, true) {
            tracing::warn!(reason, "cannot listen to PostgreSQL: changes are heard of with the next beat");
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// A connection that hears notifications.
///
/// A pooler in transaction mode would let others have what listens, and they would hear what they do not understand. It has one
/// backend for several connections; or it has many, and then nothing is heard of a notification.
async fn listener(notifier: &Notifier) -> Result<PgListener, Failure> {
    let executor = &notifier.executor;
    if executor.pooler == Pooler::Transaction {
        return Err(Failure::Deaf);
    }
    let connect = async {
        // For this connection alone, which is not to be replaced.
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with(executor.connect_options())).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        let backend: i32 = raw_sql(BACKEND).fetch_one(&mut listener).await?.try_get(0)?;
        let others = executor.run(&BACKEND.into(), |statement| statement).await.ok();
        if others.and_then(|rows| column(rows.first()?, 0).ok()) == Some(backend) {
            return Ok(None);
        }
        listener.listen(&notifier.channel).await?;
        Ok::<_, sqlx::Error>(Some(listener))
    };
    let mut listener = in_time(connect).await.map_err(Failure::Unconnected)?.ok_or(Failure::Deaf)?;
    notifier.notify().await.map_err(|error| Failure::Unconnected(error.to_string()))?;
    match timeout(OWN_TIMEOUT, listener.try_recv()).await {
        Ok(Ok(Some(_))) => Ok(listener),
        Ok(Ok(None)) => Err(Failure::Unconnected("the connection was lost".to_owned())),
        Ok(Err(error)) => Err(Failure::Unconnected(reason(error))),
        Err(_) => {
            // Whoever has that backend now should not hear it either.
            let _ = in_time(listener.unlisten_all()).await;
            Err(Failure::Unheard)
        }
    }
}

/// Why it hears nothing any more.
async fn until_lost(mut listener: PgListener, woken: &Notify) -> String {
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {
                // What was heard at once is heard once.
                while listener.next_buffered().is_some() {}
                woken.notify_one();
            }
            Ok(Ok(None)) => return "the connection was lost".to_owned(),
            Ok(Err(error)) => return reason(error),
            Err(_) => {
                if let Err(failure) = in_time(raw_sql("SELECT 1").execute(&mut listener)).await {
                    return failure;
                }
            }
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, String> {
    match timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(reason),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// What is logged of an error of the driver, whose own text may quote what it was sent.
fn reason(error: sqlx::Error) -> String {
    let error = store_error(error);
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
