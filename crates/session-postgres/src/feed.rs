//! What the server tells of changes, and to whom this store tells its own: [`PostgresStore::feed`].

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::store::{FeedEvent, FeedQueue, FollowedFeed, Version};
use session_core::{OsEntropy, StoreError};
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{Row as _, raw_sql};
use tokio::time::{sleep, timeout};

use crate::announce::{Announcer, BACKEND, PROBE, Telling, read};
use crate::link::{Pooler, store_error};
use crate::store::PostgresStore;

/// How long connecting may take in all, and an answer at least.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a notification of our own may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between attempts to connect: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Pause where nothing is heard although there is a connection.
const DEAF_PAUSE: Duration = Duration::from_secs(30);

/// Why changes cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The store was built without [`publish_changes`](crate::PostgresStoreBuilder::publish_changes): nobody could hear of
    /// what it does.
    #[error("the store does not tell others of its changes: build it with `publish_changes`, on every node")]
    NotPublished,
    /// There is no tokio runtime to connect in.
    #[error("changes must be followed from inside a tokio runtime, or by a store that was built in one")]
    NoRuntime,
}

impl PostgresStore {
    /// Does `work`, and tells others `what` has changed, if they are told.
    pub(crate) async fn announced<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
        what: impl FnOnce(&T) -> (Vec<FeedEvent>, Telling),
    ) -> Result<T, StoreError> {
        match &self.announcer {
            Some(announcer) => announcer.announced(work, what).await,
            None => work.await,
        }
    }

    /// Follows the changes that all nodes of the application make, from now on: `LISTEN`, on a connection beside the pool, with
    /// the pool's options. Connects in the background, in the runtime of the store, and reconnects by itself. A
    /// [beat](FeedEvent::Beat) is an answer of the server on that connection.
    ///
    /// Changes are told after their commit, within some milliseconds. A revocation returns when it was told: a deletion, a login
    /// that replaces or evicts, a new token. If it cannot be told, it is an error, and done; the others hear
    /// [`Lost`](FeedEvent::Lost) as soon as they can be told anything, as they do after an operation whose outcome is not known.
    ///
    /// A beat covers every revocation that was acknowledged. What other changes have become known by, such as the values that a
    /// request has written, may follow it by some milliseconds.
    ///
    /// PgBouncer in transaction mode lets nobody listen. That is noticed, because several connections have the same backend, or
    /// nothing is heard of a notification of our own: it is logged as an error, and the feed stays [`Lost`](FeedEvent::Lost).
    ///
    /// # Errors
    /// [`FeedError::NotPublished`] if the store itself tells nobody what it does, [`FeedError::NoRuntime`] without a runtime.
    pub fn feed(&self) -> Result<FollowedFeed, FeedError> {
        let announcer = self.announcer.as_ref().ok_or(FeedError::NotPublished)?;
        let home = self.executor.home().ok_or(FeedError::NoRuntime)?;
        let (options, announcer) = (self.executor.connect_options(), Arc::clone(announcer));
        Ok(FollowedFeed::spawn(home.runtime(), |queue| follow(options, announcer, queue)))
    }
}

/// Why there is no listening any more, or not yet.
enum Failure {
    /// There is no connection.
    Unconnected(String),
    /// There is, and nothing would be heard, or our own notification was not.
    Deaf,
}

async fn follow(options: PgConnectOptions, announcer: Arc<Announcer>, queue: Arc<FeedQueue>) {
    let (mut pause, mut is_known) = (PAUSES.0, false);
    loop {
        let failure = match listen(&options, &announcer).await {
            Ok(listener) => {
                (pause, is_known) = (PAUSES.0, false);
                // What was read until now may have changed unnoticed.
                queue.push(FeedEvent::Lost);
                Failure::Unconnected(until_lost(listener, &queue).await)
            }
            Err(failure) => failure,
        };
        match &failure {
            // Once for each outage.
            Failure::Unconnected(reason) if !is_known => {
                tracing::warn!(reason, "cannot follow the changes in PostgreSQL")
            }
            Failure::Deaf if !is_known => tracing::error!(
                "cannot follow the changes in PostgreSQL: nothing is heard of notifications; there is a pooler in \
                 transaction mode, which lets nobody LISTEN"
            ),
            Failure::Unconnected(_) | Failure::Deaf => {}
        }
        if !is_known {
            queue.push(FeedEvent::Lost);
        }
        is_known = true;
        match failure {
            Failure::Deaf => sleep(DEAF_PAUSE).await,
            Failure::Unconnected(_) => {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// A connection that hears what is told.
///
/// A pooler in transaction mode would let others have what listens, and they would hear what they do not understand: it is to be
/// noticed before. It has one backend for several connections.
async fn listen(options: &PgConnectOptions, announcer: &Announcer) -> Result<PgListener, Failure> {
    if announcer.pooler() == Pooler::Transaction {
        return Err(Failure::Deaf);
    }
    let connect = async {
        // For this connection alone, which is not to be replaced.
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with(options.clone())).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        let backend: i32 = raw_sql(BACKEND).fetch_one(&mut listener).await?.try_get(0)?;
        if Some(backend) == announcer.backend().await {
            return Ok(None);
        }
        listener.listen(announcer.channel()).await?;
        Ok::<_, sqlx::Error>(Some(listener))
    };
    let mut listener = in_time(PATIENCE, connect).await.map_err(Failure::Unconnected)?.ok_or(Failure::Deaf)?;
    let nonce = Version::first(&OsEntropy).map_err(|error| Failure::Unconnected(error.to_string()))?.nonce;
    let probe = format!("{PROBE}{nonce:016x}");
    announcer.send(&probe).await.map_err(|error| Failure::Unconnected(error.to_string()))?;
    let heard = async {
        loop {
            match listener.try_recv().await {
                Ok(Some(told)) if told.payload() == probe => return Ok(()),
                Ok(Some(_)) => {}
                Ok(None) => return Err(Failure::Unconnected("the connection was lost".to_owned())),
                Err(error) => return Err(Failure::Unconnected(reason(error))),
            }
        }
    };
    timeout(PROBE_TIMEOUT, heard).await.unwrap_or(Err(Failure::Deaf))?;
    Ok(listener)
}

/// Asks for beats until something may have been missed. Why.
async fn until_lost(mut listener: PgListener, queue: &FeedQueue) -> String {
    loop {
        let asked = Instant::now();
        // On this connection, so that it is answered behind all that was told.
        if let Err(reason) =
            in_time(queue.beat().max(Duration::from_secs(1)), raw_sql("SELECT 1").execute(&mut listener)).await
        {
            return reason;
        }
        while let Some(told) = listener.next_buffered() {
            hear(&told, queue);
        }
        queue.push(FeedEvent::Beat { asked });
        let next = sleep(queue.beat());
        tokio::pin!(next);
        loop {
            tokio::select! {
                told = listener.try_recv() => match told {
                    Ok(Some(told)) => hear(&told, queue),
                    Ok(None) => return "the connection was lost".to_owned(),
                    Err(error) => return reason(error),
                },
                () = &mut next => break,
            }
        }
    }
}

fn hear(told: &PgNotification, queue: &FeedQueue) {
    match read(told.payload()) {
        Some(events) => events.into_iter().for_each(|event| queue.push(event)),
        // That of another node that begins to listen.
        None if told.payload().starts_with(PROBE) => {}
        None => queue.push(FeedEvent::Lost),
    }
}

async fn in_time<T>(patience: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, String> {
    match timeout(patience, work).await {
        Ok(outcome) => outcome.map_err(reason),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// What is logged of an error of the driver, whose own text may quote what it was sent.
fn reason(error: sqlx::Error) -> String {
    let error = store_error(error);
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
