//! Where sessions are kept: in a store, or by their clients.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::decide::verdict::{Access, LoadedSession, Replaced};
use crate::entropy::{Entropy, EntropyError};
use crate::error::{StoreError, StoreErrorKind};
use crate::event::{EventKind, Termination};
use crate::model::credential::Credential;
use crate::model::format::RecordFormat;
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::model::summary::{SessionSummary, Timeouts};
use crate::model::token::Kind;
use crate::policy::limit::SessionLimit;
use crate::policy::visitors::VisitorLimit;
use crate::store::contract::{
    CreateOutcome, CreateRequest, DeleteOutcome, Freshness, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};

/// Where sessions are kept.
pub(super) enum Backing {
    Store(Arc<dyn SessionStore>),
    /// By their clients. Two requests that change one session at once are not noticed, and a user's sessions can be
    /// neither listed nor limited. With a deny list, sessions that ended are known.
    Client {
        deny_list: Option<DenyList>,
    },
}

/// Ids of client-side sessions that ended before their deadline, kept in a store as anonymous sessions without values.
pub(super) struct DenyList {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// How entries are written.
    pub(super) format: RecordFormat,
    /// How many of them may be of anonymous sessions.
    pub(super) visitors: VisitorLimit,
}

impl Backing {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Store(store) => store.name(),
            Self::Client { .. } => "client-side",
        }
    }

    /// What it is called when a session is over here.
    pub(super) fn end(&self, why: Termination) -> EventKind {
        match self {
            Self::Store(_) | Self::Client { deny_list: Some(_) } => EventKind::Terminated(why),
            Self::Client { deny_list: None } => EventKind::CookieRemoved,
        }
    }

    /// Whether it is known of client-side sessions that they ended.
    pub(super) fn has_deny_list(&self) -> bool {
        matches!(self, Self::Client { deny_list: Some(_) })
    }

    /// The store, for what only a store can do.
    pub(super) fn store(&self) -> Result<&dyn SessionStore, StoreError> {
        match self {
            Self::Store(store) => Ok(&**store),
            Self::Client { .. } => {
                let detail = "client-side sessions are known to their clients only; \
                              use a store to list, limit or revoke sessions";
                Err(StoreError::new(StoreErrorKind::Unsupported, detail))
            }
        }
    }

    /// What is asked of a store at all: for sessions, or for those that were denied.
    pub(super) fn any_store(&self) -> Option<&dyn SessionStore> {
        match self {
            Self::Store(store) | Self::Client { deny_list: Some(DenyList { store, .. }) } => Some(&**store),
            Self::Client { deny_list: None } => None,
        }
    }

    pub(super) async fn create(
        &self,
        record: &Record,
        replaces: Option<&Replaced>,
        limit: Option<SessionLimit>,
        visitors: VisitorLimit,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        match self {
            Self::Store(store) => {
                let replaces = replaces.map(|Replaced { id, user, version, .. }| Replacement {
                    id: *id,
                    user: user.as_ref(),
                    version: *version,
                });
                (**store).create(CreateRequest { record, replaces, limit, visitors: Some(visitors) }, now).await
            }
            Self::Client { deny_list } => {
                let Some((list, old)) = deny_list.as_ref().zip(replaces) else {
                    return Ok(CreateOutcome::Created { evicted: Vec::new() });
                };
                // Before the new one is handed out. With the version of the new one, so that the same call, repeated, is
                // told from another request with the same cookie.
                let add = list.add(old.id, old.user.as_ref(), old.dead_from, record.version, now);
                // Boxed, as what is rare: every commit of a stored session would carry it along.
                match Box::pin(add).await? {
                    DeleteOutcome::Deleted => Ok(CreateOutcome::Created { evicted: Vec::new() }),
                    DeleteOutcome::Absent => Ok(CreateOutcome::ReplacedAbsent),
                }
            }
        }
    }

    pub(super) async fn update(
        &self,
        record: &Record,
        expected: Version,
        now: Timestamp,
    ) -> Result<UpdateOutcome, StoreError> {
        match self {
            Self::Store(store) => (**store).update(record, expected, now).await,
            Self::Client { .. } if self.is_denied(&record.id(), now).await? => Ok(UpdateOutcome::Absent),
            Self::Client { .. } => Ok(UpdateOutcome::Applied),
        }
    }

    pub(super) async fn touch(
        &self,
        id: &SessionId,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<TouchOutcome, StoreError> {
        match self {
            Self::Store(store) => (**store).touch(id, user, now).await,
            Self::Client { .. } if self.is_denied(id, now).await? => Ok(TouchOutcome::Absent),
            Self::Client { .. } => Ok(TouchOutcome::Applied),
        }
    }

    /// Ends a session, as far as that is possible.
    pub(super) async fn delete(
        &self,
        id: &SessionId,
        user: Option<&UserId>,
        dead_from: Timestamp,
        now: Timestamp,
    ) -> Result<DeleteOutcome, StoreError> {
        match self {
            Self::Store(store) => (**store).delete(id, user).await,
            Self::Client { deny_list: Some(list) } => {
                let version = Version::first(&*list.entropy).map_err(no_entropy)?;
                Box::pin(list.add(*id, user, dead_from, version, now)).await
            }
            Self::Client { deny_list: None } => Ok(DeleteOutcome::Deleted),
        }
    }

    pub(super) async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        match self {
            Self::Store(store) | Self::Client { deny_list: Some(DenyList { store, .. }) } => {
                (**store).delete_expired(now, limit).await
            }
            Self::Client { deny_list: None } => Ok(0),
        }
    }

    /// Whether a client-side session was ended. Its record in a store says that of any other.
    pub(super) async fn is_denied(&self, id: &SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let Self::Client { deny_list: Some(list) } = self else { return Ok(false) };
        match list.store.load(id, Freshness::Latest).await {
            Ok(entry) => Ok(entry.is_some_and(|entry| !entry.is_expired(now))),
            // Another version has written it; what else it says does not matter.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// A session that was created, with the proof that its next change rests on.
    pub(super) fn created(&self, session: Arc<LoadedSession>) -> Arc<LoadedSession> {
        match self {
            Self::Store(_) => session,
            Self::Client { .. } => Arc::new(LoadedSession { record: session.record.clone(), access: Access::Seal }),
        }
    }
}

fn no_entropy(_: EntropyError) -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the random generator failed")
}

impl DenyList {
    /// Denies `id` until no copy of the session can be alive. That of a visitor, which anyone can begin and end, only as far as
    /// there is room for those: to be able to log in is worth more.
    async fn add(
        &self,
        id: SessionId,
        user: Option<&UserId>,
        dead_from: Timestamp,
        version: Version,
        now: Timestamp,
    ) -> Result<DeleteOutcome, StoreError> {
        let (credential, _) = Credential::issue(Kind::Cookie, id, now, &*self.entropy).map_err(no_entropy)?;
        let left = dead_from.since(now);
        let timeouts = Timeouts { idle: left, absolute: left };
        let summary = SessionSummary::new(id, Kind::Cookie, now, timeouts);
        let entry = Record::new(summary, version, credential);
        let entry = Record { format: self.format, ..entry };
        let request = CreateRequest::new(&entry);
        let request = if user.is_some() { request } else { request.among(self.visitors) };
        match self.store.create(request, now).await {
            Ok(CreateOutcome::Created { .. }) => Ok(DeleteOutcome::Deleted),
            Err(error) if error.kind() == StoreErrorKind::Full && user.is_none() => Ok(DeleteOutcome::Deleted),
            Err(error) => Err(error),
            Ok(CreateOutcome::IdTaken) => Ok(DeleteOutcome::Absent),
            Ok(CreateOutcome::LimitReached | CreateOutcome::ReplacedChanged | CreateOutcome::ReplacedAbsent) => {
                Err(StoreError::new(StoreErrorKind::Other, "the deny list breaks the store contract"))
            }
        }
    }
}
