//! [`RecordBuilder`]: valid records for tests.

use std::time::Duration;

use bytes::Bytes;
use session_core::store::{Credential, Data, Record, Version};
use session_core::{
    Assurance, Authentication, Device, Kind, OsEntropy, Persistence, PresentedToken, Proof, RecordFormat, SessionId,
    SessionSummary, Timeouts, Timestamp, UserId,
};

use crate::outcome::Failure;

/// Builds a record as core does: with a generated id, a first version and an issued credential.
#[derive(Clone, Debug)]
pub struct RecordBuilder {
    id: Option<SessionId>,
    user: Option<UserId>,
    proofs: Vec<Proof>,
    kind: Kind,
    created_at: Timestamp,
    last_seen: Timestamp,
    renewed_at: Option<Timestamp>,
    timeouts: Timeouts,
    persistence: Persistence,
    device: Device,
    data: Data,
    binding: Option<Bytes>,
    format: RecordFormat,
}

impl RecordBuilder {
    /// An anonymous cookie session that begins now, with timeouts of 30 minutes and 8 hours, without values.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            id: None,
            user: None,
            proofs: Vec::new(),
            kind: Kind::Cookie,
            created_at: now,
            last_seen: now,
            renewed_at: None,
            timeouts: Timeouts { idle: Duration::from_secs(30 * 60), absolute: Duration::from_secs(8 * 60 * 60) },
            persistence: Persistence::Transient,
            device: Device::new(),
            data: Data::default(),
            binding: None,
            format: RecordFormat::LATEST,
        }
    }

    /// Belongs to `user`, who authenticated with a password when the session began.
    #[must_use]
    pub fn of(self, user: &UserId) -> Self {
        Self { user: Some(user.clone()), ..self }
    }

    /// The user authenticated at this moment, with these methods, at this level. Called again: once more.
    #[must_use]
    pub fn authenticated(mut self, at: Timestamp, methods: &[&str], level: Assurance) -> Self {
        let proof = Proof::new(level, at);
        self.proofs.push(methods.iter().fold(proof, |proof, method| proof.method(*method)));
        self
    }

    /// Has this id instead of a generated one.
    #[must_use]
    pub fn id(self, id: SessionId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Is of this kind.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Began at this moment. Moves an earlier `last_seen` with it.
    #[must_use]
    pub fn created_at(self, created_at: Timestamp) -> Self {
        Self { created_at, last_seen: self.last_seen.max(created_at), ..self }
    }

    /// Was last used at this moment.
    #[must_use]
    pub fn last_seen(self, last_seen: Timestamp) -> Self {
        Self { last_seen, ..self }
    }

    /// Had its token renewed at this moment.
    #[must_use]
    pub fn renewed_at(self, at: Timestamp) -> Self {
        Self { renewed_at: Some(at), ..self }
    }

    /// Has these timeouts.
    #[must_use]
    pub fn timeouts(self, idle: Duration, absolute: Duration) -> Self {
        Self { timeouts: Timeouts { idle, absolute }, ..self }
    }

    /// Has a cookie that outlives the browser, or not.
    #[must_use]
    pub fn persistence(self, persistence: Persistence) -> Self {
        Self { persistence, ..self }
    }

    /// Was opened on this device.
    #[must_use]
    pub fn device(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Holds this encoded value.
    #[must_use]
    pub fn value(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.data.insert(Bytes::from_static(name.as_bytes()), value.into());
        self
    }

    /// Is bound to a key of the device.
    #[must_use]
    pub fn binding(self, binding: impl Into<Bytes>) -> Self {
        Self { binding: Some(binding.into()), ..self }
    }

    /// Is stored in this format.
    #[must_use]
    pub fn format(self, format: RecordFormat) -> Self {
        Self { format, ..self }
    }

    /// The record. Each has its own version and credential, and unless one was [set](Self::id), its own id.
    ///
    /// # Errors
    /// If the random generator fails.
    pub fn build(self) -> Result<Record, Failure> {
        let id = match self.id {
            Some(id) => id,
            None => SessionId::generate(self.user.as_ref(), &OsEntropy)?,
        };
        let (mut credential, token) = Credential::issue(self.kind, id, self.created_at, &OsEntropy)?;
        if let Some(at) = self.renewed_at {
            let token = PresentedToken::parse(token.encode().expose().as_bytes()).map_err(|error| error.to_string())?;
            (credential, _) = credential.renew(self.kind, &token, Duration::from_secs(10), at, &OsEntropy)?;
        }
        let mut summary = SessionSummary::new(id, self.kind, self.created_at, self.timeouts);
        summary.last_seen = self.last_seen;
        summary.persistence = self.persistence;
        summary.device = self.device;
        summary.authentication = self.user.map(|user| {
            let mut proofs = self.proofs.into_iter();
            let password = || Proof::new(Assurance::Aal1, self.created_at).method("pwd");
            let mut authentication = Authentication::new(user, proofs.next().unwrap_or_else(password));
            proofs.for_each(|proof| authentication.prove(proof));
            authentication
        });
        let record = Record::new(summary, Version::first(&OsEntropy)?, credential);
        Ok(Record { data: self.data, format: self.format, ..record }.with_binding(self.binding))
    }
}
