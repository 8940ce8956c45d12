//! What happens to sessions, as typed events.

use std::fmt;

use crate::clock::Timestamp;
use crate::error::StoreErrorKind;
use crate::model::id::{SessionId, UserId};

/// One thing that happened, after it happened. For audit logs, metrics and notifications.
#[derive(Clone)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To which session, if there is one.
    pub session: Option<SessionId>,
    /// The user of that session, if one is logged in.
    pub user: Option<UserId>,
    /// What.
    pub kind: EventKind,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("at", &self.at).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// An anonymous session was stored for the first time.
    Created,
    /// A user logged in: a new session began.
    LoggedIn,
    /// The user proved who they are once more; the token was regenerated.
    SteppedUp,
    /// The token was regenerated at the application's request.
    Regenerated,
    /// The token reached the renewal timeout and was renewed.
    Renewed,
    /// A session ended.
    Terminated(Termination),
    /// A token was presented whose session is past a deadline.
    Expired(Expiry),
    /// A login failed because the user has too many sessions.
    LimitReached,
    /// A consumed token was presented: a copy of it is in other hands. The session was terminated.
    TokenReuse,
    /// The predecessor of a token lost a race against its successor. Refused; no theft.
    RenewalRaced,
    /// A well-formed token was presented that belongs to no session.
    UnknownToken,
    /// Something was presented that is not a token.
    MalformedToken,
    /// Several cookies of the session's name were presented, with different values.
    AmbiguousCookie,
    /// A request from another site was refused (CSRF).
    CrossOrigin,
    /// A store operation failed.
    StoreFailed {
        /// Which.
        operation: &'static str,
        /// How.
        kind: StoreErrorKind,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Termination {
    /// Its user logged out.
    Logout,
    /// A login took its place.
    Replaced,
    /// It was revoked: from a list of devices, or together with others.
    Revoked,
    /// It had to make room under the session limit.
    Evicted,
    /// A consumed token was presented.
    Reuse,
}

/// Which deadline a session passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// The idle timeout.
    Idle,
    /// The absolute timeout.
    Absolute,
    /// It began before [`Policy::not_before`](crate::Policy::not_before).
    NotBefore,
}

/// Receives every event, once, after the fact.
///
/// Called on the request's task: do not block. A panic is caught and ignored; an audit sink cannot prevent a logout.
pub trait SessionObserver: fmt::Debug + Send + Sync + 'static {
    /// Called for each event.
    fn on_event(&self, event: &Event);
}

/// Writes events to [`tracing`], target `session`: refused requests and reuse as warnings, store failures as errors,
/// the rest at debug level. Neither ids nor users are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

impl SessionObserver for TracingObserver {
    fn on_event(&self, event: &Event) {
        let kind = &event.kind;
        match kind {
            EventKind::StoreFailed { .. } => tracing::error!(target: "session", ?kind, "session store failed"),
            EventKind::TokenReuse
            | EventKind::AmbiguousCookie
            | EventKind::CrossOrigin
            | EventKind::LimitReached
            | EventKind::Terminated(Termination::Reuse) => tracing::warn!(target: "session", ?kind, "session event"),
            EventKind::Created
            | EventKind::LoggedIn
            | EventKind::SteppedUp
            | EventKind::Regenerated
            | EventKind::Renewed
            | EventKind::Terminated(_)
            | EventKind::Expired(_)
            | EventKind::RenewalRaced
            | EventKind::UnknownToken
            | EventKind::MalformedToken => tracing::debug!(target: "session", ?kind, "session event"),
        }
    }
}
