//! The rules, as plain data: [`Policy`], its presets and its builder.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::cookie::CookiePolicy;
use crate::id::SessionId;
use crate::record::{Persistence, Record, SessionSummary, Timeouts};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How sessions behave. Validated once, by [`PolicyBuilder::build`]; every decision of the library is a pure function
/// of a record, a policy and the time.
///
/// CommitInput from a preset: [`standard`](Self::standard), [`high_assurance`](Self::high_assurance) or
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
    authenticated: Timeouts,
    anonymous: Timeouts,
    remember_me: RememberMe,
    renewal: Option<Renewal>,
    refresh_grace: Duration,
    touch_interval: Duration,
    limit: SessionLimit,
    payload: PayloadLimit,
    anonymous_payload: PayloadLimit,
    write_conflict: WriteConflict,
    store_timeout: Duration,
    not_before: Timestamp,
    cookie: CookiePolicy,
}

/// How many sessions one user may have at once.
///
/// Enforced inside [`SessionStore::create`](crate::SessionStore::create), atomically: after K simultaneous logins exactly
/// min(K, max) live. Anonymous and expired sessions do not count, nor does the one that the login replaces.
///
/// Sessions that are dead only because the policy was tightened after they began never keep a login out. Under the two
/// eviction rules they take a place until they are evicted or reach their own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimit {
    /// The highest number of live sessions.
    pub max: NonZeroU32,
    /// What happens to the login that would exceed it.
    pub at_limit: LimitPolicy,
}

impl SessionLimit {
    /// The highest limit a policy accepts: a user with more sessions than this has a script, and would make every
    /// login and every list slow.
    pub const HARD_CAP: u32 = 100;

    /// Which of `others`, the live sessions a user has, must end so that one more fits; `None` if the login is to be
    /// rejected. For backends, inside their atomic step.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use session_core::{LimitPolicy, LimitCandidate, OsEntropy, SessionId, SessionLimit, Timestamp};
    ///
    /// let session = |created_at| LimitCandidate {
    ///     id: SessionId::generate(None, &OsEntropy).unwrap(),
    ///     created_at: Timestamp::from_millis(created_at),
    ///     last_seen: Timestamp::from_millis(9_000),
    /// };
    /// let limit = SessionLimit { max: NonZeroU32::new(2).unwrap(), at_limit: LimitPolicy::EvictOldest };
    /// let (old, young) = (session(1_000), session(2_000));
    /// assert_eq!(limit.select_evictions(vec![young]), Some(vec![]));
    /// assert_eq!(limit.select_evictions(vec![young, old]), Some(vec![old.id]));
    /// ```
    #[must_use]
    pub fn select_evictions(&self, mut others: Vec<LimitCandidate>) -> Option<Vec<SessionId>> {
        let excess = (others.len() + 1).saturating_sub(self.max.get() as usize);
        if excess == 0 {
            return Some(Vec::new());
        }
        match self.at_limit {
            LimitPolicy::Reject => return None,
            LimitPolicy::EvictOldest => others.sort_unstable_by_key(|other| (other.created_at, other.id)),
            LimitPolicy::EvictLeastRecent => others.sort_unstable_by_key(|other| (other.last_seen, other.id)),
        }
        Some(others.iter().take(excess).map(|other| other.id).collect())
    }
}

/// A live session that counts towards a [`SessionLimit`].
#[derive(Clone, Copy, Debug)]
pub struct LimitCandidate {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: Timestamp,
    /// Last recorded activity.
    pub last_seen: Timestamp,
}

/// What happens at the session limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPolicy {
    /// The session that began first ends (at equal times, the one with the lower id).
    EvictOldest,
    /// The session that was used least recently ends (at equal times, the one with the lower id).
    EvictLeastRecent,
    /// The login fails with [`Error::LimitReached`](crate::Error::LimitReached).
    Reject,
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
    /// How long the predecessor still works, for requests that were under way; ends earlier with the first use of the
    /// successor.
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
            touch_interval: MINUTE,
            limit: limit(10, LimitPolicy::EvictOldest),
            payload: PayloadLimit { bytes: 64 * 1024, values: 64 },
            anonymous_payload: PayloadLimit { bytes: 4 * 1024, values: 64 },
            write_conflict: WriteConflict::LastWriterWins,
            store_timeout: Duration::from_secs(2),
            not_before: Timestamp::EPOCH,
            cookie: CookiePolicy::standard(),
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
            renewal: Some(Renewal { timeout: 15 * MINUTE, grace: Duration::from_secs(10) }),
            refresh_grace: Duration::ZERO,
            touch_interval: Duration::from_secs(15),
            limit: limit(1, LimitPolicy::Reject),
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
            renewal: Some(Renewal { timeout: DAY, grace: Duration::from_secs(30) }),
            refresh_grace: Duration::from_secs(30),
            touch_interval: HOUR,
            limit: limit(20, LimitPolicy::EvictOldest),
            ..Self::standard()
        }
    }

    /// A builder that starts from this policy.
    pub fn to_builder(&self) -> PolicyBuilder {
        PolicyBuilder { policy: self.clone(), touch_interval: None, limit: None }
    }

    /// The timeouts of a session: by whether somebody is logged in, and whether its cookie is persistent.
    #[must_use]
    pub fn lifetime(&self, authenticated: bool, persistence: Persistence) -> Timeouts {
        match (authenticated, persistence, self.remember_me) {
            (false, _, _) => self.anonymous,
            (true, Persistence::Persistent, RememberMe::OptIn(lifetime)) => lifetime,
            (true, _, _) => self.authenticated,
        }
    }

    /// The timeouts that hold for `record` under this policy: the record's own, tightened by the policy's.
    #[must_use]
    pub fn effective_timeouts(&self, record: &Record) -> Timeouts {
        record.lifetime.min(self.lifetime(record.authentication.is_some(), record.persistence))
    }

    /// The longest that any session may live.
    pub(crate) fn longest_lifetime(&self) -> Duration {
        let remembered = match self.remember_me {
            RememberMe::OptIn(lifetime) => lifetime.absolute,
            RememberMe::Never | RememberMe::Always => Duration::ZERO,
        };
        self.authenticated.absolute.max(self.anonymous.absolute).max(remembered)
    }

    /// Whether a listed session, which its store holds for live, is alive under this policy too.
    pub(crate) fn is_alive(&self, session: &SessionSummary, now: Timestamp) -> bool {
        let lifetime = session.lifetime.min(self.lifetime(session.authentication.is_some(), session.persistence));
        session.created_at >= self.not_before && now < lifetime.deadline(session.created_at, session.last_seen)
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

    /// How long `last_seen` may lag behind. The idle timeout takes effect up to this much earlier, never later.
    #[must_use]
    pub fn touch_interval(&self) -> Duration {
        self.touch_interval
    }

    /// How many sessions a user may have.
    #[must_use]
    pub fn session_limit(&self) -> SessionLimit {
        self.limit
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

    /// The cookie.
    #[must_use]
    pub fn cookie(&self) -> &CookiePolicy {
        &self.cookie
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::standard()
    }
}

fn limit(max: u32, at_limit: LimitPolicy) -> SessionLimit {
    SessionLimit { max: NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN), at_limit }
}

/// Changes a [`Policy`]; made by [`Policy::to_builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    policy: Policy,
    /// `None`: the preset's, or a twentieth of the idle timeout if that is shorter.
    touch_interval: Option<Duration>,
    /// As given, until it is checked.
    limit: Option<(u32, LimitPolicy)>,
}

impl PolicyBuilder {
    /// How long an authenticated session lives without activity.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.policy.authenticated.idle = idle;
        self
    }

    /// How long an authenticated session lives whatever the activity.
    pub fn absolute_timeout(mut self, absolute: Duration) -> Self {
        self.policy.authenticated.absolute = absolute;
        self
    }

    /// The timeouts of an anonymous session.
    pub fn anonymous(mut self, lifetime: Timeouts) -> Self {
        self.policy.anonymous = lifetime;
        self
    }

    /// Whether cookies outlive the browser.
    pub fn remember_me(mut self, remember_me: RememberMe) -> Self {
        self.policy.remember_me = remember_me;
        self
    }

    /// Token renewal; `None` turns it off.
    pub fn renewal(mut self, renewal: Option<Renewal>) -> Self {
        self.policy.renewal = renewal;
        self
    }

    /// How long after its replacement a refresh token still gets its successor, the same one each time, unless that is
    /// used: for tabs that refresh at once, and answers that got lost. At most 5 minutes; later, or with zero, any second
    /// use is reuse and ends the session.
    pub fn refresh_grace(mut self, grace: Duration) -> Self {
        self.policy.refresh_grace = grace;
        self
    }

    /// How long `last_seen` may lag behind: at most one write per session and interval. Without it, the preset's or a
    /// twentieth of the idle timeout, whichever is shorter.
    pub fn touch_interval(mut self, interval: Duration) -> Self {
        self.touch_interval = Some(interval);
        self
    }

    /// How many sessions a user may have, 1 to [`SessionLimit::HARD_CAP`], and what happens at the limit.
    pub fn session_limit(mut self, max: u32, at_limit: LimitPolicy) -> Self {
        self.limit = Some((max, at_limit));
        self
    }

    /// How much an authenticated session may hold.
    pub fn payload(mut self, cap: PayloadLimit) -> Self {
        self.policy.payload = cap;
        self
    }

    /// How much an anonymous session may hold.
    pub fn anonymous_payload(mut self, cap: PayloadLimit) -> Self {
        self.policy.anonymous_payload = cap;
        self
    }

    /// What happens when two requests write the same key.
    pub fn write_conflict(mut self, write_conflict: WriteConflict) -> Self {
        self.policy.write_conflict = write_conflict;
        self
    }

    /// How long one store operation may take.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.policy.store_timeout = timeout;
        self
    }

    /// Ends all sessions that began before `moment`: "log everybody out", after an incident. Deploy it on every server.
    pub fn not_before(mut self, moment: Timestamp) -> Self {
        self.policy.not_before = moment;
        self
    }

    /// The cookie.
    pub fn cookie(mut self, cookie: CookiePolicy) -> Self {
        self.policy.cookie = cookie;
        self
    }

    /// Checks the policy.
    ///
    /// # Errors
    /// [`PolicyError`] that names the first setting that contradicts itself or another one.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let Self { mut policy, touch_interval, limit: given } = self;
        check_lifetime("authenticated", policy.authenticated)?;
        check_lifetime("anonymous", policy.anonymous)?;
        if let RememberMe::OptIn(lifetime) = policy.remember_me {
            check_lifetime("remember-me", lifetime)?;
        }
        if let Some(renewal) = policy.renewal
            && (renewal.timeout.is_zero() || renewal.grace >= renewal.timeout || renewal.grace > MAX_GRACE)
        {
            return Err(PolicyError::Renewal);
        }
        if policy.refresh_grace > MAX_GRACE {
            return Err(PolicyError::RefreshGrace);
        }
        let idle = policy.authenticated.idle.min(policy.anonymous.idle);
        policy.touch_interval = touch_interval.unwrap_or_else(|| policy.touch_interval.min(idle / 20));
        if policy.touch_interval > idle / 2 {
            return Err(PolicyError::TouchInterval);
        }
        if let Some((max, at_limit)) = given {
            let max = NonZeroU32::new(max).filter(|max| max.get() <= SessionLimit::HARD_CAP);
            policy.limit = SessionLimit { max: max.ok_or(PolicyError::SessionLimit)?, at_limit };
        }
        for cap in [policy.payload, policy.anonymous_payload] {
            if cap.bytes == 0 || cap.bytes > MAX_PAYLOAD || cap.values == 0 || cap.values > MAX_VALUES {
                return Err(PolicyError::Payload);
            }
        }
        if policy.store_timeout.is_zero() || policy.store_timeout > MINUTE {
            return Err(PolicyError::StoreTimeout);
        }
        Ok(policy)
    }
}

const MAX_GRACE: Duration = Duration::from_secs(5 * 60);
const MAX_PAYLOAD: usize = 8 * 1024 * 1024;
const MAX_VALUES: usize = 4096;

fn check_lifetime(class: &'static str, lifetime: Timeouts) -> Result<(), PolicyError> {
    if lifetime.idle < Duration::from_millis(1) {
        Err(PolicyError::IdleTimeout { class })
    } else if lifetime.idle > lifetime.absolute {
        Err(PolicyError::IdleExceedsAbsolute { class })
    } else if lifetime.absolute > 400 * DAY {
        Err(PolicyError::AbsoluteTimeout { class })
    } else {
        Ok(())
    }
}

/// Which setting of a [`Policy`] cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The idle timeout is zero.
    #[error("the idle timeout of {class} sessions must be at least 1 ms; both timeouts are always on")]
    IdleTimeout {
        /// Which sessions.
        class: &'static str,
    },
    /// The idle timeout is longer than the absolute one.
    #[error("the idle timeout of {class} sessions exceeds their absolute timeout; lower the one or raise the other")]
    IdleExceedsAbsolute {
        /// Which sessions.
        class: &'static str,
    },
    /// The absolute timeout is longer than browsers keep a cookie.
    #[error("the absolute timeout of {class} sessions exceeds 400 days, the longest a browser keeps a cookie")]
    AbsoluteTimeout {
        /// Which sessions.
        class: &'static str,
    },
    /// The renewal timeout or its grace makes no sense.
    #[error("the renewal timeout must not be zero, and its grace must be shorter than it and at most 5 minutes")]
    Renewal,
    /// The grace of refresh tokens is too long.
    #[error("the grace of a refresh token must be at most 5 minutes")]
    RefreshGrace,
    /// The touch interval would eat up the idle timeout.
    #[error("the touch interval must be at most half of the shortest idle timeout, or active sessions would expire")]
    TouchInterval,
    /// The session limit is out of range.
    #[error("the session limit must be between 1 and {}", SessionLimit::HARD_CAP)]
    SessionLimit,
    /// A payload cap is out of range.
    #[error("a payload cap must allow between 1 byte and 8 MiB, and between 1 and 4096 values")]
    Payload,
    /// The store timeout is out of range.
    #[error("the store timeout must be more than zero and at most 60 seconds")]
    StoreTimeout,
}
