//! Client-side sessions: the client keeps the whole session, signed, and no store does.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock, Timestamp};
use crate::credential::Credential;
use crate::data::Data;
use crate::entropy::Entropy;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{SessionId, UserId};
use crate::record::{Device, Kind, Persistence, Record, SessionSummary, Timeouts, Version};
use crate::store::{CreateOutcome, CreateRequest, DeleteOutcome, SessionStore, TouchOutcome, UpdateOutcome};

/// Turns sessions into text that a client can keep and cannot change, and back. `session-jwt` has one that signs JWTs.
///
/// The text is the session: whoever has it can use it, and read it, until its deadlines. A seal protects it against
/// changes, not against being kept: an older text of a session is as good as a newer one.
pub trait Seal: fmt::Debug + Send + Sync + 'static {
    /// The text of `record`: printable ASCII without space, quotes, comma, semicolon and backslash, as cookies want it.
    ///
    /// # Errors
    /// If it cannot be made: [`StoreErrorKind::Other`](crate::StoreErrorKind::Other).
    fn seal(&self, record: &Record, now: Timestamp) -> Result<String, StoreError>;

    /// The record in `text`, if [`seal`](Self::seal) made it. Its deadlines are judged by core.
    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record>;

    /// How many bytes [`seal`](Self::seal) makes of `record`, without the work of signing it.
    fn sealed_len(&self, record: &Record) -> usize;
}

/// Shared with whoever replaces its keys.
impl<T: Seal + ?Sized> Seal for Arc<T> {
    fn seal(&self, record: &Record, now: Timestamp) -> Result<String, StoreError> {
        (**self).seal(record, now)
    }

    fn open(&self, text: &[u8], now: Timestamp) -> Option<Record> {
        (**self).open(text, now)
    }

    fn sealed_len(&self, record: &Record) -> usize {
        (**self).sealed_len(record)
    }
}

/// What stands in for a store. It stores nothing, and so cannot see that two requests changed one session, nor list or
/// limit the sessions of a user. With a deny list it knows which sessions were ended.
#[derive(Debug)]
pub(crate) struct ClientStore {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seal: Arc<dyn Seal>,
    pub(crate) deny_list: Option<DenyList>,
}

/// Ids of sessions that ended before their deadline, kept in a store as anonymous sessions without values.
#[derive(Debug)]
pub(crate) struct DenyList {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// How long any session may live: after that, the entry is of no use.
    pub(crate) longest: Duration,
}

impl DenyList {
    async fn add(&self, id: SessionId, now: Timestamp) -> Result<DeleteOutcome, StoreError> {
        let entropy = |_| StoreError::new(StoreErrorKind::Other, "deny", "the random generator failed");
        let (credential, _) = Credential::issue(Kind::Cookie, id, now, &*self.entropy).map_err(entropy)?;
        let entry = Record {
            id,
            version: Version::first(&*self.entropy).map_err(entropy)?,
            kind: Kind::Cookie,
            created_at: now,
            last_seen: now,
            lifetime: Timeouts { idle: self.longest, absolute: self.longest },
            persistence: Persistence::Transient,
            authentication: None,
            credential,
            device: Device::new(),
            data: Data::default(),
        };
        let admission = CreateRequest { record: &entry, replaces: None, limit: None };
        Ok(match self.store.create(admission, now).await? {
            CreateOutcome::Created { .. } => DeleteOutcome::Deleted,
            CreateOutcome::IdTaken => DeleteOutcome::Absent,
            CreateOutcome::LimitReached | CreateOutcome::ReplacedChanged | CreateOutcome::ReplacedAbsent => {
                return Err(StoreError::new(StoreErrorKind::Other, "deny", "the deny list breaks the store contract"));
            }
        })
    }
}

impl ClientStore {
    pub(crate) async fn is_denied(&self, id: &SessionId, now: Timestamp) -> Result<bool, StoreError> {
        let Some(list) = &self.deny_list else { return Ok(false) };
        Ok(list.store.load(id).await?.is_some_and(|entry| !entry.is_expired(now)))
    }

    /// Ends a session, as far as that is possible.
    async fn deny(&self, id: &SessionId) -> Result<DeleteOutcome, StoreError> {
        match &self.deny_list {
            Some(list) => list.add(*id, self.clock.now()).await,
            None => Ok(DeleteOutcome::Deleted),
        }
    }
}

/// What a commit asks of a store, where there is none. Everything else is refused before it comes here.
#[async_trait]
impl SessionStore for ClientStore {
    fn name(&self) -> &'static str {
        "client-side"
    }

    async fn load(&self, _id: &SessionId) -> Result<Option<Record>, StoreError> {
        Err(unsupported("load"))
    }

    async fn create(&self, admission: CreateRequest<'_>, _now: Timestamp) -> Result<CreateOutcome, StoreError> {
        if admission.record.kind == Kind::Refresh {
            return Err(unsupported("create"));
        }
        match admission.replaces {
            Some(old) if self.deny(&old.id).await? == DeleteOutcome::Absent => Ok(CreateOutcome::ReplacedAbsent),
            Some(_) | None => Ok(CreateOutcome::Created { evicted: Vec::new() }),
        }
    }

    async fn update(&self, record: &Record, _expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        Ok(if self.is_denied(&record.id, now).await? { UpdateOutcome::Absent } else { UpdateOutcome::Applied })
    }

    async fn touch(
        &self,
        id: &SessionId,
        _user: Option<&UserId>,
        _seen: Timestamp,
        now: Timestamp,
    ) -> Result<TouchOutcome, StoreError> {
        Ok(if self.is_denied(id, now).await? { TouchOutcome::Absent } else { TouchOutcome::Applied })
    }

    async fn delete(&self, id: &SessionId, _user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.deny(id).await
    }

    async fn list_by_user(&self, _user: &UserId, _now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        Err(unsupported("list_by_user"))
    }

    async fn delete_by_user(&self, _user: &UserId, _keep: Option<&SessionId>) -> Result<Vec<SessionId>, StoreError> {
        Err(unsupported("delete_by_user"))
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        match &self.deny_list {
            Some(list) => list.store.delete_expired(now, limit).await,
            None => Ok(0),
        }
    }
}

/// What only a store could do.
pub(crate) fn unsupported(operation: &'static str) -> StoreError {
    let detail = "client-side sessions are known to their clients only; use a store to list, limit or revoke sessions";
    StoreError::new(StoreErrorKind::Unsupported, operation, detail).in_backend("client-side")
}
