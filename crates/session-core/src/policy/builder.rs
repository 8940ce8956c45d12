//! [`PolicyBuilder`]: changes a policy, and checks it.

use std::num::NonZeroU32;
use std::time::Duration;

use super::caching::{AuthenticatedCaching, ClearSiteData};
use super::cookie::CookiePolicy;
use super::limit::{LimitPolicy, SessionLimit};
use super::rules::{DAY, MINUTE, PayloadLimit, Policy, RememberMe, Renewal, WriteConflict};
use super::visitors::VisitorLimit;
use crate::clock::Timestamp;
use crate::model::format::RecordFormat;
use crate::model::summary::Timeouts;

/// Changes a [`Policy`]; made by [`Policy::to_builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    policy: Policy,
    /// `None`: the preset's, or a twentieth of the idle timeout if that is shorter.
    touch_interval: Option<Duration>,
    /// As given, until it is checked.
    limit: Option<(u32, LimitPolicy)>,
    visitors: Option<u32>,
}

impl Policy {
    /// A builder that starts from this policy.
    pub fn to_builder(&self) -> PolicyBuilder {
        PolicyBuilder { policy: self.clone(), touch_interval: None, limit: None, visitors: None }
    }
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
    pub fn anonymous(mut self, timeouts: Timeouts) -> Self {
        self.policy.anonymous = timeouts;
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
    /// used: for tabs that refresh at once, and answers that got lost. At most 5 minutes. Later it is refused, and once
    /// [`max_clock_skew`](Self::max_clock_skew) has passed, it is reuse and ends the session.
    pub fn refresh_grace(mut self, grace: Duration) -> Self {
        self.policy.refresh_grace = grace;
        self
    }

    /// How many refresh tokens of one session may be replayed: presented in their grace window, after they were replaced. 20
    /// without this, at most 1000; one is forgiven each hour. A token counts once, however often it comes. Beyond that a replay
    /// is refused, and the session lives: so a thief who follows each refresh is shut out, for it replays each token. With 0
    /// there is no replay at all.
    ///
    /// Where the number comes from, and whom it must not hit, is in the [manual](crate::manual::defaults).
    pub fn refresh_replays(mut self, max: u32) -> Self {
        self.policy.refresh_replays = max;
        self
    }

    /// By how much the clocks of two servers may differ; at most 5 minutes. See [`Policy::max_clock_skew`].
    pub fn max_clock_skew(mut self, skew: Duration) -> Self {
        self.policy.max_clock_skew = skew;
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

    /// How many anonymous sessions there may be at once, 1 to [`VisitorLimit::HARD_CAP`]; each beyond that ends the one that was
    /// used least recently. Together with [`anonymous_payload`](Self::anonymous_payload) it bounds what visitors take of a
    /// store: with some 400 bytes around its values each.
    ///
    /// A limit that was lowered takes full effect when the visitors of before have expired.
    pub fn max_visitors(mut self, max: u32) -> Self {
        self.visitors = Some(max);
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

    /// The format in which records are written; [all](RecordFormat::ALL) are read. Without it, the newest. While servers of the
    /// version before are still running, the one that they read.
    pub fn record_format(mut self, format: RecordFormat) -> Self {
        self.policy.record_format = format;
        self
    }

    /// What `Cache-Control` says in responses to logged-in users, where the application says nothing itself. Without it,
    /// `private, no-store`.
    pub fn authenticated_caching(mut self, caching: AuthenticatedCaching) -> Self {
        self.policy.authenticated_caching = caching;
        self
    }

    /// When the browser is asked to forget what it keeps of the site. Without it, never.
    pub fn clear_site_data(mut self, clear: ClearSiteData) -> Self {
        self.policy.clear_site_data = clear;
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
        let Self { mut policy, touch_interval, limit: given, visitors } = self;
        check_timeouts("authenticated", policy.authenticated)?;
        check_timeouts("anonymous", policy.anonymous)?;
        if let RememberMe::OptIn(timeouts) = policy.remember_me {
            check_timeouts("remember-me", timeouts)?;
        }
        if let Some(renewal) = policy.renewal
            && (renewal.timeout.is_zero() || renewal.grace >= renewal.timeout || renewal.grace > MAX_GRACE)
        {
            return Err(PolicyError::Renewal);
        }
        if policy.refresh_grace > MAX_GRACE {
            return Err(PolicyError::RefreshGrace);
        }
        if policy.refresh_replays > MAX_REPLAYS {
            return Err(PolicyError::RefreshReplays);
        }
        if policy.max_clock_skew > MAX_GRACE {
            return Err(PolicyError::ClockSkew);
        }
        let idle = policy.shortest_idle();
        policy.touch_interval = touch_interval.unwrap_or_else(|| policy.touch_interval.min(idle / 20));
        if policy.touch_interval > idle / 2 {
            return Err(PolicyError::TouchInterval);
        }
        if let Some((max, at_limit)) = given {
            let max = NonZeroU32::new(max).filter(|max| max.get() <= SessionLimit::HARD_CAP);
            policy.limit = SessionLimit { max: max.ok_or(PolicyError::SessionLimit)?, at_limit };
        }
        if let Some(max) = visitors {
            policy.visitors = VisitorLimit::new(max).ok_or(PolicyError::Visitors)?;
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
const MAX_REPLAYS: u32 = 1000;
const MAX_PAYLOAD: usize = 8 * 1024 * 1024;
const MAX_VALUES: usize = 4096;

fn check_timeouts(class: &'static str, timeouts: Timeouts) -> Result<(), PolicyError> {
    if timeouts.idle < Duration::from_millis(1) {
        Err(PolicyError::IdleTimeout { class })
    } else if timeouts.idle > timeouts.absolute {
        Err(PolicyError::IdleExceedsAbsolute { class })
    } else if timeouts.absolute > 400 * DAY {
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
    /// The number of refresh tokens that may be replayed is too large.
    #[error("at most 1000 refresh tokens of a session may be replayed")]
    RefreshReplays,
    /// The clock skew is too large.
    #[error("the clocks of servers must not differ by more than 5 minutes; synchronise them")]
    ClockSkew,
    /// The touch interval would eat up the idle timeout.
    #[error("the touch interval must be at most half of the shortest idle timeout, or active sessions would expire")]
    TouchInterval,
    /// The session limit is out of range.
    #[error("the session limit must be between 1 and {}", SessionLimit::HARD_CAP)]
    SessionLimit,
    /// The limit of anonymous sessions is out of range.
    #[error("the number of visitors must be between 1 and {}", VisitorLimit::HARD_CAP)]
    Visitors,
    /// A payload cap is out of range.
    #[error("a payload cap must allow between 1 byte and 8 MiB, and between 1 and 4096 values")]
    Payload,
    /// The store timeout is out of range.
    #[error("the store timeout must be more than zero and at most 60 seconds")]
    StoreTimeout,
}
