//! What a commit has to do. A pure function of the session, the policy, the time and random bytes.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::credential::Credential;
use crate::entropy::{Batch, Entropy};
use crate::error::Error;
use crate::event::EventKind;
use crate::id::{SessionId, UserId};
use crate::intent::{Change, Draft};
use crate::policy::{Policy, SessionLimit};
use crate::record::{Kind, Persistence, Record, Version};
use crate::session::{Activity, LoadedSession, TokenStatus};
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
    Touch {
        id: SessionId,
        user: Option<UserId>,
        seen: Timestamp,
    },
    /// `next`: what the session stands on afterwards.
    Create {
        next: Arc<LoadedSession>,
        replaces: Option<(SessionId, Option<UserId>, Version)>,
        limit: Option<SessionLimit>,
    },
    Update {
        next: Arc<LoadedSession>,
        expected: Version,
    },
    Delete {
        id: SessionId,
        user: Option<UserId>,
    },
}

pub(crate) enum CookieOp {
    Keep,
    Set { token: SessionToken, max_age: Option<Duration> },
    Remove,
}

/// Decides what brings the store from `base` to `working`.
pub(crate) fn plan(
    base: Option<&LoadedSession>,
    working: &Draft,
    activity: Activity,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Plan, Error> {
    let superseded = base.is_some_and(|base| base.standing == TokenStatus::Superseded);
    match working.change {
        Change::Login | Change::StepUp | Change::Regenerate if superseded => Err(Error::Superseded),
        Change::Login => begin(base, working, EventKind::LoggedIn, policy, now, entropy),
        Change::Logout => end(base, working, policy, now, entropy),
        Change::None | Change::Regenerate | Change::StepUp => match base {
            Some(base) => carry_on(base, working, activity, policy, now, entropy),
            None if working.data.is_empty() => Ok(Plan::nothing()),
            None => begin(None, working, EventKind::Created, policy, now, entropy),
        },
    }
}

/// A new session, in place of `base`.
fn begin(
    base: Option<&LoadedSession>,
    working: &Draft,
    event: EventKind,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Plan, Error> {
    let (record, token) = new_record(Kind::Cookie, working, policy, now, entropy)?;
    let replaces = base.map(LoadedSession::handle);
    let limit = record.user().map(|_| policy.session_limit());
    let next = Arc::new(LoadedSession { token: Some(token.presented()), standing: TokenStatus::Current, record });
    Ok(Plan {
        cookie: set(token, &next.record, policy, now),
        store: StoreOp::Create { next, replaces, limit },
        event: Some(event),
    })
}

/// The record of a session that begins now, and its token.
pub(crate) fn new_record(
    kind: Kind,
    working: &Draft,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(Record, SessionToken), Error> {
    let user = working.authentication.as_ref().map(|authentication| &authentication.user);
    // Id, family, secret, nonce: one call of the operating system instead of four.
    let entropy = Batch::<56>::draw(entropy)?;
    let id = SessionId::generate(user, &entropy)?;
    let (credential, token) = Credential::issue(kind, id, now, &entropy)?;
    let record = Record {
        id,
        version: Version::first(&entropy)?,
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
        lifetime: policy.effective_timeouts(record),
        credential,
        ..record.clone()
    };
    Ok((rotated, successor))
}

/// No session any more; a new one if there are values for it.
fn end(
    base: Option<&LoadedSession>,
    working: &Draft,
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

/// What a session needs that the request does not ask for.
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

/// Decides what `base` needs of itself.
pub(crate) fn maintenance(base: &LoadedSession, activity: Activity, policy: &Policy, now: Timestamp) -> Maintenance {
    let (touch, renewal) = match (activity, verdict(&base.record, policy, now)) {
        (_, Verdict::Expired(_)) => return Maintenance::Expired,
        (Activity::Passive, Verdict::Live { .. }) => (Due::Later, Due::Later),
        (Activity::Active, Verdict::Live { touch, renewal }) => (touch, renewal),
    };
    if base.standing == TokenStatus::Current && renewal == Due::Now && base.token.is_some() {
        Maintenance::Renewal
    } else if base.standing == TokenStatus::Current && base.record.credential.awaits_first_use() {
        Maintenance::FirstUse
    } else if touch == Due::Now {
        Maintenance::Touch
    } else {
        Maintenance::None
    }
}

/// The same session: with other values, another token, later activity, or nothing at all.
fn carry_on(
    base: &LoadedSession,
    working: &Draft,
    activity: Activity,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Plan, Error> {
    let stored = &base.record;
    let reissue = matches!(working.change, Change::Regenerate | Change::StepUp);
    let wanted = reissue || !stored.data.same_as(&working.data);
    let maintenance = maintenance(base, activity, policy, now);
    match maintenance {
        // What it read was true; what it wants to write is refused.
        Maintenance::Expired if wanted => return Err(Error::Gone),
        Maintenance::Expired => return Ok(Plan::nothing()),
        Maintenance::None if !wanted => return Ok(Plan::nothing()),
        Maintenance::Touch if !wanted => {
            let store = StoreOp::Touch { id: stored.id, user: stored.user().cloned(), seen: now };
            return Ok(Plan { store, ..Plan::nothing() });
        }
        Maintenance::None | Maintenance::Touch | Maintenance::FirstUse | Maintenance::Renewal => {}
    }
    let mut credential = stored.credential.clone();
    let mut issued = None;
    let mut event = None;
    if reissue {
        let (fresh, token) = Credential::issue(stored.kind, stored.id, now, &Batch::<32>::draw(entropy)?)?;
        (credential, issued) = (fresh, Some(token));
        event = Some(if working.change == Change::StepUp { EventKind::SteppedUp } else { EventKind::Regenerated });
    } else if let (Maintenance::Renewal, Some(token)) = (maintenance, &base.token) {
        let (renewed, token) = credential.renew(stored.kind, token, now, entropy)?;
        (credential, issued) = (renewed, Some(token));
        event = Some(EventKind::Renewed);
    } else if maintenance == Maintenance::FirstUse {
        credential.record_use();
    }
    let record = Record {
        version: stored.version.next(entropy)?,
        last_seen: match activity {
            Activity::Active => stored.last_seen.max(now),
            Activity::Passive => stored.last_seen,
        },
        lifetime: policy.effective_timeouts(stored),
        authentication: if reissue { working.authentication.clone() } else { stored.authentication.clone() },
        credential,
        device: stored.device.clone(),
        data: working.data.clone(),
        ..*stored
    };
    let (token, standing) = match &issued {
        Some(token) => (Some(token.presented()), TokenStatus::Current),
        None => (base.token_again(), base.standing),
    };
    let cookie = match issued {
        Some(token) => set(token, &record, policy, now),
        None => CookieOp::Keep,
    };
    let next = Arc::new(LoadedSession { record, token, standing });
    Ok(Plan { store: StoreOp::Update { next, expected: stored.version }, cookie, event })
}

/// Hands out `token`; as a persistent cookie, it lives as long as the session can.
fn set(token: SessionToken, record: &Record, policy: &Policy, now: Timestamp) -> CookieOp {
    CookieOp::Set { token, max_age: max_age(record, policy, now) }
}

/// How long the cookie of `record` is to be kept; `None`: until the browser closes.
pub(crate) fn max_age(record: &Record, policy: &Policy, now: Timestamp) -> Option<Duration> {
    match record.persistence {
        Persistence::Transient => None,
        Persistence::Persistent => Some((record.created_at + policy.effective_timeouts(record).absolute).since(now)),
    }
}

impl Plan {
    fn nothing() -> Self {
        Self { store: StoreOp::Nothing, cookie: CookieOp::Keep, event: None }
    }
}

#[cfg(test)]
mod tests;
