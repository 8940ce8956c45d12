//! What a request makes of its session: [`Draft`]. And what a commit then has to do: [`Plan`], a pure function of the
//! session, the policy, the time and random bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::intent::{Intent, Login, StepUp};
use super::verdict::{Access, Activity, LoadedSession, Maintenance, Replaced, is_touch_due, maintenance};
use crate::clock::Timestamp;
use crate::entropy::{Batch, Entropy, EntropyError};
use crate::error::Error;
use crate::event::{EventKind, Termination};
use crate::model::binding::KeyThumbprint;
use crate::model::credential::Credential;
use crate::model::data::Data;
use crate::model::device::Device;
use crate::model::id::SessionId;
use crate::model::record::{Record, Version};
use crate::model::reserved::{Credentials, ProviderSession};
use crate::model::summary::{Authentication, Persistence, SessionSummary, Timeouts};
use crate::model::token::{Kind, PresentedToken, SessionToken};
use crate::policy::limit::SessionLimit;
use crate::policy::rules::Policy;

/// What becomes of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Regenerate,
    StepUp,
    Login,
    Logout,
}

/// The session as the request sees it: the stored one, with its intents applied.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) data: Data,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) persistence: Persistence,
    pub(crate) device: Device,
    /// The longest that a session may live that begins with this.
    pub(crate) timeouts: Timeouts,
    /// What the session is bound to.
    pub(crate) binding: Option<Bytes>,
    pub(crate) change: Change,
    /// Whether the request wants the values to be some way, whether or not they were so already.
    pub(crate) has_written: bool,
}

impl Draft {
    /// `base`, untouched.
    pub(crate) fn of(base: Option<&Record>) -> Self {
        match base {
            Some(record) => Self {
                data: record.data.clone(),
                authentication: record.summary.authentication.clone(),
                persistence: record.summary.persistence,
                device: record.summary.device.clone(),
                timeouts: Timeouts::UNLIMITED,
                binding: record.binding.clone(),
                change: Change::None,
                has_written: false,
            },
            None => Self {
                data: Data::default(),
                authentication: None,
                persistence: Persistence::Transient,
                device: Device::new(),
                timeouts: Timeouts::UNLIMITED,
                binding: None,
                change: Change::None,
                has_written: false,
            },
        }
    }

    /// What a login alone makes that gets a refresh token.
    pub(crate) fn logged_in(login: &Login, at: Timestamp, policy: &Policy) -> Self {
        let mut draft = Self::of(None);
        draft.log_in(login, at, policy);
        login.grant.write(&mut draft.data);
        draft.binding = login.key.as_ref().map(KeyThumbprint::binding);
        draft
    }

    /// `base` with all `intents`. An error leaves nothing to commit.
    pub(crate) fn replay(base: Option<&Record>, intents: &[Intent], policy: &Policy) -> Result<Self, Error> {
        let mut draft = Self::of(base);
        for intent in intents {
            draft.apply(intent, policy)?;
        }
        Ok(draft)
    }

    /// Applies one intent. On error, nothing is changed.
    pub(crate) fn apply(&mut self, intent: &Intent, policy: &Policy) -> Result<(), Error> {
        match intent {
            Intent::Set(key, value) => self.write(key, value.clone(), policy),
            Intent::Update(key, update) => {
                let value = update(self.data.get(key).map(|value| &value[..]))?;
                self.write(key, value, policy)
            }
            Intent::Remove(key) => {
                self.data.remove(key);
                self.has_written = true;
                Ok(())
            }
            Intent::Clear => {
                self.data.clear();
                self.has_written = true;
                Ok(())
            }
            Intent::Login(login, at) => {
                self.log_in(login, *at, policy);
                Ok(())
            }
            Intent::StepUp(step_up, at) => self.step_up(step_up, *at),
            Intent::Rebind(rebind) => {
                if self.authentication.is_none() {
                    return Err(Error::NotAuthenticated);
                }
                self.binding = rebind(self.binding.as_deref());
                self.has_written = true;
                Ok(())
            }
            Intent::Regenerate => {
                if self.change == Change::None {
                    self.change = Change::Regenerate;
                }
                Ok(())
            }
            Intent::Logout => {
                *self = Self { change: Change::Logout, ..Self::of(None) };
                Ok(())
            }
        }
    }

    pub(crate) fn write(&mut self, key: &Bytes, value: Bytes, policy: &Policy) -> Result<(), Error> {
        let mut data = self.data.clone();
        data.insert(key.clone(), value);
        let cap = policy.payload(self.authentication.is_some());
        let ((size, count), (size_before, count_before)) = (data.payload(), self.data.payload());
        // A session that is over a cap that was lowered may still shrink.
        if size > cap.bytes && size > size_before {
            return Err(Error::TooLarge { size, max: cap.bytes });
        }
        if count > cap.values && count > count_before {
            return Err(Error::TooManyValues { count, max: cap.values });
        }
        self.data = data;
        self.has_written = true;
        Ok(())
    }

    fn log_in(&mut self, login: &Login, at: Timestamp, policy: &Policy) {
        match &self.authentication {
            Some(previous) if previous.user != login.user => self.data = Data::default(),
            Some(_) | None => self.data.restrict(&login.carry_over),
        }
        ProviderSession::write(login.provider_session, &mut self.data);
        Credentials::write(login.credentials, &mut self.data);
        self.authentication = Some(Authentication::new(login.user.clone(), login.proof(at)));
        self.persistence = policy.persistence(login.remember);
        self.timeouts = login.timeouts;
        // What was bound is the session before.
        self.binding = None;
        self.device = login.device.clone();
        self.change = Change::Login;
    }

    fn step_up(&mut self, step_up: &StepUp, at: Timestamp) -> Result<(), Error> {
        let authentication = self.authentication.as_mut().ok_or(Error::NotAuthenticated)?;
        if authentication.user != step_up.user {
            return Err(Error::WrongUser);
        }
        authentication.prove(step_up.proof(authentication.strongest(), at));
        if step_up.credentials.is_some() {
            Credentials::write(step_up.credentials, &mut self.data);
        }
        if self.change != Change::Login {
            self.change = Change::StepUp;
        }
        Ok(())
    }
}

/// At most one store operation, at most one change of the cookie.
pub(crate) struct Plan {
    pub(crate) store: StoreOp,
    pub(crate) cookie: CookieOp,
    /// What to report if it succeeds.
    pub(crate) event: Option<EventKind>,
}

pub(crate) enum StoreOp {
    Nothing,
    /// What was loaded has expired: if that is the latest state, the session is gone. Or it is a copy that has what is wanted: if
    /// the latest state has it, too, there is nothing to do.
    LoadAgain,
    Touch {
        session: Arc<LoadedSession>,
        now: Timestamp,
    },
    /// `next`: the session afterwards.
    Create {
        next: Arc<LoadedSession>,
        replaces: Option<Replaced>,
        limit: Option<SessionLimit>,
    },
    Update {
        next: Arc<LoadedSession>,
        expected: Version,
    },
    Delete(Replaced),
}

pub(crate) enum CookieOp {
    Keep,
    Set { token: SessionToken, max_age: Option<Duration> },
    Remove,
}

impl Plan {
    fn nothing() -> Self {
        Self { store: StoreOp::Nothing, cookie: CookieOp::Keep, event: None }
    }
}

/// What every decision about one commit rests on.
#[derive(Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) activity: Activity,
    pub(crate) policy: &'a Policy,
    pub(crate) now: Timestamp,
    pub(crate) entropy: &'a dyn Entropy,
}

/// Decides what brings the store from `loaded` to `draft`.
pub(crate) fn plan(
    loaded: Option<&Arc<LoadedSession>>,
    draft: &Draft,
    circumstances: Circumstances<'_>,
) -> Result<Plan, Error> {
    let is_superseded = loaded.is_some_and(|loaded| loaded.is_superseded());
    match draft.change {
        Change::Login | Change::StepUp | Change::Regenerate if is_superseded => Err(Error::Superseded),
        Change::Login => create(loaded, draft, EventKind::LoggedIn, circumstances),
        Change::Logout => end(loaded, draft, circumstances),
        Change::None | Change::Regenerate | Change::StepUp => match loaded {
            Some(loaded) => carry_on(loaded, draft, circumstances),
            None if draft.data.is_empty() => Ok(Plan::nothing()),
            None => create(None, draft, EventKind::Created, circumstances),
        },
    }
}

/// A new session, in place of `loaded`.
fn create(
    loaded: Option<&Arc<LoadedSession>>,
    draft: &Draft,
    event: EventKind,
    Circumstances { policy, now, entropy, .. }: Circumstances<'_>,
) -> Result<Plan, Error> {
    let (record, token) = new_record(Kind::Cookie, draft, policy, now, entropy)?;
    let limit = record.user().map(|_| policy.session_limit());
    let next = Arc::new(LoadedSession::current(record, token.presented()));
    let cookie = set_cookie(token, &next.record.summary, policy, now);
    let reason = if draft.change == Change::Logout { Termination::Logout } else { Termination::Replaced };
    let replaces = loaded.map(|loaded| loaded.replaced(reason));
    Ok(Plan { store: StoreOp::Create { next, replaces, limit }, cookie, event: Some(event) })
}

/// The record of a session that begins now, and its token.
pub(crate) fn new_record(
    kind: Kind,
    draft: &Draft,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(Record, SessionToken), Error> {
    let user = draft.authentication.as_ref().map(|authentication| &authentication.user);
    // Id, family, secret, nonce: one call of the operating system instead of four.
    let entropy = Batch::<56>::draw(entropy)?;
    let id = match user {
        Some(_) => SessionId::generate(user, &entropy)?,
        None => policy.visitor_limit().generate_id(&entropy)?,
    };
    let (credential, token) = Credential::issue(kind, id, now, &entropy)?;
    let timeouts = policy.timeouts(user.is_some(), draft.persistence).min(draft.timeouts);
    let summary = SessionSummary {
        persistence: draft.persistence,
        authentication: draft.authentication.clone(),
        device: draft.device.clone(),
        ..SessionSummary::new(id, kind, now, timeouts)
    };
    let version = Version::first(&entropy)?;
    let (data, format) = (draft.data.clone(), policy.record_format());
    let record = Record { data, format, ..Record::new(summary, version, credential) };
    Ok((record.with_binding(draft.binding.clone()), token))
}

/// The record of a session whose current refresh token is used up now, and the token that follows it.
pub(crate) fn rotated(
    record: &Record,
    token: &PresentedToken,
    policy: &Policy,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(Record, SessionToken), Error> {
    let grace = policy.refresh_grace();
    let (credential, successor) = record.credential.renew(record.summary.kind, token, grace, now, entropy)?;
    let (version, format) = (record.version.next(entropy)?, policy.record_format());
    let mut rotated = Record { version, credential, format, ..record.clone() }.touched(now);
    rotated.summary.timeouts = policy.effective_timeouts(&record.summary);
    Ok((rotated, successor))
}

/// No session any more; a new one if there are values for it.
fn end(loaded: Option<&Arc<LoadedSession>>, draft: &Draft, circumstances: Circumstances<'_>) -> Result<Plan, Error> {
    if !draft.data.is_empty() {
        return create(loaded, draft, EventKind::Created, circumstances);
    }
    Ok(match loaded {
        Some(loaded) => {
            Plan { store: StoreOp::Delete(loaded.replaced(Termination::Logout)), cookie: CookieOp::Remove, event: None }
        }
        // A cookie that belongs to no session is left alone: its removal could hit the cookie of a login under way.
        None => Plan::nothing(),
    })
}

/// The same session: with other values, another token, later activity, or nothing at all.
fn carry_on(
    loaded: &Arc<LoadedSession>,
    draft: &Draft,
    Circumstances { activity, policy, now, entropy }: Circumstances<'_>,
) -> Result<Plan, Error> {
    let stored = &loaded.record;
    let reissue = matches!(draft.change, Change::Regenerate | Change::StepUp);
    let wanted = reissue || !stored.data.same_as(&draft.data) || stored.binding != draft.binding;
    if stored.is_copy && draft.has_written && !wanted {
        // That it was so already, only the store may say.
        return Ok(Plan { store: StoreOp::LoadAgain, ..Plan::nothing() });
    }
    let needed = maintenance(loaded, activity, policy, now);
    match needed {
        // What it read was true. It may write if other requests have kept the session alive.
        Maintenance::Expired if wanted => return Ok(Plan { store: StoreOp::LoadAgain, ..Plan::nothing() }),
        Maintenance::Expired => return Ok(Plan::nothing()),
        Maintenance::None if !wanted => return Ok(Plan::nothing()),
        Maintenance::Touch if !wanted => {
            return Ok(Plan { store: StoreOp::Touch { session: Arc::clone(loaded), now }, ..Plan::nothing() });
        }
        Maintenance::None | Maintenance::Touch | Maintenance::FirstUse | Maintenance::Renewal => {}
    }
    let mut credential = stored.credential.clone();
    let mut issued = None;
    let mut event = None;
    if reissue {
        let batch = Batch::<32>::draw(entropy)?;
        let (fresh, token) = Credential::issue(stored.summary.kind, stored.id(), now, &batch)?;
        (credential, issued) = (fresh, Some(token));
        event = Some(if draft.change == Change::StepUp { EventKind::SteppedUp } else { EventKind::Regenerated });
    } else if let (Maintenance::Renewal, Access::Token(token, _)) = (needed, &loaded.access) {
        let grace = policy.renewal().map_or(Duration::ZERO, |renewal| renewal.grace);
        let (renewed, token) = credential.renew(stored.summary.kind, token, grace, now, entropy)?;
        (credential, issued) = (renewed, Some(token));
        event = Some(EventKind::Renewed);
    } else if needed == Maintenance::FirstUse {
        credential.record_use();
    }
    let summary = SessionSummary {
        last_seen: if is_touch_due(&stored.summary, activity, policy, now) { now } else { stored.summary.last_seen },
        timeouts: match loaded.access {
            Access::Token(..) | Access::Handle => policy.effective_timeouts(&stored.summary),
            // Of a sealed session there may be older copies: its end must outlive them all.
            Access::Seal => stored.summary.timeouts,
        },
        authentication: if reissue { &draft.authentication } else { &stored.summary.authentication }.clone(),
        device: stored.summary.device.clone(),
        ..stored.summary
    };
    let record = Record::new(summary, stored.version.next(entropy)?, credential);
    let (data, replaces, format) = (draft.data.clone(), stored.replaces.clone(), policy.record_format());
    let record = Record { data, replaces, format, ..record }.with_binding(draft.binding.clone());
    if reissue && matches!(loaded.access, Access::Seal) {
        // A copy of the old seal can only be denied by its id: the session goes on under another.
        let mut record = record;
        record.summary.id = SessionId::generate(record.user(), entropy)?;
        let replaces = Some(loaded.replaced(Termination::Replaced));
        let store = StoreOp::Create { next: Arc::new(loaded.with_record(record)), replaces, limit: None };
        return Ok(Plan { store, cookie: CookieOp::Keep, event });
    }
    let (next, cookie) = match (issued, &loaded.access) {
        (Some(token), Access::Token(..)) => {
            let next = LoadedSession::current(record, token.presented());
            let cookie = set_cookie(token, &next.record.summary, policy, now);
            (next, cookie)
        }
        // Around a sealed session there is a new seal in any case.
        (Some(_), Access::Seal | Access::Handle) | (None, _) => (loaded.with_record(record), CookieOp::Keep),
    };
    Ok(Plan { store: StoreOp::Update { next: Arc::new(next), expected: stored.version }, cookie, event })
}

/// Hands out `token`; as a persistent cookie, it lives as long as the session can.
fn set_cookie(token: SessionToken, session: &SessionSummary, policy: &Policy, now: Timestamp) -> CookieOp {
    CookieOp::Set { token, max_age: max_age(session, policy, now) }
}

/// How long the cookie of `session` is to be kept; `None`: until the browser closes.
pub(crate) fn max_age(session: &SessionSummary, policy: &Policy, now: Timestamp) -> Option<Duration> {
    match session.persistence {
        Persistence::Transient => None,
        Persistence::Persistent => Some((session.created_at + policy.effective_timeouts(session).absolute).since(now)),
    }
}

/// `session` with the timeouts that hold under `policy`: what an application is shown.
pub(crate) fn tightened(session: &SessionSummary, policy: &Policy) -> SessionSummary {
    SessionSummary { timeouts: policy.effective_timeouts(session), ..session.clone() }
}

/// A record as long as the one that a commit would make.
pub(crate) fn sample(
    loaded: Option<&LoadedSession>,
    draft: &Draft,
    policy: &Policy,
    now: Timestamp,
) -> Result<Record, Error> {
    let mut record = match loaded {
        Some(loaded) => loaded.record.clone(),
        None => new_record(Kind::Cookie, draft, policy, now, &Zeros)?.0,
    };
    record.summary.authentication = draft.authentication.clone();
    record.summary.device = draft.device.clone();
    record.data = draft.data.clone();
    Ok(record.with_binding(draft.binding.clone()))
}

/// No randomness, for what is thrown away.
#[derive(Debug)]
struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        dest.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
