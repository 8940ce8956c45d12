//! [`Call`] and [`Answer`]: an operation as a value, which can be executed by a store, recorded, and compared with the
//! contract.

use std::sync::Arc;

use bytes::Bytes;
use session_core::store::{
    CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, SessionId, SessionLimit, SessionSummary, StoreError, Timestamp, UserId};

use crate::reference::Sessions;

/// The one value of the sessions in a history.
pub(crate) const VALUE: &str = "n";

#[derive(Clone, Debug)]
pub(crate) enum Call {
    Load(SessionId),
    /// As a request loads it: a copy will do.
    Read(SessionId),
    /// In exchange for the session with this id and version, if any. All sessions belong to one user.
    Create(Arc<Record>, Option<(SessionId, Version)>, Option<SessionLimit>),
    /// From this version.
    Update(Arc<Record>, Version),
    Touch(SessionId, UserId, Timestamp),
    Delete(SessionId, UserId),
    List(UserId),
    /// All sessions but this one.
    DeleteByUser(UserId, Option<SessionId>),
}

/// Lists are sorted, because the contract does not promise an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Loaded(Option<Seen>),
    /// A copy, and so what was stored at some moment before. When it was last used is not compared: its node notes its own touches.
    Copied(Version, Option<Bytes>),
    Created(CreateOutcome),
    Updated(UpdateOutcome),
    Touched(TouchOutcome),
    Deleted(DeleteOutcome),
    Listed(Vec<(SessionId, Timestamp)>),
    DeletedByUser(Vec<SessionId>),
}

/// The parts of a record that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: Version,
    pub(crate) last_seen: Timestamp,
    pub(crate) value: Option<Bytes>,
}

impl Seen {
    fn of(record: &Record) -> Self {
        Self { version: record.version, last_seen: record.summary.last_seen, value: value(record) }
    }
}

fn value(record: &Record) -> Option<Bytes> {
    record.data.get(VALUE.as_bytes()).cloned()
}

impl Call {
    /// Executes the call on a store.
    pub(crate) async fn invoke(&self, store: &dyn SessionStore, now: Timestamp) -> Result<Answer, StoreError> {
        Ok(match self {
            Self::Load(id) => Answer::Loaded(store.load(id, Freshness::Latest).await?.as_ref().map(Seen::of)),
            Self::Read(id) => match store.load(id, Freshness::Cached).await? {
                Some(copy) if copy.is_copy => Answer::Copied(copy.version, value(&copy)),
                loaded => Answer::Loaded(loaded.as_ref().map(Seen::of)),
            },
            Self::Create(record, replaces, limit) => {
                Answer::Created(store.create(request(record, *replaces, *limit), now).await?)
            }
            Self::Update(record, expected) => Answer::Updated(store.update(record, *expected, now).await?),
            Self::Touch(id, user, seen) => Answer::Touched(store.touch(id, Some(user), *seen).await?),
            Self::Delete(id, user) => Answer::Deleted(store.delete(id, Some(user)).await?),
            Self::List(user) => Answer::listed(&store.list_by_user(user, now).await?.sessions),
            Self::DeleteByUser(user, keep) => {
                Answer::DeletedByUser(store.delete_by_user(user, keep.as_ref(), now).await?.ids())
            }
        }
        .sorted())
    }

    /// Executes the call by the contract, if that allows this answer.
    pub(crate) fn admits(&self, answer: &Answer, sessions: &mut Sessions, now: Timestamp) -> bool {
        match (self, answer) {
            // A store may remember for a while that a session of this id was ended.
            (Self::Create(record, ..), Answer::Created(CreateOutcome::IdTaken))
                if sessions.ended.contains(&record.id()) =>
            {
                true
            }
            (Self::Read(id), Answer::Copied(version, copied)) => {
                sessions.load(id).is_some_and(|record| record.version == *version && value(record) == *copied)
            }
            _ => self.apply(sessions, now) == *answer,
        }
    }

    /// Executes the call by the contract.
    pub(crate) fn apply(&self, sessions: &mut Sessions, now: Timestamp) -> Answer {
        match self {
            Self::Load(id) | Self::Read(id) => Answer::Loaded(sessions.load(id).map(Seen::of)),
            Self::Create(record, replaces, limit) => {
                Answer::Created(sessions.create(request(record, *replaces, *limit), now))
            }
            Self::Update(record, expected) => Answer::Updated(sessions.update(record, *expected, now)),
            Self::Touch(id, _, seen) => Answer::Touched(sessions.touch(id, *seen)),
            Self::Delete(id, user) => Answer::Deleted(sessions.delete(id, Some(user))),
            Self::List(user) => Answer::listed(&sessions.list_by_user(user, now).sessions),
            Self::DeleteByUser(user, keep) => {
                Answer::DeletedByUser(sessions.delete_by_user(user, keep.as_ref(), now).ids())
            }
        }
        .sorted()
    }
}

impl Call {
    /// Whether its node has learnt from this answer what the store has, or rather what it no longer has: no copy that the node
    /// gives afterwards is older.
    pub(super) fn informs(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Load(_) | Self::Read(_) | Self::Update(..) | Self::Delete(..) | Self::DeleteByUser(..), _)
            | (Self::Create(..), Answer::Created(CreateOutcome::Created { .. })) => true,
            (Self::Create(..) | Self::Touch(..) | Self::List(_), _) => false,
        }
    }
}

/// A call of a task begins or ends. A task makes one call at a time.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Begin(usize, Call),
    End(usize, Answer),
}

impl Answer {
    fn listed(sessions: &[SessionSummary]) -> Self {
        Self::Listed(sessions.iter().map(|session| (session.id, session.last_seen)).collect())
    }

    fn sorted(mut self) -> Self {
        match &mut self {
            Self::Created(CreateOutcome::Created { evicted: ids }) | Self::DeletedByUser(ids) => ids.sort_unstable(),
            Self::Listed(sessions) => sessions.sort_unstable(),
            Self::Loaded(_)
            | Self::Copied(..)
            | Self::Created(_)
            | Self::Updated(_)
            | Self::Touched(_)
            | Self::Deleted(_) => {}
        }
        self
    }
}

fn request(record: &Record, replaces: Option<(SessionId, Version)>, limit: Option<SessionLimit>) -> CreateRequest<'_> {
    let replaces = replaces.map(|(id, version)| Replacement { id, user: record.user(), version });
    CreateRequest { record, replaces, limit, visitors: None }
}
