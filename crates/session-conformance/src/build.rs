//! [`RecordBuilder`]: valid records, through the public API of `session-core`.

use std::time::Duration;

use bytes::Bytes;
use session_core::store::{Credential, Data, Record, Version};
use session_core::{
    Assurance, Authentication, Kind, OsEntropy, SessionId, SessionSummary, Timeouts, Timestamp, UserId,
};

use crate::outcome::Failure;

/// Builds a record as core would: a generated id, a first version, an issued credential.
#[derive(Clone, Debug)]
pub struct RecordBuilder {
    id: Option<SessionId>,
    user: Option<UserId>,
    kind: Kind,
    created_at: Timestamp,
    last_seen: Timestamp,
    timeouts: Timeouts,
    data: Data,
}

impl RecordBuilder {
    /// A visitor's session that begins now, without values.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            id: None,
            user: None,
            kind: Kind::Cookie,
            created_at: now,
            last_seen: now,
            timeouts: Timeouts { idle: Duration::from_secs(30 * 60), absolute: Duration::from_secs(8 * 60 * 60) },
            data: Data::default(),
        }
    }

    /// Belongs to `user`, who authenticated when the session began.
    #[must_use]
    pub fn of(mut self, user: &UserId) -> Self {
        self.user = Some(user.clone());
        self
    }

    /// Has this id instead of a generated one.
    #[must_use]
    pub fn id(mut self, id: SessionId) -> Self {
        self.id = Some(id);
        self
    }

    /// Is of this kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Began at this moment. Activity at an earlier one moves with it.
    #[must_use]
    pub fn created_at(mut self, created_at: Timestamp) -> Self {
        self.created_at = created_at;
        self.last_seen = self.last_seen.max(created_at);
        self
    }

    /// Was last used at this moment.
    #[must_use]
    pub fn last_seen(mut self, last_seen: Timestamp) -> Self {
        self.last_seen = last_seen;
        self
    }

    /// Has these timeouts.
    #[must_use]
    pub fn timeouts(mut self, idle: Duration, absolute: Duration) -> Self {
        self.timeouts = Timeouts { idle, absolute };
        self
    }

    /// Holds this encoded value.
    #[must_use]
    pub fn value(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.data.insert(Bytes::from_static(name.as_bytes()), value.into());
        self
    }

    /// The record. Each has a version and a credential of its own; without [`id`](Self::id), an id of its own too.
    ///
    /// # Errors
    /// If the random generator failed.
    pub fn build(self) -> Result<Record, Failure> {
        let id = match self.id {
            Some(id) => id,
            None => SessionId::generate(self.user.as_ref(), &OsEntropy)?,
        };
        let (credential, _token) = Credential::issue(self.kind, id, self.created_at, &OsEntropy)?;
        let mut summary = SessionSummary::new(id, self.kind, self.created_at, self.timeouts);
        summary.last_seen = self.last_seen;
        summary.authentication = self.user.map(|user| {
            let mut authentication = Authentication::new(user, self.created_at, Assurance::Aal1);
            authentication.methods = ["pwd".to_owned()].into();
            authentication
        });
        Ok(Record { data: self.data, ..Record::new(summary, Version::first(&OsEntropy)?, credential) })
    }
}
