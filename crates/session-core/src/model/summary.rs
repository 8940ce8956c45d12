//! What a session is, beside its credential and its data: [`SessionSummary`], and the parts it is made of.

use std::sync::Arc;
use std::time::Duration;

use super::device::Device;
use super::id::{SessionId, UserId};
use super::token::Kind;
use crate::clock::Timestamp;

/// What identifies and describes a session: everything that a list of sessions shows, and all that decides whether it is
/// alive. Neither its credential nor its data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionSummary {
    /// The public handle, and the primary key of stores.
    pub id: SessionId,
    /// What carries the token. A token of one kind is never accepted as another.
    pub kind: Kind,
    /// When the session began. A login begins a new session.
    pub created_at: Timestamp,
    /// Last recorded activity. Only ever moves forward; lags behind by up to the policy's touch interval.
    pub last_seen: Timestamp,
    /// Its two timeouts. In a record, those it was created with; in what [`SessionManager`](crate::SessionManager)
    /// returns, tightened by the policy.
    pub timeouts: Timeouts,
    /// Whether the client keeps the cookie when the browser closes.
    pub persistence: Persistence,
    /// Who is logged in and how; `None` for an anonymous session. The user of an id never changes.
    pub authentication: Option<Authentication>,
    /// Where the session was opened, for "your devices".
    pub device: Device,
}

impl SessionSummary {
    /// An anonymous session that begins at `now`: transient, from an unknown device.
    #[must_use]
    pub fn new(id: SessionId, kind: Kind, now: Timestamp, timeouts: Timeouts) -> Self {
        Self {
            id,
            kind,
            created_at: now,
            last_seen: now,
            timeouts,
            persistence: Persistence::Transient,
            authentication: None,
            device: Device::new(),
        }
    }

    /// The user this session belongs to; `None` for an anonymous one.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.authentication.as_ref().map(|authentication| &authentication.user)
    }

    /// The moment from which the session is dead in any case.
    #[must_use]
    pub fn absolute_deadline(&self) -> Timestamp {
        self.created_at + self.timeouts.absolute
    }

    /// The moment from which the session is dead unless it is used before: the earlier of the idle and the absolute
    /// deadline.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.timeouts.deadline(self.created_at, self.last_seen)
    }

    /// Whether the session is past its deadline. At the deadline itself it is.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.deadline()
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

    /// The moment from which a session with these timeouts is dead: the one rule of when a session is alive.
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
#[derive(Clone, Debug)]
#[non_exhaustive]
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

impl Authentication {
    /// `user` proved who they are at `at`, reaching `level`.
    #[must_use]
    pub fn new(user: UserId, at: Timestamp, level: Assurance) -> Self {
        Self { user, at, methods: Arc::default(), level }
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
