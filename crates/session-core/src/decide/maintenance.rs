//! What a session needs that its request does not ask for. Pure.

use super::loaded::{Activity, LoadedSession, Proof, TokenStatus};
use super::verdict::{Verdict, verdict};
use crate::clock::Timestamp;
use crate::policy::rules::Policy;

/// What a session needs that its request does not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maintenance {
    /// Nothing.
    None,
    /// Activity is to be recorded.
    Touch,
    /// The first use of a renewed token is to be recorded.
    FirstUse,
    /// The token is to be renewed.
    Renewal,
    /// It is too late for anything: the deadline passed while the handler ran.
    Expired,
}

impl Maintenance {
    /// Whether nothing can or need be done.
    pub(crate) fn is_none(self) -> bool {
        matches!(self, Self::None | Self::Expired)
    }
}

/// Decides what `session` needs.
pub(crate) fn maintenance(session: &LoadedSession, activity: Activity, policy: &Policy, now: Timestamp) -> Maintenance {
    let (record, summary) = (&session.record, &session.record.summary);
    if let Verdict::Expired(_) = verdict(summary, policy, now) {
        return Maintenance::Expired;
    }
    let is_active = activity == Activity::Active;
    if let Proof::Token(_, TokenStatus::Current) = session.proof {
        // An anonymous session gets a new token at its login; renewed earlier, a late `Set-Cookie` could overwrite that of
        // the login.
        let due = |timeout| now >= record.credential.issued_at() + timeout;
        let renewal = policy.renewal().filter(|_| is_active && summary.authentication.is_some());
        if renewal.is_some_and(|renewal| due(renewal.timeout)) {
            return Maintenance::Renewal;
        }
        if record.credential.awaits_first_use() {
            return Maintenance::FirstUse;
        }
    }
    if is_active && now >= summary.last_seen + policy.touch_interval() { Maintenance::Touch } else { Maintenance::None }
}
