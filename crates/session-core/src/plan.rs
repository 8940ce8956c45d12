//! What a commit has to do. A pure function of the session, the policy, the time and random bytes.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::credential::Credential;
use crate::entropy::Entropy;
use crate::error::Error;
use crate::event::EventKind;
use crate::id::{SessionId, UserId};
use crate::intent::{Change, Working};
use crate::policy::{Policy, SessionLimit};
use crate::record::{Kind, Persistence, Record, Version};
use crate::session::{Activity, Base, Standing};
use crate::token::{PresentedToken, SessionToken};
use crate::verdict::{Due, Verdict, verdict};

/// At most one store operation, at most one change of the cookie.
pub(crate) struct Plan {
    pub(crate) store: StoreOp,
    pub(crate) cookie: CookieOp,
    /// What to report if it succeeds.
    pub(crate) event: Option<EventKind>,
}

pub(crate) enum StoreOp {
    Nothing,
    Touch { id: SessionId, user: Option<UserId>, seen: Timestamp },
    Create { record: Box<Record>, replaces: Option<(SessionId, Option<UserId>, Version)>, limit: Option<SessionLimit> },
    Update { record: Box<Record>, expected: Version },
    Delete { id: SessionId, user: Option<UserId> },
}

pub(crate) enum CookieOp {
    Keep,
    Set { token: SessionToken, max_age: Option<Duration> },
    Remove,
}

/// Decides what brings the store from `base` to `working`.
pub(crate) fn plan(
    base: Option<&Base>,
    working: &Working,
    activity: Activity,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Plan, Error> {
    let superseded = base.is_some_and(|base| base.standing == Standing::Superseded);
    match working.change {
        Change::Login | Change::StepUp | Change::Regenerate if superseded => Err(Error::Superseded),
        Change::Login => begin(base, working, EventKind::LoggedIn, policy, now, entropy),
        Change::Ended => end(base, working, policy, now, entropy),
        Change::None | Change::Regenerate | Change::StepUp => match base {
            Some(base) => carry_on(base, working, activity, policy, now, entropy),
            None if working.data.is_empty() => Ok(Plan::nothing()),
            None => begin(None, working, EventKind::Created, policy, now, entropy),
        },
    }
}

/// A new session, in place of `base`.
fn begin(
    base: Option<&Base>,
    working: &Working,
    event: EventKind,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Plan, Error> {
    let (record, token) = new_record(Kind::Cookie, working, policy, now, entropy)?;
    let replaces = base.map(Base::handle);
    let limit = record.user().map(|_| policy.session_limit());
    Ok(Plan {
        cookie: set(token, &record, policy, now),
        store: StoreOp::Create { record: Box::new(record), replaces, limit },
        event: Some(event),
    })
}

/// The record of a session that begins now, and its token.
pub(crate) fn new_record(
    kind: Kind,
    working: &Working,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(Record, SessionToken), Error> {
    let user = working.authentication.as_ref().map(|authentication| &authentication.user);
    let id = SessionId::generate(user, entropy)?;
    let (credential, token) = Credential::issue(kind, id, now, entropy)?;
    let record = Record {
        id,
        version: Version::first(entropy)?,
        kind,
        created_at: now,
        last_seen: now,
        lifetime: policy.lifetime(user.is_some(), working.persistence),
        persistence: working.persistence,
        authentication: working.authentication.clone(),
        credential,
        device: working.device.clone(),
        data: working.data.clone(),
    };
    Ok((record, token))
}

/// The record of a session whose current refresh token is used up now, and the token that follows it.
pub(crate) fn rotated(
    record: &Record,
    token: &PresentedToken,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(Record, SessionToken), Error> {
    let (credential, successor) = record.credential.renew(record.kind, token, now, entropy)?;
    let rotated = Record {
        version: record.version.next(entropy)?,
        last_seen: record.last_seen.max(now),
        lifetime: policy.effective_lifetime(record),
        credential,
        ..record.clone()
    };
    Ok((rotated, successor))
}

/// No session any more; a new one if there are values for it.
fn end(
    base: Option<&Base>,
    working: &Working,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Plan, Error> {
    if !working.data.is_empty() {
        return begin(base, working, EventKind::Created, policy, now, entropy);
    }
    Ok(match base {
        Some(base) => Plan {
            store: StoreOp::Delete { id: base.record.id, user: base.record.user().cloned() },
            cookie: CookieOp::Remove,
            event: None,
        },
        // A cookie that belongs to nothing is left alone: its removal could hit the cookie of a login under way.
        None => Plan::nothing(),
    })
}

/// The same session: with other values, another token, later activity, or nothing at all.
fn carry_on(
    base: &Base,
    working: &Working,
    activity: Activity,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Plan, Error> {
    let (touch, renewal) = match (activity, verdict(&base.record, policy, now)) {
        // The deadline passed while the handler ran. What it read was true; what it wants to write is refused.
        (_, Verdict::Expired(_)) if working.change == Change::None && base.record.data.same_as(&working.data) => {
            return Ok(Plan::nothing());
        }
        (_, Verdict::Expired(_)) => return Err(Error::Gone),
        (Activity::Passive, Verdict::Live { .. }) => (Due::Later, Due::Later),
        (Activity::Active, Verdict::Live { touch, renewal }) => (touch, renewal),
    };
    let mut record = base.record.clone();
    let mut cookie = CookieOp::Keep;
    let mut event = None;
    let mut changed = !record.data.same_as(&working.data);
    record.data = working.data.clone();
    if matches!(working.change, Change::Regenerate | Change::StepUp) {
        let (credential, token) = Credential::issue(record.kind, record.id, now, entropy)?;
        record.credential = credential;
        record.authentication = working.authentication.clone();
        cookie = set(token, &record, policy, now);
        event = Some(if working.change == Change::StepUp { EventKind::SteppedUp } else { EventKind::Regenerated });
        changed = true;
    } else if base.standing == Standing::Current
        && renewal == Due::Now
        && let Some(token) = &base.token
    {
        let (credential, token) = record.credential.renew(record.kind, token, now, entropy)?;
        record.credential = credential;
        cookie = set(token, &record, policy, now);
        event = Some(EventKind::Renewed);
        changed = true;
    } else if base.standing == Standing::Current && record.credential.awaits_first_use() {
        record.credential.record_use();
        changed = true;
    }
    let store = if changed {
        if activity == Activity::Active {
            record.last_seen = record.last_seen.max(now);
        }
        record.lifetime = policy.effective_lifetime(&record);
        record.version = base.record.version.next(entropy)?;
        StoreOp::Update { record: Box::new(record), expected: base.record.version }
    } else if touch == Due::Now {
        StoreOp::Touch { id: record.id, user: record.user().cloned(), seen: now }
    } else {
        StoreOp::Nothing
    };
    Ok(Plan { store, cookie, event })
}

/// Hands out `token`; as a persistent cookie, it lives as long as the session can.
fn set(token: SessionToken, record: &Record, policy: &Policy, now: Timestamp) -> CookieOp {
    CookieOp::Set { token, max_age: max_age(record, policy, now) }
}

/// How long the cookie of `record` is to be kept; `None`: until the browser closes.
pub(crate) fn max_age(record: &Record, policy: &Policy, now: Timestamp) -> Option<Duration> {
    match record.persistence {
        Persistence::Transient => None,
        Persistence::Persistent => Some((record.created_at + policy.effective_lifetime(record).absolute).since(now)),
    }
}

impl Plan {
    fn nothing() -> Self {
        Self { store: StoreOp::Nothing, cookie: CookieOp::Keep, event: None }
    }
}

#[cfg(test)]
mod tests;
