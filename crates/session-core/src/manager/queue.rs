//! What keeps the requests of one process from disturbing each other at one session: commits queue after a conflict, and
//! activity is recorded once.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};

use super::patience::Patience;
use crate::clock::Timestamp;
use crate::decide::intent::Intent;
use crate::decide::verdict::{Access, Activity, LoadedSession, TokenStatus};
use crate::error::{StoreError, StoreErrorKind};
use crate::model::id::SessionId;
use crate::model::record::Record;
use crate::model::token::PresentedToken;
use crate::policy::rules::{Policy, WriteConflict};

/// How many commits are written together with another.
const MOST_TOGETHER: usize = 64;

/// The sessions for which a commit met a conflict and is being repeated. Empty almost always: an uncontended commit
/// costs one load of an atomic.
#[derive(Default)]
pub(super) struct CommitQueue {
    meetings: Mutex<HashMap<SessionId, Arc<Meeting>>>,
    len: AtomicUsize,
}

/// The commits of one session.
#[derive(Default)]
struct Meeting {
    /// Whoever holds it writes. What the last one wrote.
    turn: Arc<AsyncMutex<Option<Record>>>,
    waiting: Mutex<Vec<Waiting>>,
    numbers: AtomicU64,
}

/// What a commit wants, if that is to change values and nothing else.
pub(super) struct Wants {
    pub(super) intents: Vec<Intent>,
    pub(super) token: PresentedToken,
    pub(super) activity: Activity,
}

impl Wants {
    /// `None`: nobody else may write it.
    pub(super) fn of(loaded: &LoadedSession, intents: &[Intent], activity: Activity, policy: &Policy) -> Option<Self> {
        let only_values = intents.iter().all(|intent| match intent {
            Intent::Set(..) | Intent::Remove(_) | Intent::Update(..) | Intent::Clear => true,
            Intent::Login(..) | Intent::StepUp(..) | Intent::Rebind(_) | Intent::Regenerate | Intent::Logout => false,
        });
        match &loaded.access {
            Access::Token(token, TokenStatus::Current)
                if only_values && policy.write_conflict() != WriteConflict::Fail =>
            {
                Some(Self { intents: intents.to_vec(), token: token.copy(), activity })
            }
            Access::Token(..) | Access::Seal | Access::Handle => None,
        }
    }
}

/// A commit that waits for its turn, and may be written together with another.
pub(super) struct Waiting {
    pub(super) wants: Wants,
    answer: oneshot::Sender<Answer>,
    number: u64,
}

/// What became of a commit that waited.
pub(super) enum Answer {
    /// It was written together with another. This is the session now.
    Written(Box<Record>),
    /// Nothing was written: it needs a turn of its own.
    Alone,
    /// The store failed. It may have been written.
    Failed(StoreError),
}

/// How the wait for a turn ended.
pub(super) enum Queued<'q> {
    Turn(Turn<'q>),
    Answer(Answer),
    /// It took too long. Nothing was written.
    Late,
}

impl Waiting {
    pub(super) fn answer(self, answer: Answer) {
        // Its request may have gone.
        let _ = self.answer.send(answer);
    }
}

impl CommitQueue {
    /// Whether a commit of `id` is being repeated right now.
    pub(super) fn is_contended(&self, id: &SessionId) -> bool {
        self.len.load(Ordering::Acquire) != 0 && self.lock().contains_key(id)
    }

    /// Waits for the other commits of `id` in this process, as long as `patience` lasts; or until one of them has written
    /// what this one `wants` too. `None` is never written by others.
    pub(super) async fn turn(&self, id: SessionId, patience: Patience, wants: Option<Wants>) -> Queued<'_> {
        let meeting = {
            let mut meetings = self.lock();
            let meeting = Arc::clone(meetings.entry(id).or_default());
            self.len.store(meetings.len(), Ordering::Release);
            meeting
        };
        let (locked, end_of_turn) = (patience.limit(Arc::clone(&meeting.turn).lock_owned()), Arc::clone(&meeting.turn));
        let mut receiver = wants.map(|wants| meeting.wait(wants));
        // Exists before the wait, so that a request that gives up while waiting cleans up too.
        let mut turn = Turn { queue: self, id, meeting: Some(meeting), guard: None };
        let mut locked = pin!(locked);
        let arrived = poll_fn(|context| {
            if let Some((_, receiver)) = &mut receiver
                && let Poll::Ready(answer) = Pin::new(receiver).poll(context)
            {
                return Poll::Ready(Err(answer));
            }
            locked.as_mut().poll(context).map(Ok)
        });
        let locked = match arrived.await {
            Ok(locked) => locked,
            Err(answer) => return Queued::Answer(answer.unwrap_or_else(|_| interrupted())),
        };
        if let Some((number, mut receiver)) = receiver
            && !turn.withdraw(number)
        {
            // Another commit has it, and answers, or gives it back at the end of its turn.
            let mut end_of_turn = pin!(end_of_turn.lock_owned());
            let answered = poll_fn(|context| {
                if let Poll::Ready(answer) = Pin::new(&mut receiver).poll(context) {
                    return Poll::Ready(Some(answer));
                }
                end_of_turn.as_mut().poll(context).map(|_| None)
            });
            let answer = match answered.await {
                Some(answer) => answer,
                None if turn.withdraw(number) => return Queued::Late,
                None => receiver.await,
            };
            return Queued::Answer(answer.unwrap_or_else(|_| interrupted()));
        }
        turn.guard = locked;
        if turn.guard.is_some() { Queued::Turn(turn) } else { Queued::Late }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Meeting>>> {
        self.meetings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who was to write it was stopped: its runtime ended, or it panicked.
fn interrupted() -> Answer {
    let detail = "the commit that this one was part of was interrupted; it may have been applied";
    Answer::Failed(StoreError::new(StoreErrorKind::Other, detail))
}

impl Meeting {
    fn wait(&self, wants: Wants) -> (u64, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.waiting().push(Waiting { wants, answer, number });
        (number, receiver)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CommitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitQueue").field("len", &self.len).finish()
    }
}

/// The right to commit one session.
pub(super) struct Turn<'q> {
    queue: &'q CommitQueue,
    id: SessionId,
    /// `None` only while it is dropped.
    meeting: Option<Arc<Meeting>>,
    guard: Option<OwnedMutexGuard<Option<Record>>>,
}

impl Turn<'_> {
    /// What the commit before this one wrote. It may have changed since (a logout, a touch, another process): the
    /// compare-and-swap tells.
    pub(super) fn take_latest(&mut self) -> Option<Record> {
        self.guard.as_mut()?.take()
    }

    /// Leaves what was written to the next commit.
    pub(super) fn leave(&mut self, record: &Record) {
        if record.id() == self.id
            && let Some(guard) = &mut self.guard
        {
            **guard = Some(record.clone());
        }
    }

    /// The commits that wait, in their order. Each must get an answer, or be [given back](Self::give_back).
    pub(super) fn take_waiting(&self) -> Vec<Waiting> {
        let Some(meeting) = &self.meeting else { return Vec::new() };
        let mut waiting = meeting.waiting();
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let most = waiting.len().min(MOST_TOGETHER);
        waiting.drain(..most).collect()
    }

    /// Lets them wait again.
    pub(super) fn give_back(&self, taken: Vec<Waiting>) {
        if let Some(meeting) = &self.meeting {
            meeting.waiting().splice(..0, taken);
        }
    }

    /// Whether the commit with this number still waited. It does no longer.
    fn withdraw(&self, number: u64) -> bool {
        let Some(meeting) = &self.meeting else { return false };
        let mut waiting = meeting.waiting();
        let place = waiting.iter().position(|waiting| waiting.number == number);
        place.map(|place| waiting.remove(place)).is_some()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        self.meeting = None;
        let mut meetings = self.queue.lock();
        // The map's own reference is the last one when the turn is neither held nor waited for.
        if meetings.get(&self.id).is_some_and(|meeting| Arc::strong_count(meeting) == 1) {
            meetings.remove(&self.id);
        }
        self.queue.len.store(meetings.len(), Ordering::Release);
    }
}

/// How many touches are remembered.
const TOUCHES: usize = 1024;

/// The latest touches of this process: requests that were opened before any of them touched the session need not touch it
/// once more. Forgets; then there is one touch too many.
pub(super) struct RecentTouches(Mutex<Vec<Option<(SessionId, Timestamp)>>>);

impl Default for RecentTouches {
    fn default() -> Self {
        Self(Mutex::new(vec![None; TOUCHES]))
    }
}

impl RecentTouches {
    /// Whether the caller is to touch `id` at `now`: no other request did, or is about to, in the `interval` before.
    pub(super) fn claim(&self, id: SessionId, now: Timestamp, interval: Duration) -> bool {
        let mut slots = self.lock();
        let slot = &mut slots[Self::slot(&id)];
        let is_recent = slot.is_some_and(|(of, at)| of == id && at <= now && now < at + interval);
        if !is_recent {
            *slot = Some((id, now));
        }
        !is_recent
    }

    /// Takes a claim back: the touch failed.
    pub(super) fn release(&self, id: &SessionId) {
        let mut slots = self.lock();
        let slot = &mut slots[Self::slot(id)];
        if slot.is_some_and(|(of, _)| of == *id) {
            *slot = None;
        }
    }

    fn slot(id: &SessionId) -> usize {
        let [.., high, low] = *id.as_bytes();
        usize::from(u16::from_be_bytes([high, low])) % TOUCHES
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<(SessionId, Timestamp)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
