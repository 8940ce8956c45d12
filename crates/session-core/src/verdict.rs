//! Is this session alive? A pure function.

use crate::clock::Timestamp;
use crate::policy::Policy;
use crate::record::Record;

/// What [`verdict`] says of a record.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session is alive.
    Live {
        /// Activity should be recorded now.
        touch: Due,
        /// The token should be renewed now.
        renewal: Due,
    },
    /// The session is dead.
    Expired(Expiry),
}

/// Whether something is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is.
    Now,
    /// It is not.
    Later,
}

impl Due {
    fn when(due: bool) -> Self {
        if due { Self::Now } else { Self::Later }
    }
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

/// Whether `record` is alive under `policy` at `now`.
///
/// At a deadline it is dead: `now >= deadline` is expired, everywhere. The record's own timeouts are tightened by the
/// policy's, so that a stricter policy applies to sessions that exist already.
///
/// ```
/// # use session_core::*;
/// # fn demo(record: &Record) {
/// let policy = Policy::standard();
/// let deadline = record.deadline();
/// assert!(matches!(verdict(record, &policy, deadline), Verdict::Expired(_)));
/// # }
/// ```
pub fn verdict(record: &Record, policy: &Policy, now: Timestamp) -> Verdict {
    let lifetime = policy.effective_timeouts(record);
    if record.created_at < policy.not_before() {
        return Verdict::Expired(Expiry::NotBefore);
    }
    if now >= record.created_at + lifetime.absolute {
        return Verdict::Expired(Expiry::Absolute);
    }
    if now >= record.last_seen + lifetime.idle {
        return Verdict::Expired(Expiry::Idle);
    }
    Verdict::Live {
        touch: Due::when(now >= record.last_seen + policy.touch_interval()),
        // An anonymous session gets a new token when somebody logs in; renewed earlier, a late `Set-Cookie` could
        // overwrite that of the login.
        renewal: Due::when(
            record.authentication.is_some()
                && policy.renewal().is_some_and(|renewal| now >= record.credential.issued_at() + renewal.timeout),
        ),
    }
}
