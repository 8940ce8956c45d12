//! Is this session alive? A pure function.

use crate::clock::Timestamp;
use crate::model::summary::SessionSummary;
use crate::policy::rules::Policy;

/// What [`verdict`] says of a session.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session is alive.
    Live,
    /// The session is dead.
    Expired(Expiry),
}

/// Which deadline a session passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// The idle timeout.
    Idle,
    /// The absolute timeout.
    Absolute,
    /// It began before [`Policy::not_before`].
    NotBefore,
}

/// Whether `session` is alive under `policy` at `now`.
///
/// At a deadline it is dead: `now >= deadline` is expired, everywhere. The session's own timeouts are tightened by the
/// policy's, so that a stricter policy applies to sessions that exist already.
///
/// ```
/// # use session_core::*;
/// # fn demo(session: &SessionSummary) {
/// let policy = Policy::standard();
/// assert!(matches!(verdict(session, &policy, session.deadline()), Verdict::Expired(_)));
/// # }
/// ```
pub fn verdict(session: &SessionSummary, policy: &Policy, now: Timestamp) -> Verdict {
    let timeouts = policy.effective_timeouts(session);
    if session.created_at < policy.not_before() {
        Verdict::Expired(Expiry::NotBefore)
    } else if now >= session.created_at + timeouts.absolute {
        Verdict::Expired(Expiry::Absolute)
    } else if now >= session.last_seen + timeouts.idle {
        Verdict::Expired(Expiry::Idle)
    } else {
        Verdict::Live
    }
}
