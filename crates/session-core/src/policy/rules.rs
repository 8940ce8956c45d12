//! The rules, as plain data: [`Policy`] and its presets.

use std::time::Duration;

use super::caching::{AuthenticatedCaching, ClearSiteData};
use super::cookie::CookiePolicy;
use super::limit::{LimitPolicy, SessionLimit};
use super::visitors::VisitorLimit;
use crate::clock::Timestamp;
use crate::model::format::RecordFormat;
use crate::model::summary::{Persistence, SessionSummary, Timeouts};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How sessions behave. Validated once, by [`PolicyBuilder::build`](crate::PolicyBuilder::build); every decision of the library is a pure function
/// of a record, a policy and the time.
///
/// Start from a preset: [`standard`](Self::standard), [`high_assurance`](Self::high_assurance) or
/// [`consumer`](Self::consumer); the [manual](crate::manual::defaults) gives the source of each default.
///
/// Tightening a policy applies to sessions that exist already; loosening applies to new ones.
///
/// ```
/// use std::time::Duration;
/// use session_core::{LimitPolicy, Policy};
///
/// let policy = Policy::standard()
///     .to_builder()
///     .idle_timeout(Duration::from_secs(15 * 60))
///     .session_limit(3, LimitPolicy::EvictOldest)
///     .build()?;
/// assert_eq!(policy.session_limit().max.get(), 3);
/// # Ok::<_, session_core::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) authenticated: Timeouts,
    pub(super) anonymous: Timeouts,
    pub(super) remember_me: RememberMe,
    pub(super) renewal: Option<Renewal>,
    pub(super) refresh_grace: Duration,
    pub(super) refresh_replays: u32,
    pub(super) max_clock_skew: Duration,
    pub(super) touch_interval: Duration,
    pub(super) limit: SessionLimit,
    pub(super) visitors: VisitorLimit,
    pub(super) payload: PayloadLimit,
    pub(super) anonymous_payload: PayloadLimit,
    pub(super) write_conflict: WriteConflict,
    pub(super) store_timeout: Duration,
    pub(super) not_before: Timestamp,
    pub(super) record_format: RecordFormat,
    pub(super) cookie: CookiePolicy,
    pub(super) authenticated_caching: AuthenticatedCaching,
    pub(super) clear_site_data: ClearSiteData,
}

/// Whether cookies outlive the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RememberMe {
    /// Never, whatever a login asks for.
    Never,
    /// If the login asks for it ([`Login::remember`](crate::Login::remember)); such a session has these timeouts.
    OptIn(Timeouts),
    /// For every authenticated session, with the normal timeouts.
    Always,
}

/// Renewal of the token of a long authenticated session, without a login ("renewal timeout" in OWASP's terms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Age at which a token is replaced.
    pub timeout: Duration,
    /// How long the predecessor still works, for requests that were under way and for a client that did not get the answer;
    /// ends earlier with the first use of the successor. At most 5 minutes.
    pub grace: Duration,
}

/// How much one session may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadLimit {
    /// Names and encoded values together, in bytes.
    pub bytes: usize,
    /// Number of values.
    pub values: usize,
}

/// What happens when two requests `insert` or `remove` the same key at once. Different keys never collide, and `update`
/// closures are run again on the newer value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteConflict {
    /// The later commit wins.
    LastWriterWins,
    /// The later commit fails with [`Error::Conflict`](crate::Error::Conflict).
    Fail,
}

impl Policy {
    /// For most sites: 30 minutes idle, 8 hours absolute, up to 10 sessions of a user, `SameSite=Lax`.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            authenticated: Timeouts { idle: 30 * MINUTE, absolute: 8 * HOUR },
            anonymous: Timeouts { idle: 30 * MINUTE, absolute: 2 * HOUR },
            remember_me: RememberMe::OptIn(Timeouts { idle: 7 * DAY, absolute: 30 * DAY }),
            renewal: None,
            refresh_grace: Duration::from_secs(10),
            refresh_replays: 20,
            max_clock_skew: Duration::from_secs(30),
            touch_interval: MINUTE,
            limit: SessionLimit::capped(10, LimitPolicy::EvictOldest),
            visitors: VisitorLimit::capped(100_000),
            payload: PayloadLimit { bytes: 64 * 1024, values: 64 },
            anonymous_payload: PayloadLimit { bytes: 4 * 1024, values: 64 },
            write_conflict: WriteConflict::LastWriterWins,
            store_timeout: Duration::from_secs(2),
            not_before: Timestamp::EPOCH,
            record_format: RecordFormat::LATEST,
            cookie: CookiePolicy::standard(),
            authenticated_caching: AuthenticatedCaching::NoStore,
            clear_site_data: ClearSiteData::Never,
        }
    }

    /// For money, health and administration: 10 minutes idle, token renewal every 15, one session at a time,
    /// `SameSite=Strict`, no "remember me".
    #[must_use]
    pub fn high_assurance() -> Self {
        Self {
            authenticated: Timeouts { idle: 10 * MINUTE, absolute: 8 * HOUR },
            anonymous: Timeouts { idle: 10 * MINUTE, absolute: HOUR },
            remember_me: RememberMe::Never,
            renewal: Some(Renewal { timeout: 15 * MINUTE, grace: 2 * MINUTE }),
            refresh_grace: Duration::ZERO,
            touch_interval: Duration::from_secs(15),
            limit: SessionLimit::capped(1, LimitPolicy::Reject),
            payload: PayloadLimit { bytes: 16 * 1024, values: 64 },
            cookie: CookiePolicy::strict(),
            ..Self::standard()
        }
    }

    /// For shops and communities: 7 days idle, 30 days absolute, cookies that outlive the browser, up to 20 sessions.
    #[must_use]
    pub fn consumer() -> Self {
        Self {
            authenticated: Timeouts { idle: 7 * DAY, absolute: 30 * DAY },
            anonymous: Timeouts { idle: DAY, absolute: 2 * DAY },
            remember_me: RememberMe::Always,
            renewal: Some(Renewal { timeout: DAY, grace: 5 * MINUTE }),
            refresh_grace: Duration::from_secs(30),
            touch_interval: HOUR,
            limit: SessionLimit::capped(20, LimitPolicy::EvictOldest),
            visitors: VisitorLimit::capped(1_000_000),
            ..Self::standard()
        }
    }

    /// The timeouts of a session: by whether a user is logged in, and whether its cookie is persistent.
    #[must_use]
    pub fn timeouts(&self, authenticated: bool, persistence: Persistence) -> Timeouts {
        match (authenticated, persistence, self.remember_me) {
            (false, _, _) => self.anonymous,
            (true, Persistence::Persistent, RememberMe::OptIn(timeouts)) => timeouts,
            (true, _, _) => self.authenticated,
        }
    }

    /// The timeouts that hold for `session` under this policy: its own, tightened by the policy's.
    #[must_use]
    pub fn effective_timeouts(&self, session: &SessionSummary) -> Timeouts {
        session.timeouts.min(self.timeouts(session.authentication.is_some(), session.persistence))
    }

    /// The longest that any session may live.
    pub(crate) fn longest_timeout(&self) -> Duration {
        let remembered = match self.remember_me {
            RememberMe::OptIn(timeouts) => timeouts.absolute,
            RememberMe::Never | RememberMe::Always => Duration::ZERO,
        };
        self.authenticated.absolute.max(self.anonymous.absolute).max(remembered)
    }

    /// The persistence of a new authenticated session whose login asked for it or not.
    pub(crate) fn persistence(&self, asked: bool) -> Persistence {
        match (self.remember_me, asked) {
            (RememberMe::Always, _) | (RememberMe::OptIn(_), true) => Persistence::Persistent,
            (RememberMe::Never, _) | (RememberMe::OptIn(_), false) => Persistence::Transient,
        }
    }

    /// How much a session may hold.
    #[must_use]
    pub fn payload(&self, authenticated: bool) -> PayloadLimit {
        if authenticated { self.payload } else { self.anonymous_payload }
    }

    /// Whether cookies outlive the browser.
    #[must_use]
    pub fn remember_me(&self) -> RememberMe {
        self.remember_me
    }

    /// Token renewal, if it is on.
    #[must_use]
    pub fn renewal(&self) -> Option<Renewal> {
        self.renewal
    }

    /// How long after its replacement a refresh token still gets its successor, unless that is used.
    #[must_use]
    pub fn refresh_grace(&self) -> Duration {
        self.refresh_grace
    }

    /// How many refresh tokens of one session may be replayed in their grace windows. One is forgiven each hour.
    #[must_use]
    pub fn refresh_replays(&self) -> u32 {
        self.refresh_replays
    }

    /// By how much the clocks of two servers may differ. For so long after the grace window, a consumed token is refused
    /// without being taken for stolen.
    #[must_use]
    pub fn max_clock_skew(&self) -> Duration {
        self.max_clock_skew
    }

    /// How long `last_seen` may lag behind. The idle timeout takes effect up to this much earlier, never later.
    #[must_use]
    pub fn touch_interval(&self) -> Duration {
        self.touch_interval
    }

    /// The touch interval of a session with these timeouts. If they are shorter than those of the policy, because it was
    /// loosened after the session began, it is shorter in the same proportion.
    pub(crate) fn touch_interval_of(&self, timeouts: Timeouts) -> Duration {
        let shortest = self.shortest_idle();
        if timeouts.idle >= shortest {
            self.touch_interval
        } else {
            self.touch_interval.mul_f64(timeouts.idle.div_duration_f64(shortest))
        }
    }

    /// The shortest idle timeout of any session that begins under this policy.
    pub(super) fn shortest_idle(&self) -> Duration {
        let idle = self.authenticated.idle.min(self.anonymous.idle);
        match self.remember_me {
            RememberMe::OptIn(timeouts) => idle.min(timeouts.idle),
            RememberMe::Never | RememberMe::Always => idle,
        }
    }

    /// How many sessions a user may have.
    #[must_use]
    pub fn session_limit(&self) -> SessionLimit {
        self.limit
    }

    /// How many anonymous sessions there may be.
    #[must_use]
    pub fn visitor_limit(&self) -> VisitorLimit {
        self.visitors
    }

    /// What happens when two requests write the same key.
    #[must_use]
    pub fn write_conflict(&self) -> WriteConflict {
        self.write_conflict
    }

    /// How long one store operation may take before the request fails.
    #[must_use]
    pub fn store_timeout(&self) -> Duration {
        self.store_timeout
    }

    /// Sessions that began earlier are dead.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The format in which records are written.
    #[must_use]
    pub fn record_format(&self) -> RecordFormat {
        self.record_format
    }

    /// The cookie.
    #[must_use]
    pub fn cookie(&self) -> &CookiePolicy {
        &self.cookie
    }

    /// What `Cache-Control` says in responses to logged-in users.
    #[must_use]
    pub fn authenticated_caching(&self) -> AuthenticatedCaching {
        self.authenticated_caching
    }

    /// When the browser is asked to forget what it keeps of the site.
    #[must_use]
    pub fn clear_site_data(&self) -> ClearSiteData {
        self.clear_site_data
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::standard()
    }
}
