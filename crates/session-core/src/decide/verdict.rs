//! What is true of a stored session: is it alive, what does a token get of it, what is due. Pure.

use crate::clock::Timestamp;
use crate::event::{Expiry, Termination};
use crate::model::credential::{Grace, TokenCheck};
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::model::summary::SessionSummary;
use crate::model::token::{Kind, PresentedToken};
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

/// What a presented token gets of the record that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenVerdict {
    /// The session.
    Accepted(TokenStatus),
    /// Nothing: it is none of the record's tokens.
    Unknown,
    /// Nothing: the session is past a deadline.
    Expired(Expiry),
    /// Nothing: it lost a race against its successor. No theft.
    Raced,
    /// Nothing, and the session ends.
    Reuse,
}

/// Decides by the order of generations, never by that of times; time only closes the grace window. `kind` is what
/// carried the token.
pub(crate) fn judge(
    record: &Record,
    kind: Kind,
    token: &PresentedToken,
    policy: &Policy,
    now: Timestamp,
) -> TokenVerdict {
    if record.summary.kind != kind {
        return TokenVerdict::Unknown;
    }
    let check = record.check(token);
    if check == TokenCheck::Unknown {
        return TokenVerdict::Unknown;
    }
    if let Verdict::Expired(expiry) = verdict(&record.summary, policy, now) {
        return TokenVerdict::Expired(expiry);
    }
    match (check, record.credential.grace(policy.max_clock_skew(), now)) {
        (TokenCheck::Current, _) => TokenVerdict::Accepted(TokenStatus::Current),
        (TokenCheck::Superseded, Grace::Open) => TokenVerdict::Accepted(TokenStatus::Superseded),
        (TokenCheck::Superseded, Grace::Raced) => TokenVerdict::Raced,
        (TokenCheck::Superseded, Grace::Closed) | (TokenCheck::Stale, _) => TokenVerdict::Reuse,
        (TokenCheck::Unknown, _) => TokenVerdict::Unknown,
    }
}

/// Which of several tokens of one session gives access to it: the current one if it is among them. The others are then older
/// copies in the same browser, and no theft.
pub(crate) fn best_of<'t>(
    record: &Record,
    kind: Kind,
    tokens: &[&'t PresentedToken],
    policy: &Policy,
    now: Timestamp,
) -> Option<(&'t PresentedToken, TokenStatus)> {
    let status = |token: &PresentedToken| match judge(record, kind, token, policy, now) {
        TokenVerdict::Accepted(status) => Some(status),
        TokenVerdict::Unknown | TokenVerdict::Expired(_) | TokenVerdict::Raced | TokenVerdict::Reuse => None,
    };
    let accepted = tokens.iter().filter_map(|token| Some((*token, status(token)?)));
    accepted.max_by_key(|(_, status)| *status == TokenStatus::Current)
}

/// What a token that was accepted when its request began is to what is stored now, however long ago that was. Not a matter
/// of reuse: `None` only means that the session ended for this request.
pub(crate) fn still_accepted(
    record: &Record,
    token: &PresentedToken,
    policy: &Policy,
    now: Timestamp,
) -> Option<TokenStatus> {
    let status = match (record.check(token), record.credential.grace(policy.max_clock_skew(), now)) {
        (TokenCheck::Current, _) => TokenStatus::Current,
        (TokenCheck::Superseded, Grace::Open) => TokenStatus::Superseded,
        (TokenCheck::Superseded, Grace::Raced | Grace::Closed) | (TokenCheck::Stale, _) => TokenStatus::Consumed,
        (TokenCheck::Unknown, _) => return None,
    };
    (verdict(&record.summary, policy, now) == Verdict::Live).then_some(status)
}

/// Which of several live sessions counts, whose cookies came with one request: the later login, if they are all of one user,
/// or nobody but their host could have set them. Otherwise none: one of them may have been planted.
pub(crate) fn later_login<'s>(
    sessions: impl ExactSizeIterator<Item = &'s SessionSummary>,
    is_of_host: bool,
) -> Option<usize> {
    let sessions: Vec<&SessionSummary> = sessions.collect();
    let user = sessions.first()?.user();
    let is_of_one_user = user.is_some() && sessions.iter().all(|session| session.user() == user);
    let login = |session: &SessionSummary| (session.user().is_some(), session.created_at, session.id);
    let latest = sessions.iter().enumerate().max_by_key(|(_, session)| login(session)).map(|(at, _)| at);
    latest.filter(|_| sessions.len() == 1 || is_of_host || is_of_one_user)
}

/// A stored session as it was when it was read, and what gave access to it.
pub(crate) struct LoadedSession {
    pub(crate) record: Record,
    pub(crate) access: Access,
}

/// What gave access to a session.
pub(crate) enum Access {
    /// A token that the record knows.
    Token(PresentedToken, TokenStatus),
    /// The seal around the session itself, which its client keeps.
    Seal,
    /// A token, when the request began whose response was sent since. There is no way to give the client another.
    Handle,
}

/// What the presented token is to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenStatus {
    Current,
    /// In the grace window after a renewal: may read and write, but not log in or regenerate. Is given its successor.
    Superseded,
    /// It was one of the two when its request began, and is no longer: its request may read and write, and is given nothing.
    Consumed,
}

/// Whether a request counts as activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Active,
    Passive,
}

/// The session that a new one replaces, in the terms of a store.
pub(crate) struct Replaced {
    pub(crate) id: SessionId,
    pub(crate) user: Option<UserId>,
    pub(crate) version: Version,
    /// When no copy of it can be alive any more, whatever the policy.
    pub(crate) dead_from: Timestamp,
    /// Why it ends.
    pub(crate) reason: Termination,
}

impl LoadedSession {
    /// `record`, whose current token is `token`.
    pub(crate) fn current(record: Record, token: PresentedToken) -> Self {
        Self { record, access: Access::Token(token, TokenStatus::Current) }
    }

    /// Another state of the same session, with the same access.
    pub(crate) fn with_record(&self, record: Record) -> Self {
        Self { record, access: self.access.copy() }
    }

    /// What the presented token was; `None` for a sealed session.
    pub(crate) fn status(&self) -> Option<TokenStatus> {
        match self.access {
            Access::Token(_, status) => Some(status),
            Access::Seal | Access::Handle => None,
        }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        matches!(self.access, Access::Token(_, TokenStatus::Superseded | TokenStatus::Consumed))
    }

    pub(crate) fn replaced(&self, reason: Termination) -> Replaced {
        let record = &self.record;
        let dead_from = record.summary.absolute_deadline();
        Replaced { id: record.id(), user: record.user().cloned(), version: record.version, dead_from, reason }
    }
}

impl Access {
    /// Not `Clone`: copies of a secret are made on purpose only.
    fn copy(&self) -> Self {
        match self {
            Self::Token(token, status) => Self::Token(token.copy(), *status),
            Self::Seal => Self::Seal,
            Self::Handle => Self::Handle,
        }
    }
}

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
    if let Access::Token(_, TokenStatus::Current) = session.access {
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
    if is_touch_due(summary, activity, policy, now) { Maintenance::Touch } else { Maintenance::None }
}

/// Whether `last_seen` is to move: by a touch, or with whatever else is written. What moves it moves a deadline and an entry
/// of an index, so it lags behind by the touch interval, however often a session is written.
pub(crate) fn is_touch_due(session: &SessionSummary, activity: Activity, policy: &Policy, now: Timestamp) -> bool {
    let interval = policy.touch_interval_of(policy.effective_timeouts(session));
    activity == Activity::Active && now >= session.last_seen + interval
}
