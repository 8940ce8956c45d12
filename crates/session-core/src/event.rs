//! What happens to sessions, as typed events.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
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
    /// Work that went on in the background was given up: there was too much of it, no runtime, or the store did not answer
    /// for minutes. A change may be stored without its event, or a session be alive whose token no client has.
    Abandoned,
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
    /// Its token reached no client: the request of its login went away, or the answer of the store did not come.
    Unreceived,
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

/// Where events go.
pub(crate) struct Reporter {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn SessionObserver>>,
}

impl Reporter {
    pub(crate) fn report(&self, kind: EventKind, session: Option<SessionId>, user: Option<UserId>) {
        if self.observers.is_empty() {
            return;
        }
        let event = Event { at: self.clock.now(), session, user, kind };
        for observer in &self.observers {
            // An audit sink that fails must not keep a session alive.
            let _ = catch_unwind(AssertUnwindSafe(|| observer.on_event(&event)));
        }
    }
}

/// Writes events to [`tracing`], target `session`: refused requests and reuse as warnings, store failures as errors,
/// the rest at debug level. Neither ids nor users are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

impl SessionObserver for TracingObserver {
    fn on_event(&self, event: &Event) {
        let kind = &event.kind;
        match kind {
            EventKind::Abandoned => tracing::error!(target: "session", ?kind, "session event"),
            // The manager logs each failure with its cause.
            EventKind::StoreFailed { .. } => {}
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
