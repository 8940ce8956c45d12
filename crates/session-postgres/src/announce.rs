//! [`Announcer`]: tells other nodes what was committed.
//!
//! `NOTIFY` holds a lock of the whole server through the commit of its transaction: with it, operations would commit one after
//! the other, each after a flush to disk. So changes are told after their commit, those of a few milliseconds together, in a
//! transaction that waits for no disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::store::{CreateOutcome, CreateRequest, FeedEvent, Listing, Record, UpdateOutcome, Version};
use session_core::{DeleteOutcome, Namespace, SessionId, StoreError, StoreErrorKind, Timestamp};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::link::{Executor, Pooler, Statement};
use crate::row::column;

/// The time from one notification to the next.
const PAUSE: Duration = Duration::from_millis(5);
/// The same, after one that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(250);
/// How many changes wait to be told, beside those whose callers wait too: some 6 MiB. Of more, the others hear that they have missed
/// something.
const MOST: usize = 1 << 16;
/// The longest notification, in bytes: below 8000, which is the server's limit.
const LONGEST: usize = 7_900;

/// What is told instead of changes that are not known, or could not be told.
const LOST: &str = "x";
/// What is told to find out whether anything is heard; followed by a nonce.
pub(crate) const PROBE: &str = "p";

/// Asks which process of the server executes it.
pub(crate) const BACKEND: &str = "SELECT pg_catalog.pg_backend_pid()";

/// An event, as it is told. At most 47 bytes.
fn text(event: &FeedEvent) -> String {
    match event {
        FeedEvent::Changed { id, version: Some(Version { number, nonce }) } => format!("c{id}{number:08x}{nonce:016x}"),
        FeedEvent::Changed { id, version: None } => format!("u{id}"),
        FeedEvent::Ended { id } => format!("e{id}"),
        FeedEvent::Beat { .. } => String::new(),
        FeedEvent::Lost => LOST.to_owned(),
    }
}

/// What a notification says. `None` if it is not understood.
pub(crate) fn read(mut text: &str) -> Option<Vec<FeedEvent>> {
    let mut events = Vec::new();
    while let Some(kind) = text.chars().next() {
        let rest = text.strip_prefix(kind)?;
        if kind == 'x' {
            events.push(FeedEvent::Lost);
            text = rest;
            continue;
        }
        let (id, rest) = rest.split_at_checked(SessionId::TEXT_LEN)?;
        let id = id.parse().ok()?;
        let (event, rest) = match kind {
            'c' => {
                let (version, rest) = rest.split_at_checked(24)?;
                let (number, nonce) = version.split_at_checked(8)?;
                let (number, nonce) = (u32::from_str_radix(number, 16).ok()?, u64::from_str_radix(nonce, 16).ok()?);
                (FeedEvent::Changed { id, version: Some(Version { number, nonce }) }, rest)
            }
            'u' => (FeedEvent::Changed { id, version: None }, rest),
            'e' => (FeedEvent::Ended { id }, rest),
            _ => return None,
        };
        events.push(event);
        text = rest;
    }
    Some(events)
}

/// Changes that were committed, on their way to the other nodes.
pub(crate) struct Announcer {
    executor: Arc<Executor>,
    channel: String,
    sql: Arc<str>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Change>,
    /// Something could not be told, or may have been done.
    is_lost: bool,
    /// Whether a task tells what is here.
    is_told: bool,
}

type Caller = oneshot::Sender<Result<(), StoreError>>;

struct Change {
    text: String,
    /// Who waits until it was told.
    told: Option<Caller>,
}

impl Announcer {
    pub(crate) fn new(executor: Arc<Executor>, namespace: &Namespace) -> Arc<Self> {
        // In this order: the first holds for the commit of the second.
        let sql =
            "SELECT pg_catalog.set_config('synchronous_commit', 'off', true), pg_catalog.pg_notify($1, $2)".into();
        Arc::new(Self { executor, channel: namespace.to_string(), sql, waiting: Mutex::default() })
    }

    pub(crate) fn pooler(&self) -> Pooler {
        self.executor.pooler
    }

    /// What executes our statements, at the moment.
    pub(crate) async fn backend(&self) -> Option<i32> {
        let rows = self.executor.run(&BACKEND.into(), |statement| statement).await.ok()?;
        column(rows.first()?, 0).ok()
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// Does `work`, which may change sessions, and tells what came of it.
    ///
    /// # Errors
    /// Those of `work`; and if it could not be told, although the caller is to know that it was.
    pub(crate) async fn announced<T>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, StoreError>>,
        what: impl FnOnce(&T) -> (Vec<FeedEvent>, Telling),
    ) -> Result<T, StoreError> {
        let unannounced = Unannounced(Some(self));
        let outcome = work.await?;
        unannounced.end();
        match what(&outcome) {
            (events, Telling::Soon) => self.note(&events),
            (events, Telling::Before) => self.tell(&events).await?,
        }
        Ok(outcome)
    }

    /// Tells it soon.
    fn note(self: &Arc<Self>, events: &[FeedEvent]) {
        self.push(events.iter().map(|event| Change { text: text(event), told: None }));
    }

    /// Tells it, and waits until it was told.
    async fn tell(self: &Arc<Self>, events: &[FeedEvent]) -> Result<(), StoreError> {
        let (told, is_told) = oneshot::channel();
        let mut told = Some(told);
        let last = events.len().saturating_sub(1);
        let change = |(n, event)| Change { text: text(event), told: if n == last { told.take() } else { None } };
        if events.is_empty() {
            return Ok(());
        }
        self.push(events.iter().enumerate().map(change));
        is_told.await.unwrap_or_else(|_| Err(untold()))
    }

    /// Tells that nobody knows what was done. Once more later: a statement whose caller has gone may be executed until it is
    /// cancelled.
    fn lost(self: &Arc<Self>) {
        self.lock().is_lost = true;
        self.push([]);
        if let Some(home) = self.executor.home() {
            let announcer = Arc::clone(self);
            home.runtime().spawn(async move {
                sleep(announcer.executor.timeout * 2).await;
                announcer.lock().is_lost = true;
                announcer.push([]);
            });
        }
    }

    /// Tells a text at once, whatever else there is to tell.
    pub(crate) async fn send(&self, text: &str) -> Result<(), StoreError> {
        let bind = |statement: Statement| statement.bind(self.channel.clone()).bind(text.to_owned());
        self.executor.run(&self.sql, bind).await.map(drop)
    }

    fn push(self: &Arc<Self>, changes: impl IntoIterator<Item = Change>) {
        let is_told = {
            let mut waiting = self.lock();
            waiting.changes.extend(changes);
            if waiting.changes.len() > MOST {
                waiting.changes.retain(|change| change.told.is_some());
                waiting.is_lost = true;
            }
            std::mem::replace(&mut waiting.is_told, true)
        };
        if is_told {
            return;
        }
        // Without the lock: a runtime that is shutting down drops the task here and now, and the task takes it then.
        let teller = Teller { announcer: Arc::clone(self), is_over: false };
        if let Some(home) = self.executor.home() {
            home.runtime().spawn(async move { teller.tell_all().await });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn untold() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "it is done, but the other nodes could not be told yet")
}

/// The task that tells what is waiting. If its runtime ends, the next change starts another.
struct Teller {
    announcer: Arc<Announcer>,
    is_over: bool,
}

impl Teller {
    async fn tell_all(mut self) {
        while let Some((text, callers)) = self.take() {
            let outcome = self.announcer.send(&text).await.map_err(|error| untold().with_source(error));
            let pause = if outcome.is_ok() { PAUSE } else { PAUSE_AFTER_FAILURE };
            if outcome.is_err() {
                self.announcer.lock().is_lost = true;
            }
            for caller in callers {
                // Fails if the call was cancelled.
                let _ = caller.send(outcome.clone());
            }
            sleep(pause).await;
        }
    }

    /// What one notification can hold, and who waits for it.
    fn take(&mut self) -> Option<(String, Vec<Caller>)> {
        let mut waiting = self.announcer.lock();
        let (mut text, mut callers) = (String::new(), Vec::new());
        if std::mem::take(&mut waiting.is_lost) {
            text.push_str(LOST);
        }
        while let Some(change) = waiting.changes.pop_front_if(|next| text.len() + next.text.len() <= LONGEST) {
            text.push_str(&change.text);
            callers.extend(change.told);
        }
        if text.is_empty() {
            (waiting.is_told, self.is_over) = (false, true);
            return None;
        }
        Some((text, callers))
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if !self.is_over {
            self.announcer.lock().is_told = false;
        }
    }
}

/// When a change is told.
#[derive(Clone, Copy)]
pub(crate) enum Telling {
    /// Within some milliseconds.
    Soon,
    /// Before its caller has the answer.
    Before,
}

/// An operation that may have changed sessions. Dropped before its outcome is known, all others hear that something may have
/// been missed.
struct Unannounced<'a>(Option<&'a Arc<Announcer>>);

impl Unannounced<'_> {
    /// The outcome is known.
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Unannounced<'_> {
    fn drop(&mut self) {
        if let Some(announcer) = self.0 {
            announcer.lost();
        }
    }
}

/// What a login has changed.
pub(crate) fn by_create(request: &CreateRequest<'_>, outcome: &CreateOutcome) -> (Vec<FeedEvent>, Telling) {
    let CreateOutcome::Created { evicted } = outcome else { return (Vec::new(), Telling::Soon) };
    let replaced = request.replaces.map(|replaced| replaced.id);
    let mut events: Vec<_> = evicted.iter().copied().chain(replaced).map(|id| FeedEvent::Ended { id }).collect();
    // That visitors make room for others is not urgent.
    let is_revocation = replaced.is_some() || !events.is_empty() && request.visitor().is_none();
    events.push(FeedEvent::Changed { id: request.record.id(), version: Some(request.record.version) });
    (events, if is_revocation { Telling::Before } else { Telling::Soon })
}

/// What an update has changed, at `now`. If it has a token of that moment, the one before is no longer valid.
pub(crate) fn by_update(record: &Record, outcome: UpdateOutcome, now: Timestamp) -> (Vec<FeedEvent>, Telling) {
    let changed = FeedEvent::Changed { id: record.id(), version: Some(record.version) };
    let telling = if record.credential.issued_at() == now { Telling::Before } else { Telling::Soon };
    match outcome {
        UpdateOutcome::Applied => (vec![changed], telling),
        UpdateOutcome::Conflict | UpdateOutcome::Absent => (Vec::new(), Telling::Soon),
    }
}

/// What a deletion has changed.
pub(crate) fn by_delete(id: SessionId, outcome: DeleteOutcome) -> (Vec<FeedEvent>, Telling) {
    let event = match outcome {
        DeleteOutcome::Deleted => FeedEvent::Ended { id },
        // By an earlier call, which may not have told it; or it is another user's.
        DeleteOutcome::Absent => FeedEvent::Changed { id, version: None },
    };
    (vec![event], Telling::Before)
}

/// What a deletion of several sessions has changed.
pub(crate) fn by_delete_all(deleted: &Listing) -> (Vec<FeedEvent>, Telling) {
    (deleted.ids().into_iter().map(|id| FeedEvent::Ended { id }).collect(), Telling::Before)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn what_is_told_is_understood_and_nothing_else_is() {
        let id = SessionId::from_bytes([7; 16]);
        let events = [
            FeedEvent::Ended { id },
            FeedEvent::Lost,
            FeedEvent::Changed { id, version: Some(Version { number: 3, nonce: u64::MAX }) },
            FeedEvent::Changed { id, version: None },
        ];
        let told: String = events.iter().map(text).collect();
        assert_eq!(read(&told).unwrap(), events);
        assert_eq!(read("").unwrap(), []);
        for unknown in [&told[..told.len() - 1], &told[1..], "e", "é", &format!("{told}z"), "hello"] {
            assert_eq!(read(unknown), None, "{unknown}");
        }
        assert!(events.iter().all(|event| text(event).len() <= 47));
    }
}
