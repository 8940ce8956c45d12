//! What happens to sessions, as typed events.

use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::clock::{Clock, Timestamp};
use crate::error::StoreErrorKind;
use crate::measurement::Measurement;
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
    /// In which request: for a refused one, and for any event that happens in a request if an observer
    /// [wants it](SessionObserver::wants_request).
    pub request: Option<Arc<RequestContext>>,
}

/// What a request says of itself, for audit logs.
///
/// The texts come from the client: they are cut after 256 characters, and control characters are replaced. The query is left
/// out, because it may hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// The method.
    pub method: String,
    /// The path of the target, without the query.
    pub path: String,
    /// The host that the request was sent to.
    pub host: Option<String>,
    /// `Origin`.
    pub origin: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// The address of the client, if the application knows it: behind a proxy, the peer of the connection is not the client.
    pub client: Option<IpAddr>,
    /// The id by which other logs know the request.
    pub request_id: Option<String>,
}

/// Why a request was refused by the [guard](crate::adapter::OriginGuard).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum OriginRefusal {
    /// `Sec-Fetch-Site` says so, and `Origin` is not trusted.
    #[error("another site or origin made the browser send it (Sec-Fetch-Site); if that is intended, trust its Origin")]
    OtherSite,
    /// `Origin` is neither that of the host nor trusted.
    #[error(
        "Origin is neither trusted nor that of Host; a proxy in front must pass on the Host that the browser sent \
         (nginx: proxy_set_header Host $http_host;), or the site's own origin be trusted"
    )]
    OtherHost,
    /// `Origin: null`.
    #[error(
        "Origin is null: a sandboxed frame, a redirect across origins, a file, or a page with Referrer-Policy: no-referrer \
         (use same-origin instead)"
    )]
    Opaque,
    /// Neither `Origin` nor `Sec-Fetch-Site`.
    #[error("neither Origin nor Sec-Fetch-Site, one of which the policy demands")]
    Missing,
    /// `Origin` or `Sec-Fetch-Site` is repeated, or has a value that no browser sends.
    #[error("Origin or Sec-Fetch-Site is repeated, or has a value that no browser sends; does a proxy change them?")]
    Unreadable,
    /// The host is not an allowed one.
    #[error("Host is not one of the allowed hosts; allow it, or exempt the path of a health check")]
    HostNotAllowed,
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
    /// The login of a user whose live sessions are all on other devices: with other labels or, without labels, other user agents
    /// but for their numbers. Follows [`LoggedIn`](Self::LoggedIn), if the manager is to
    /// [report it](crate::SessionManagerBuilder::report_new_devices).
    NewDevice,
    /// The user proved who they are once more; the token was regenerated.
    SteppedUp,
    /// The token was regenerated at the application's request.
    Regenerated,
    /// The token reached the renewal timeout and was renewed.
    Renewed,
    /// A session ended.
    Terminated(Termination),
    /// The client was told to forget its client-side session. There is no deny list, so a copy of the cookie stays good until
    /// its deadlines.
    CookieRemoved,
    /// The predecessor of a token was presented inside its grace window, and accepted: by a request that was under way, a
    /// second tab, a client whose answer got lost, or a copy in other hands. Once for each time.
    Replayed,
    /// The predecessor of a refresh token was presented inside its grace window, and refused, because too many tokens of the
    /// session were [replayed](Self::Replayed) before: either two holders refresh at each turn, one of which may be a thief, or
    /// a client refreshes everything twice. The session lives. See
    /// [`refresh_replays`](crate::PolicyBuilder::refresh_replays).
    ReplayRefused,
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
    /// An access token was presented that is malformed, forged or expired, or whose session has ended.
    InvalidAccessToken,
    /// A proof of possession (DPoP, RFC 9449) was refused: it is malformed, forged, too old, of another request or another key,
    /// or was used before; or there was none where a token is bound to a key. Many of one user may be a thief who has all but
    /// the key.
    InvalidProof,
    /// A session that is bound to a device was presented without what that device alone has: a copy of its cookie, or a browser
    /// that gave the binding up.
    DeviceNotProved,
    /// A logout token of an OpenID provider was refused: it is malformed, forged or expired, was used before, or names no
    /// user. If it is genuine, sessions live on here that ended there.
    InvalidLogoutToken,
    /// Credentials were refused where this library asks for them: at the token routes of an adapter.
    LoginRefused,
    /// Several cookies of the session's name were presented, with different values. See
    /// [`PresentedCookie::Several`](crate::adapter::PresentedCookie::Several).
    AmbiguousCookie,
    /// A visitor's values were not stored, because the browser may have the cookie of a session that it did not send, or whose
    /// request named several: a new one would replace it.
    NotStored,
    /// A visitor's values were not stored, because the application's [`VisitorGate`](crate::VisitorGate) refused.
    VisitorRefused,
    /// A request from another origin was refused (CSRF), or one to a host that is not allowed.
    CrossOrigin(OriginRefusal),
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

    /// Whether each event that happens in a request is to say in [which](Event::request). Asked once. It costs each request
    /// a few allocations: `false` unless an implementation says otherwise.
    fn wants_request(&self) -> bool {
        false
    }

    /// Called for each measurement, if it is [wanted](Self::wants_measurements). The same rules hold.
    fn on_measurement(&self, _measurement: &Measurement) {}

    /// Whether [`on_measurement`](Self::on_measurement) is to be called. Asked once. Measuring costs each store operation two
    /// readings of a clock, and nothing is measured for nobody: `false` unless an implementation says otherwise.
    fn wants_measurements(&self) -> bool {
        false
    }
}

/// For a sink that does what an observer must not: wait. Each receiver gets every event, unless it is behind by more than the
/// capacity of the channel: then it is told how many it has missed. Wants the context of requests.
///
/// ```
/// use session_core::{Event, SessionManager};
/// use tokio::sync::broadcast::{self, error::RecvError};
///
/// # fn demo(builder: session_core::SessionManagerBuilder) {
/// let (events, mut audit) = broadcast::channel::<Event>(1024);
/// let sessions = builder.observer(events).build();
/// tokio::spawn(async move {
///     loop {
///         match audit.recv().await {
///             Ok(event) => { /* write it, and wait for the write */ }
///             Err(RecvError::Lagged(missed)) => { /* that many are lost: say so */ }
///             Err(RecvError::Closed) => break,
///         }
///     }
/// });
/// # }
/// ```
impl SessionObserver for broadcast::Sender<Event> {
    fn on_event(&self, event: &Event) {
        // An error: nobody listens now.
        let _ = self.send(event.clone());
    }

    fn wants_request(&self) -> bool {
        true
    }
}

/// Where events go.
pub(crate) struct Reporter {
    clock: Arc<dyn Clock>,
    observers: Vec<Arc<dyn SessionObserver>>,
    /// Those of them that want measurements.
    meters: Vec<Arc<dyn SessionObserver>>,
}

impl Reporter {
    pub(crate) fn new(clock: Arc<dyn Clock>, observers: Vec<Arc<dyn SessionObserver>>) -> Self {
        let meters = observers.iter().filter(|observer| observer.wants_measurements()).map(Arc::clone).collect();
        Self { clock, observers, meters }
    }

    /// Whether anybody wants measurements.
    pub(crate) fn is_measured(&self) -> bool {
        !self.meters.is_empty()
    }

    pub(crate) fn measure(&self, measurement: &Measurement) {
        for meter in &self.meters {
            let _ = catch_unwind(AssertUnwindSafe(|| meter.on_measurement(measurement)));
        }
    }

    pub(crate) fn report(
        &self,
        kind: EventKind,
        session: Option<SessionId>,
        user: Option<UserId>,
        request: Option<Arc<RequestContext>>,
    ) {
        if self.observers.is_empty() {
            return;
        }
        let event = Event { at: self.clock.now(), session, user, kind, request };
        for observer in &self.observers {
            // An audit sink that fails must not keep a session alive.
            let _ = catch_unwind(AssertUnwindSafe(|| observer.on_event(&event)));
        }
    }
}

/// Writes events to [`tracing`], target `session`: refused requests, refused logout tokens and reuse as warnings, store failures as errors,
/// the rest at debug level. Neither ids nor users are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

impl SessionObserver for TracingObserver {
    fn on_event(&self, event: &Event) {
        let kind = &event.kind;
        match kind {
            EventKind::Abandoned => tracing::error!(target: "session", ?kind, "session event"),
            // The manager logs each failure with its cause, the guard each refusal with its request.
            EventKind::StoreFailed { .. } | EventKind::CrossOrigin(_) => {}
            EventKind::TokenReuse
            | EventKind::AmbiguousCookie
            | EventKind::LimitReached
            | EventKind::InvalidLogoutToken
            | EventKind::NotStored
            | EventKind::ReplayRefused
            | EventKind::Terminated(Termination::Reuse) => tracing::warn!(target: "session", ?kind, "session event"),
            EventKind::Created
            | EventKind::LoggedIn
            | EventKind::NewDevice
            | EventKind::SteppedUp
            | EventKind::Regenerated
            | EventKind::Renewed
            | EventKind::CookieRemoved
            | EventKind::Replayed
            | EventKind::Terminated(_)
            | EventKind::Expired(_)
            | EventKind::RenewalRaced
            | EventKind::UnknownToken
            | EventKind::MalformedToken
            | EventKind::InvalidAccessToken
            | EventKind::InvalidProof
            | EventKind::DeviceNotProved
            | EventKind::LoginRefused
            | EventKind::VisitorRefused => tracing::debug!(target: "session", ?kind, "session event"),
        }
    }
}
