//! What a store keeps for one session: [`Record`].

use std::fmt;

use bytes::Bytes;

use super::binding::is_bound;
use super::credential::{Credential, TokenCheck};
use super::data::Data;
use super::format::RecordFormat;
use super::id::{SessionId, UserId};
use super::summary::SessionSummary;
use super::token::PresentedToken;
use crate::clock::Timestamp;
use crate::entropy::{self, Entropy, EntropyError};

/// Everything a store keeps for one session. Never a token.
///
/// A backend may look at `version` and, of the summary, at `id`, `user`, `created_at`, `last_seen` and `timeouts`. The
/// rest it stores and returns as it is, through [`encode`](Self::encode) and [`decode`](Self::decode), or, if it keeps those
/// fields in columns of its own, [`encode_body`](Self::encode_body) and [`decode_body`](Self::decode_body).
#[derive(Clone)]
pub struct Record {
    /// What a list of sessions shows.
    pub summary: SessionSummary,
    /// Changes with every update; what compare-and-swap compares.
    pub version: Version,
    /// Digests of the token.
    pub credential: Credential,
    /// The application's values.
    pub data: Data,
    /// What binds the session to a key of the device: see [`Session::rebind`](crate::Session::rebind). Kept by every update; a
    /// new id begins without it. Set by [`with_binding`](Self::with_binding).
    pub binding: Option<Bytes>,
    /// How [`encode`](Self::encode) writes it. In what was read, how it was stored.
    pub format: RecordFormat,
    /// The bytes that [`decode`](Self::decode) read, of this record or the one that it replaces: for a store whose server
    /// compares whole values. `None` if they are not known.
    pub replaces: Option<Bytes>,
    /// In what was read: whether it is a copy that a cache had, and not what the store has now. What is concluded from a copy is
    /// that the session is alive, or nothing.
    pub is_copy: bool,
}

impl Record {
    /// The record of a session without values, in the newest format.
    #[must_use]
    pub fn new(summary: SessionSummary, version: Version, credential: Credential) -> Self {
        let format = RecordFormat::LATEST;
        Self {
            summary,
            version,
            credential,
            data: Data::default(),
            binding: None,
            format,
            replaces: None,
            is_copy: false,
        }
    }

    /// The record with this binding, and a summary that says so.
    #[must_use]
    pub fn with_binding(mut self, binding: Option<Bytes>) -> Self {
        self.summary.is_bound = is_bound(binding.as_deref());
        self.binding = binding;
        self
    }

    /// The primary key.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.summary.id
    }

    /// The user this session belongs to; `None` for an anonymous one.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.summary.user()
    }

    /// The record after a touch at `now`: `last_seen` moved forward.
    #[must_use]
    pub fn touched(mut self, now: Timestamp) -> Self {
        self.summary.last_seen = self.summary.last_seen.max(now);
        self.replaces = None;
        self
    }

    /// What `token` is to this record. The kinds must agree: see [`Credential::check`].
    pub fn check(&self, token: &PresentedToken) -> TokenCheck {
        self.credential.check(self.summary.kind, token)
    }

    /// [`SessionSummary::deadline`].
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.summary.deadline()
    }

    /// [`SessionSummary::is_expired`].
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.summary.is_expired(now)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { summary, version, credential, data, binding: _, format, replaces: _, is_copy: _ } = self;
        let mut record = f.debug_struct("Record");
        record.field("summary", summary).field("version", version).field("credential", credential).field("data", data);
        record.field("format", format);
        record.finish_non_exhaustive()
    }
}

/// What a compare-and-swap compares.
///
/// `number` grows by one with each update. `nonce` is random and identifies the writer, so that a store recognises
/// a write that was repeated because its reply got lost, and answers as if it had been sent once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// Grows by one with each update, from 1. Stays at the largest number; the nonce still changes.
    pub number: u32,
    /// Random, chosen by the writer.
    pub nonce: u64,
}

impl Version {
    /// The version of a new record.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed.
    pub fn first(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self { number: 1, nonce: u64::from_be_bytes(entropy::random(entropy)?) })
    }

    /// The version that follows this one.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed.
    pub fn next(self, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let nonce = u64::from_be_bytes(entropy::random(entropy)?);
        Ok(Self { number: self.number.saturating_add(1), nonce })
    }

    /// The version as 12 bytes: the number, then the nonce, big-endian. Stores compare them whole.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        bytes[4..].copy_from_slice(&self.nonce.to_be_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    #[must_use]
    pub const fn from_bytes([a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]) -> Self {
        Self { number: u32::from_be_bytes([a, b, c, d]), nonce: u64::from_be_bytes([e, f, g, h, i, j, k, l]) }
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.number)
    }
}
