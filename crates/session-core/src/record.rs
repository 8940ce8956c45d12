//! What a store keeps for one session: [`Record`], and the parts it is made of.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::credential::Credential;
use crate::data::Data;
use crate::entropy::{Entropy, EntropyError};
use crate::id::{SessionId, UserId};

/// Everything a store keeps for one session. Never a token.
///
/// The fields a backend may look at are public: `id`, `version`, [`user`](Self::user), `created_at`, `last_seen`,
/// `lifetime`. The rest it stores and returns as it is, through [`encode`](Self::encode) and [`decode`](Self::decode), or,
/// if it keeps those fields in columns of its own, [`encode_body`](Self::encode_body) and
/// [`decode_body`](Self::decode_body).
#[derive(Clone)]
pub struct Record {
    /// Primary key.
    pub id: SessionId,
    /// Changes with every update; what compare-and-swap compares.
    pub version: Version,
    /// What carries the token. A token of one kind is never accepted as another.
    pub kind: Kind,
    /// When the session began. A login begins a new session.
    pub created_at: Timestamp,
    /// Last recorded activity. Only ever moves forward.
    pub last_seen: Timestamp,
    /// The two timeouts this session was created with.
    pub lifetime: Timeouts,
    /// Whether the client keeps the cookie when the browser closes.
    pub persistence: Persistence,
    /// Who is logged in and how; `None` for an anonymous visitor. The user of an id never changes.
    pub authentication: Option<Authentication>,
    /// Digests of the token.
    pub credential: Credential,
    /// Where the session was opened, for "your devices".
    pub device: Device,
    /// The application's values.
    pub data: Data,
}

impl Record {
    /// The user this session belongs to; `None` for an anonymous visitor.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.authentication.as_ref().map(|authentication| &authentication.user)
    }

    /// The moment from which the session is dead: the earlier of the idle and the absolute deadline.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.lifetime.deadline(self.created_at, self.last_seen)
    }

    /// Whether the session is past its own deadline. At the deadline itself it is.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.deadline()
    }

    /// The part that may be listed.
    #[must_use]
    pub fn summary(&self) -> SessionSummary {
        SessionSummary {
            id: self.id,
            kind: self.kind,
            created_at: self.created_at,
            last_seen: self.last_seen,
            lifetime: self.lifetime,
            persistence: self.persistence,
            authentication: self.authentication.clone(),
            device: self.device.clone(),
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version.number)
            .field("kind", &self.kind)
            .field("created_at", &self.created_at)
            .field("last_seen", &self.last_seen)
            .field("lifetime", &self.lifetime)
            .field("authenticated", &self.authentication.is_some())
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// What a list of sessions shows: everything but the credential and the data.
#[derive(Clone)]
pub struct SessionSummary {
    /// The handle to revoke it by.
    pub id: SessionId,
    /// What carries its token.
    pub kind: Kind,
    /// When it began.
    pub created_at: Timestamp,
    /// Last recorded activity; lags behind by up to the policy's touch interval.
    pub last_seen: Timestamp,
    /// Its timeouts.
    pub lifetime: Timeouts,
    /// Whether its cookie outlives the browser.
    pub persistence: Persistence,
    /// Who is logged in and how.
    pub authentication: Option<Authentication>,
    /// Where it was opened.
    pub device: Device,
}

impl fmt::Debug for SessionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSummary")
            .field("kind", &self.kind)
            .field("created_at", &self.created_at)
            .field("last_seen", &self.last_seen)
            .finish_non_exhaustive()
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
        Ok(Self { number: 1, nonce: u64::from_be_bytes(crate::entropy::random(entropy)?) })
    }

    /// The version that follows this one.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed.
    pub fn next(self, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let nonce = u64::from_be_bytes(crate::entropy::random(entropy)?);
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

/// What carries the token of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A session cookie.
    Cookie,
    /// An OAuth-style refresh token beside short-lived access tokens.
    Refresh,
}

impl Kind {
    /// The byte that stands for this kind in digests.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Cookie => 1,
            Self::Refresh => 2,
        }
    }
}

/// The two timeouts of a session. Both are always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How long a session lives without activity.
    pub idle: Duration,
    /// How long it lives whatever the activity, counted from its beginning.
    pub absolute: Duration,
}

impl Timeouts {
    /// The longest timeout, almost 35 years: stores keep a longer one as this.
    pub const MAX: Duration = Duration::from_millis((1 << 40) - 1);

    /// The shorter of each timeout.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { idle: self.idle.min(other.idle), absolute: self.absolute.min(other.absolute) }
    }

    /// The moment from which a session with these timeouts is dead.
    #[must_use]
    pub fn deadline(self, created_at: Timestamp, last_seen: Timestamp) -> Timestamp {
        (last_seen + self.idle).min(created_at + self.absolute)
    }
}

/// Whether the client keeps the cookie when the browser closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Until the browser closes.
    Transient,
    /// Until the absolute deadline: "remember me".
    Persistent,
}

/// A successful authentication: who, when, how, how strongly.
#[derive(Clone)]
pub struct Authentication {
    /// Who logged in.
    pub user: UserId,
    /// When the user last proved who they are; a step-up moves it.
    pub at: Timestamp,
    /// Methods used, as in the `amr` claim of RFC 8176: `pwd`, `otp`, `hwk`, …
    pub methods: Arc<[String]>,
    /// The authenticator assurance level reached.
    pub level: Assurance,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("at", &self.at)
            .field("methods", &self.methods)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Authenticator assurance level, as in NIST SP 800-63B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// One factor.
    Aal1,
    /// Two factors.
    Aal2,
    /// Two factors, one of them a hardware authenticator that resists phishing.
    Aal3,
}

/// Where a session was opened. Shown to the user, decides nothing.
///
/// The texts come from the client: they are cut to [`Device::MAX_LEN`] bytes, and must be escaped where they are shown.
#[derive(Clone, Default)]
pub struct Device(Option<Arc<DeviceParts>>);

#[derive(Clone, Default)]
struct DeviceParts {
    label: Option<String>,
    user_agent: Option<String>,
    ip: Option<IpAddr>,
}

impl Device {
    /// The longest label or user agent, in bytes.
    pub const MAX_LEN: usize = 256;

    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A name for the device.
    #[must_use]
    pub fn with_label(self, label: impl Into<String>) -> Self {
        self.with(|parts| parts.label = Some(cut(label.into())))
    }

    /// The `User-Agent` header of the request that opened the session.
    #[must_use]
    pub fn with_user_agent(self, user_agent: impl Into<String>) -> Self {
        self.with(|parts| parts.user_agent = Some(cut(user_agent.into())))
    }

    /// The address the session was opened from.
    #[must_use]
    pub fn with_ip(self, ip: IpAddr) -> Self {
        self.with(|parts| parts.ip = Some(ip))
    }

    /// The name of the device, if one was given.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.0.as_ref()?.label.as_deref()
    }

    /// The `User-Agent` header, if it was recorded.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.0.as_ref()?.user_agent.as_deref()
    }

    /// The address, if it was recorded.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.as_ref()?.ip
    }

    fn with(self, set: impl FnOnce(&mut DeviceParts)) -> Self {
        let mut parts = self.0.unwrap_or_default();
        set(Arc::make_mut(&mut parts));
        Self(Some(parts))
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device(..)")
    }
}

/// `text` cut to [`Device::MAX_LEN`] bytes, at a character boundary.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(Device::MAX_LEN));
    text
}
