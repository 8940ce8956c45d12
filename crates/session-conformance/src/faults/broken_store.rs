//! [`BrokenStore`], and the steps that its operations have in common.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::store::Record;
use session_core::{RecordFormat, SessionId, StoreError, StoreErrorKind, Timeouts, Timestamp, UserId};

use super::fault::Fault;
use crate::reference::Sessions;

/// What all handles on one namespace share.
#[derive(Default)]
pub(crate) struct Shared {
    memory: tokio::sync::Mutex<Memory>,
    pub(super) list_is_locked: AtomicBool,
}

/// The sessions, and what some faults remember beside them.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) sessions: Sessions,
    /// Sessions as they were created.
    pub(super) created: HashMap<SessionId, Record>,
    /// Sessions as they were last created or updated.
    pub(super) written: HashMap<SessionId, Record>,
    /// `last_seen` as it was last created or touched.
    pub(super) touched: HashMap<SessionId, Timestamp>,
    /// Anonymous sessions that were created under a limit.
    pub(super) visitors: HashSet<SessionId>,
    /// Sessions that are gone, but still found.
    pub(super) gone: HashMap<SessionId, Record>,
    /// The sessions of each user, in the order in which they were written.
    pub(super) index: HashMap<UserId, Vec<SessionId>>,
    pub(super) revoked: HashSet<UserId>,
    /// Ids of all writing calls so far.
    pub(super) mentioned: HashSet<SessionId>,
    pub(super) latest: Option<Timestamp>,
}

impl Memory {
    /// Whether `user` ever had a session.
    pub(super) fn knows(&self, user: &UserId) -> bool {
        self.created.values().any(|record| record.user() == Some(user))
    }

    /// `record` with the timeouts it was written with, which [faults of touch](Fault::TouchKeepsDeadline) change.
    pub(super) fn as_written(&self, record: &Record, fault: Fault) -> Record {
        let mut record = record.clone();
        if let Fault::TouchKeepsDeadline | Fault::TouchIgnoresAbsoluteDeadline = fault
            && let Some(written) = self.written.get(&record.id())
        {
            record.summary.timeouts = written.summary.timeouts;
        }
        record
    }

    /// Whether `record` is expired at the time of the latest call that passed one.
    pub(super) fn is_expired_by_now(&self, record: &Record) -> bool {
        self.latest.is_some_and(|now| record.is_expired(now))
    }
}

/// The state of one handle.
#[derive(Default)]
pub(super) struct Handle {
    pub(super) loaded: HashMap<SessionId, Record>,
    pub(super) created: HashSet<SessionId>,
    pub(super) deleted: HashSet<SessionId>,
}

/// A turn: no other call is in progress.
pub(super) type Turn<'t> = tokio::sync::MutexGuard<'t, Memory>;

/// How changes are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    AtOnce,
    /// After other calls.
    Late,
    /// Other calls go between one deletion and the next.
    OneByOne,
    /// Insertions, other calls, deletions.
    InsertFirst,
}

/// [`Sessions`] with one changed step.
///
/// A call takes its turn, lets the contract decide on a copy of the sessions, and writes the difference. A fault changes
/// what the contract is asked, what it made of the copy, or the pace of the writes.
pub(crate) struct BrokenStore {
    pub(super) fault: Fault,
    pub(super) shared: Arc<Shared>,
    handle: Mutex<Handle>,
    pub(super) handle_turn: tokio::sync::Mutex<()>,
}

impl BrokenStore {
    pub(crate) fn new(fault: Fault, shared: Arc<Shared>) -> Self {
        Self { fault, shared, handle: Mutex::default(), handle_turn: tokio::sync::Mutex::default() }
    }

    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    pub(super) fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn turn(&self) -> Turn<'_> {
        self.shared.memory.lock().await
    }

    pub(super) async fn turn_at(&self, now: Timestamp) -> Turn<'_> {
        let mut turn = self.turn().await;
        turn.latest = Some(now);
        turn
    }

    /// Lets other calls go first.
    pub(super) async fn pause<'t>(&'t self, turn: Turn<'t>) -> Turn<'t> {
        drop(turn);
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        self.turn().await
    }

    pub(super) fn late_if(&self, faults: &[Fault]) -> Pace {
        if faults.contains(&self.fault) { Pace::Late } else { Pace::AtOnce }
    }

    /// The time that expiry is judged by.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        match self.fault {
            Fault::ExpiresLate => now - Duration::from_millis(1),
            Fault::ExpiresEarly => now + Duration::from_millis(1),
            _ => now,
        }
    }

    /// `record` with its timeouts as they are stored.
    pub(super) fn with_timeouts_as_stored(&self, record: &Record) -> Record {
        let stored = |timeout: Duration| match self.fault {
            Fault::WholeSeconds => Duration::from_secs(timeout.as_millis().div_ceil(1000) as u64),
            Fault::ThirtyTwoBits => timeout.min(Duration::from_millis(i32::MAX as u64)),
            _ => timeout,
        };
        let Timeouts { idle, absolute } = record.summary.timeouts;
        let mut record = record.clone();
        record.summary.timeouts = Timeouts { idle: stored(idle), absolute: stored(absolute) };
        record
    }

    /// The sessions as this handle sees them.
    pub(super) fn view(&self, memory: &Memory) -> Sessions {
        let mut sessions = memory.sessions.clone();
        let handle = self.handle();
        sessions.records.retain(|id, _| !handle.deleted.contains(id));
        sessions
    }

    /// The sessions that a writing call about `id` sees.
    pub(super) fn view_for(&self, id: &SessionId, memory: &mut Memory) -> Sessions {
        memory.mentioned.insert(*id);
        self.handle().loaded.remove(id);
        self.view(memory)
    }

    /// The sessions that the index has for `user`, live or expired.
    pub(super) fn indexed(&self, user: &UserId, sessions: &Sessions, memory: &Memory) -> Vec<Record> {
        let mut records = select(sessions, |owner| owner.is_some_and(|owner| self.confuses(user, owner)));
        let index = memory.index.get(user).map(Vec::as_slice).unwrap_or_default();
        match self.fault {
            Fault::ListSkipsOldFormats => records.retain(|record| record.format == RecordFormat::LATEST),
            Fault::IndexNotAtomic => records.retain(|record| index.contains(&record.id())),
            Fault::HandleIndex => records.retain(|record| self.handle().created.contains(&record.id())),
            Fault::IndexAppends => records = index.iter().filter_map(|id| sessions.load(id).cloned()).collect(),
            _ => {}
        }
        records
    }

    /// Whether the sessions of `other` are taken for those of `user`.
    fn confuses(&self, user: &UserId, other: &UserId) -> bool {
        let (user, other) = (user.as_str(), other.as_str());
        user == other
            || match self.fault {
                Fault::UserCutAtNul => user.split('\0').next() == other.split('\0').next(),
                Fault::UserIsPrefix => other.strip_prefix(user).is_some_and(|rest| rest.starts_with(':')),
                Fault::UserFoldsCase => user.to_lowercase() == other.to_lowercase(),
                Fault::UserCutAt255 => user.as_bytes().iter().take(255).eq(other.as_bytes().iter().take(255)),
                _ => false,
            }
    }

    /// Writes what `after` has otherwise than `before`.
    pub(super) async fn write<'t>(
        &'t self,
        mut turn: Turn<'t>,
        before: &Sessions,
        after: &Sessions,
        pace: Pace,
    ) -> Turn<'t> {
        let mut changes = before.changes(after);
        if pace == Pace::InsertFirst {
            changes.reverse();
        }
        for (at, (id, record)) in changes.into_iter().enumerate() {
            let others_go = match pace {
                Pace::AtOnce => false,
                Pace::Late => at == 0,
                Pace::OneByOne | Pace::InsertFirst => at > 0 && record.is_none(),
            };
            if others_go {
                turn = self.pause(turn).await;
            }
            match record {
                Some(record) => {
                    self.handle().deleted.remove(&id);
                    turn.sessions.records.insert(id, record);
                }
                None => drop(turn.sessions.records.remove(&id)),
            }
        }
        turn
    }
}

impl fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BrokenStore");
        shown.field("fault", &self.fault);
        if let (Fault::DebugShowsUsers, Ok(memory)) = (self.fault, self.shared.memory.try_lock()) {
            let users = memory.created.values().filter_map(|record| record.user().map(UserId::as_str));
            shown.field("users", &users.collect::<HashSet<_>>());
        }
        shown.finish_non_exhaustive()
    }
}

/// The sessions, live or expired, whose user `belongs`.
pub(super) fn select(sessions: &Sessions, belongs: impl Fn(Option<&UserId>) -> bool) -> Vec<Record> {
    sessions.records.values().filter(|record| belongs(record.user())).map(|record| Record::clone(record)).collect()
}

pub(super) fn failure() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "seeded fault")
}
