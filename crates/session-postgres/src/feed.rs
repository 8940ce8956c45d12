//! What the server tells of changes: [`PostgresStore::feed`].
//!
//! What is told after a commit is not told by a node that dies in between, and `NOTIFY` in the transaction holds a lock of the
//! whole server until that is on disk: a tenth of the commits per second. So a trigger notes the change in the transaction
//! itself, whoever makes it, in a table that is not logged, and a feed asks for what has become visible since the snapshot in
//! which it asked last: the notes of transactions from its `xmax` on, and of those that it lists as running. Nothing is missed,
//! in whatever order transactions commit, and nothing depends on clocks or connections.
//!
//! A snapshot is good for as long as nothing was lost in between. The notes have an incarnation, which ends with a crash, a
//! failover, or a dump that is restored; and what was deleted because it was old is noted as a snapshot, too.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{FeedEvent, FeedQueue, FollowError, FollowedFeed, Version};
use session_core::{SessionId, StoreError, StoreErrorKind};
use sqlx::types::Uuid;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::link::Statement;
use crate::notify::{Notifier, listen};
use crate::row::{self, column};
use crate::store::PostgresStore;

/// How many changes an answer may hold: some 3 MiB. Of more, it is only said that there were.
const MOST: u32 = 1 << 16;
/// The shortest time between two questions, and how much longer at least than an answer takes.
const PAUSE: (Duration, u32) = (Duration::from_millis(2), 3);
/// Pause after a question that failed: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How many tens of thousands of notes are deleted at a time.
const FORGOTTEN: usize = 30;

impl PostgresStore {
    /// Follows what happens to sessions, from now on, whoever does it. Asks the server in the background, in the runtime of the
    /// store, for as long as that runs: with every [beat](FeedEvent::Beat), and when a notification says that there may be
    /// something. One statement, on a connection of the pool; notifications come on a connection beside it, with its options.
    ///
    /// The answer holds what was committed since the previous one, without a gap, whatever became of the node that did it and
    /// of notifications. So after an outage the feed resumes where it was. [`Lost`](FeedEvent::Lost) is told at the beginning,
    /// and after a restart of the server, a failover, a `TRUNCATE`, more than 65,535 changes at once, or some minutes
    /// without an answer.
    ///
    /// Nobody can be notified through PgBouncer in transaction mode: changes are told with the next beat, which is logged. So are
    /// those of nodes that do not [publish](crate::PostgresStoreBuilder::publish_changes).
    ///
    /// # Errors
    /// [`FollowError::NotPublished`] if the store itself tells nobody what it does, [`FollowError::NoRuntime`] without a runtime.
    pub fn feed(&self) -> Result<FollowedFeed, FollowError> {
        let notifier = Arc::clone(self.notifier.as_ref().ok_or(FollowError::NotPublished)?);
        let home = self.executor.home().ok_or(FollowError::NoRuntime)?;
        Ok(FollowedFeed::spawn(home.runtime(), |queue| follow(notifier, queue)))
    }

    /// Deletes old notes of changes, whoever noted them. If it cannot, the next call does.
    pub(crate) async fn forget_changes(&self) {
        for _ in 0..FORGOTTEN {
            let answer = self.executor.run(&self.sql.forget_changes, |statement| statement).await.and_then(row::only);
            match answer.and_then(|row| column(&row, 0)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::debug!(%error, "old notes of changes could not be deleted");
                    break;
                }
            }
        }
    }
}

async fn follow(notifier: Arc<Notifier>, queue: Arc<FeedQueue>) {
    let woken = Notify::new();
    tokio::select! {
        () = ask(&notifier, &woken, &queue) => {}
        // It returns if nobody can ever listen.
        () = async { listen(&notifier, &woken).await; std::future::pending().await } => {}
    }
}

/// Asks again and again.
async fn ask(notifier: &Notifier, woken: &Notify, queue: &FeedQueue) {
    let (mut known, mut outage, mut gaps) = (None, None, 0_u32);
    loop {
        let asked = Instant::now();
        let next = match changes(notifier, &mut known).await {
            Ok(Some(events)) => {
                (outage, gaps) = (None, 0);
                events.into_iter().for_each(|event| queue.push(event));
                queue.push(FeedEvent::Beat { asked: asked.into_std() });
                asked + queue.beat()
            }
            Ok(None) => {
                queue.push(FeedEvent::Lost);
                gaps += 1;
                asked + PAUSES.0 * gaps.min(20).saturating_sub(1)
            }
            Err(error) => {
                let pause = outage.map_or(PAUSES.0, |pause: Duration| (pause * 2).min(PAUSES.1));
                // Once for each outage.
                if outage.replace(pause).is_none() {
                    let cause = error.source().map(ToString::to_string);
                    tracing::warn!(%error, cause, "cannot follow the changes in PostgreSQL");
                }
                asked + pause
            }
        };
        // However often it is woken, the server has other things to do.
        sleep(PAUSE.0.max(asked.elapsed() * PAUSE.1)).await;
        tokio::select! {
            () = woken.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Up to where all is known: a snapshot, as the server writes it, and what that is worth.
struct Known {
    until: String,
    incarnation: Uuid,
}

/// What was committed since what is `known`, which then is known, too. `None` if that cannot be said.
async fn changes(notifier: &Notifier, known: &mut Option<Known>) -> Result<Option<Vec<FeedEvent>>, StoreError> {
    let bind = |statement: Statement| {
        let known = known.as_ref().map(|known| (known.until.clone(), known.incarnation)).unzip();
        statement.bind(known.0).bind(known.1).bind(i64::from(MOST))
    };
    let row = row::only(notifier.executor.run(&notifier.changes_since, bind).await?)?;
    if !column(&row, 2)? {
        *known = None;
        let reason = "changes are not noted: call `migrate` on a store that was built with `publish_changes`, or, as the \
                      owner of the schema, its function `note_changes(true)`";
        return Err(StoreError::new(StoreErrorKind::Other, reason));
    }
    let until = Known { until: column(&row, 0)?, incarnation: column(&row, 1)? };
    let is_whole: bool = column(&row, 3)?;
    let ids: Vec<Option<Uuid>> = column::<Option<_>>(&row, 4)?.unwrap_or_default();
    let versions: Vec<Option<Vec<u8>>> = column::<Option<_>>(&row, 5)?.unwrap_or_default();
    *known = Some(until);
    if !is_whole || ids.len() >= MOST as usize {
        return Ok(None);
    }
    Ok(ids.into_iter().zip(versions).map(|(id, version)| Some(event(row::id(id?), version))).collect())
}

fn event(id: SessionId, version: Option<Vec<u8>>) -> FeedEvent {
    let Some(version) = version else { return FeedEvent::Ended { id } };
    // Empty if it is the same, or unknown.
    FeedEvent::Changed { id, version: <[u8; 12]>::try_from(version).ok().map(Version::from_bytes) }
}
