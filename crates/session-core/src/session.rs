//! [`Session`]: what a handler works with. Records intents, does no I/O.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::cookie::SetCookie;
use crate::data::{Key, decode, encode};
use crate::entropy::{Entropy, EntropyError};
use crate::error::Error;
use crate::id::{SessionId, UserId};
use crate::intent::{Draft, Intent, Login, StepUp};
use crate::manager::SessionManager;
use crate::plan::maintenance;
use crate::policy::Policy;
use crate::record::{Authentication, Device, Kind, Persistence, Record, Version};
use crate::token::PresentedToken;

/// The session of one request. Cheap to clone; all clones are the same session.
///
/// Reading shows the stored values with the changes of this request applied. Changing **records an intent**: nothing is
/// written until [`SessionManager::commit`](crate::SessionManager::commit), which an HTTP adapter calls before the
/// response is sent. Then all intents become one compare-and-swap; if another request was faster, they are applied again
/// to what it wrote. So two requests never overwrite each other's keys, and no [`update`](Self::update) gets lost.
///
/// An anonymous visitor has a session too: it is stored when it holds something.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    manager: SessionManager,
    state: Mutex<State>,
    /// Held during a commit: clones of one session commit one after the other.
    committing: tokio::sync::Mutex<()>,
}

pub(crate) struct State {
    /// The stored session this one is about; `None` if there is none yet.
    pub(crate) base: Option<Arc<LoadedSession>>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) working: Draft,
    pub(crate) activity: Activity,
    /// What the response must carry.
    pub(crate) cookie: Option<SetCookie>,
    pub(crate) sent: bool,
}

impl State {
    fn is_settled(&self, manager: &SessionManager) -> bool {
        let settled =
            |base: &Arc<LoadedSession>| maintenance(base, self.activity, manager.policy(), manager.now()).is_none();
        self.intents.is_empty() && self.base.as_ref().is_none_or(settled)
    }
}

/// What a commit starts from: a stored session, and what this request makes of it.
pub(crate) struct CommitInput {
    pub(crate) base: Option<Arc<LoadedSession>>,
    /// `base` with all intents.
    pub(crate) working: Draft,
    /// How many there are.
    pub(crate) intents: usize,
    pub(crate) activity: Activity,
}

/// A stored session, as it was when it was read, and the token that gave access to it.
pub(crate) struct LoadedSession {
    pub(crate) record: Record,
    /// `None`: the client keeps the session itself, and the seal was the proof.
    pub(crate) token: Option<PresentedToken>,
    pub(crate) standing: TokenStatus,
}

impl LoadedSession {
    pub(crate) fn token_again(&self) -> Option<PresentedToken> {
        self.token.as_ref().map(PresentedToken::again)
    }

    /// What a store needs to know of a session that is replaced.
    pub(crate) fn handle(&self) -> (SessionId, Option<UserId>, Version) {
        (self.record.id, self.record.user().cloned(), self.record.version)
    }
}

/// What the presented token is to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenStatus {
    Current,
    /// In the grace window after a renewal: may read and write, but not log in or regenerate.
    Superseded,
}

/// Whether a request counts as activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Active,
    Passive,
}

/// What a session is, beside its data; see [`Session::info`].
#[derive(Clone)]
pub struct SessionInfo {
    /// The public handle.
    pub id: SessionId,
    /// What carries the token.
    pub kind: Kind,
    /// When it began.
    pub created_at: Timestamp,
    /// Last recorded activity.
    pub last_seen: Timestamp,
    /// When it ends without activity.
    pub idle_deadline: Timestamp,
    /// When it ends in any case.
    pub absolute_deadline: Timestamp,
    /// Whether its cookie outlives the browser.
    pub persistence: Persistence,
    /// Who is logged in and how.
    pub authentication: Option<Authentication>,
    /// Where it was opened.
    pub device: Device,
}

impl SessionInfo {
    pub(crate) fn of(record: &Record, policy: &Policy) -> Self {
        let lifetime = policy.effective_timeouts(record);
        Self {
            id: record.id,
            kind: record.kind,
            created_at: record.created_at,
            last_seen: record.last_seen,
            idle_deadline: lifetime.deadline(record.created_at, record.last_seen),
            absolute_deadline: record.created_at + lifetime.absolute,
            persistence: record.persistence,
            authentication: record.authentication.clone(),
            device: record.device.clone(),
        }
    }
}

impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("created_at", &self.created_at)
            .field("last_seen", &self.last_seen)
            .field("idle_deadline", &self.idle_deadline)
            .field("absolute_deadline", &self.absolute_deadline)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(manager: SessionManager, base: Option<LoadedSession>, cookie: Option<SetCookie>) -> Self {
        let working = Draft::of(base.as_ref().map(|base| &base.record));
        let state = State {
            base: base.map(Arc::new),
            intents: Vec::new(),
            working,
            activity: Activity::Active,
            cookie,
            sent: false,
        };
        let committing = tokio::sync::Mutex::new(());
        Self { shared: Arc::new(Shared { manager, state: Mutex::new(state), committing }) }
    }

    /// The value of `key`, if there is one. Decodes this value only.
    ///
    /// # Errors
    /// [`Error::Value`] if what is stored is not a `T`. It is left as it is.
    pub fn get<T: DeserializeOwned>(&self, key: Key<T>) -> Result<Option<T>, Error> {
        let value = self.state().working.data.get(key.name().as_bytes()).cloned();
        value.map(|value| decode(&value)).transpose().map_err(Error::from)
    }

    /// Whether there is a value of `key`. Does not decode it.
    #[must_use]
    pub fn contains<T>(&self, key: Key<T>) -> bool {
        self.state().working.data.get(key.name().as_bytes()).is_some()
    }

    /// The names of all values.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().working.data.names().map(str::to_owned).collect()
    }

    /// Sets a value. Other keys, written by other requests at the same time, are not affected; of two inserts of the
    /// same key the later commit wins, unless the policy says [`WriteConflict::Fail`](crate::WriteConflict::Fail).
    ///
    /// # Errors
    /// [`Error::Value`] if it cannot be serialized, [`Error::TooLarge`] or [`Error::TooManyValues`] if it exceeds a cap,
    /// [`Error::ResponseSent`] if it is too late.
    pub fn insert<T: Serialize>(&self, key: Key<T>, value: &T) -> Result<(), Error> {
        let value = encode(value)?;
        self.intend(Intent::Set(key.into_name(), value))
    }

    /// Removes a value.
    ///
    /// # Errors
    /// [`Error::ResponseSent`] if it is too late.
    pub fn remove<T>(&self, key: Key<T>) -> Result<(), Error> {
        self.intend(Intent::Remove(key.into_name()))
    }

    /// Changes a value in place; a missing one starts as `T::default()`. **No update is lost**: `change` is run now, so
    /// that this request sees the result, and again at the commit whenever another request was faster. It must have no
    /// other effect than to change its argument.
    ///
    /// To learn the value that was stored in the end, commit, then [`get`](Self::get) it.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert); [`Error::Value`] also if what is stored is not a `T`.
    pub fn update<T, F>(&self, key: Key<T>, change: F) -> Result<(), Error>
    where
        T: Serialize + DeserializeOwned + Default,
        F: Fn(&mut T) + Send + Sync + 'static,
    {
        let update = move |stored: Option<&[u8]>| {
            let mut value = stored.map(decode).transpose()?.unwrap_or_default();
            change(&mut value);
            encode(&value)
        };
        self.intend(Intent::Update(key.into_name(), Arc::new(update)))
    }

    /// Removes all values.
    ///
    /// # Errors
    /// [`Error::ResponseSent`] if it is too late.
    pub fn clear(&self) -> Result<(), Error> {
        self.intend(Intent::Clear)
    }

    /// Logs a user in: **a new session begins**, with a new id and a new token, and the one before ends, all in one atomic
    /// step at the commit. Of the data, only what [`Login::carry_over`] names survives; at a change of user, nothing.
    ///
    /// The session limit is enforced at the commit. To answer a login that it rejects, commit in the handler.
    ///
    /// # Errors
    /// [`Error::ResponseSent`] if it is too late.
    pub fn login(&self, login: Login) -> Result<(), Error> {
        let at = self.shared.manager.now();
        self.intend(Intent::Login(Arc::new(login), at))
    }

    /// Records that the user proved who they are once more, and regenerates the token. Keeps the data.
    ///
    /// # Errors
    /// [`Error::NotAuthenticated`] if nobody is logged in, [`Error::WrongUser`] if somebody else is,
    /// [`Error::ResponseSent`] if it is too late.
    pub fn step_up(&self, step_up: StepUp) -> Result<(), Error> {
        let at = self.shared.manager.now();
        self.intend(Intent::StepUp(Arc::new(step_up), at))
    }

    /// Gives the session a new token; the old one stops working at the commit, without grace. For changes of privilege
    /// other than login and step-up: a role, a tenant, the begin and end of impersonation.
    ///
    /// # Errors
    /// [`Error::ResponseSent`] if it is too late.
    pub fn regenerate(&self) -> Result<(), Error> {
        self.intend(Intent::Regenerate)
    }

    /// Ends the session: the record is deleted, and nothing in flight can bring it back. Values set afterwards belong to
    /// a new, anonymous session.
    ///
    /// # Errors
    /// [`Error::ResponseSent`] if it is too late.
    pub fn logout(&self) -> Result<(), Error> {
        self.intend(Intent::Logout)
    }

    /// Says that this request is not activity of the user: polling, a status page. It neither moves the idle deadline
    /// nor renews the token. Changes are written all the same.
    pub fn set_passive(&self) {
        self.state().activity = Activity::Passive;
    }

    /// The public handle of the stored session; `None` if nothing is stored. After a login, the new one once it is
    /// committed.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.state().base.as_ref().map(|base| base.record.id)
    }

    /// Who is logged in, with the changes of this request.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.state().working.authentication.as_ref().map(|authentication| authentication.user.clone())
    }

    /// Who is logged in, when and how, with the changes of this request.
    #[must_use]
    pub fn authentication(&self) -> Option<Authentication> {
        self.state().working.authentication.clone()
    }

    /// Whether somebody is logged in who proved it within `max_age`; at exactly `max_age`, no more.
    #[must_use]
    pub fn is_fresh(&self, max_age: Duration) -> bool {
        let now = self.shared.manager.now();
        self.authentication().is_some_and(|authentication| now < authentication.at + max_age)
    }

    /// The stored session's times and circumstances; `None` if nothing is stored.
    #[must_use]
    pub fn info(&self) -> Option<SessionInfo> {
        let base = self.state().base.clone()?;
        Some(SessionInfo::of(&base.record, self.shared.manager.policy()))
    }

    fn intend(&self, intent: Intent) -> Result<(), Error> {
        let mut state = self.state();
        if state.sent {
            return Err(Error::ResponseSent);
        }
        let policy = self.shared.manager.policy();
        // A client-side session has to fit into a cookie.
        if let Some(seal) = self.shared.manager.sealer() {
            let mut working = state.working.clone();
            working.apply(&intent, policy)?;
            let base = state.base.as_deref();
            policy.cookie().fits(seal.sealed_len(&sample(base, &working, policy, self.shared.manager.now())?))?;
            state.working = working;
        } else {
            state.working.apply(&intent, policy)?;
        }
        state.intents.push(intent);
        Ok(())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a user's closure leaves the state as it was: `Draft::apply` changes it last.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a commit starts from.
    pub(crate) fn start(&self) -> CommitInput {
        let state = self.state();
        CommitInput {
            base: state.base.clone(),
            working: state.working.clone(),
            intents: state.intents.len(),
            activity: state.activity,
        }
    }

    /// The first `count` intents. During a commit they stay the same; others may be added.
    pub(crate) fn intents(&self, count: usize) -> Vec<Intent> {
        self.state().intents.iter().take(count).cloned().collect()
    }

    /// Whether a commit would have nothing to do. A commit of a clone that is under way has something to do until it is
    /// done, and so the answer is not yes before that.
    pub(crate) fn is_settled(&self) -> bool {
        self.state().is_settled(&self.shared.manager)
    }

    /// Ends the request if [`is_settled`](Self::is_settled), in one step: nothing can be recorded between the two.
    /// Returns the cookie of earlier commits.
    pub(crate) fn end_settled(&self) -> Option<Option<SetCookie>> {
        let mut state = self.state();
        state.is_settled(&self.shared.manager).then(|| {
            state.sent = true;
            state.cookie.take()
        })
    }

    pub(crate) async fn commit_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.committing.lock().await
    }

    /// Puts the session on a new base: what a commit or a reload found. The first `committed` intents are done.
    pub(crate) fn rebase(
        &self,
        base: Option<Arc<LoadedSession>>,
        committed: usize,
        cookie: Option<SetCookie>,
    ) -> Result<(), Error> {
        let mut state = self.state();
        let mut done = std::mem::take(&mut state.intents);
        let rest = done.split_off(committed.min(done.len()));
        let record = base.as_ref().map(|base| &base.record);
        // If intents recorded meanwhile do not fit the new base, they are dropped with the error.
        let (working, intents, outcome) = match Draft::replay(record, &rest, self.shared.manager.policy()) {
            Ok(working) => (working, rest, Ok(())),
            Err(error) => (Draft::of(record), Vec::new(), Err(error)),
        };
        state.working = working;
        state.intents = intents;
        state.base = base;
        if cookie.is_some() {
            state.cookie = cookie;
        }
        outcome
    }
}

/// A record as long as the one that a commit would make.
fn sample(base: Option<&LoadedSession>, working: &Draft, policy: &Policy, now: Timestamp) -> Result<Record, Error> {
    let record = match base {
        Some(base) => base.record.clone(),
        None => crate::plan::new_record(Kind::Cookie, working, policy, now, &Zeros)?.0,
    };
    Ok(Record {
        authentication: working.authentication.clone(),
        device: working.device.clone(),
        data: working.data.clone(),
        ..record
    })
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

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Session")
            .field("stored", &state.base.is_some())
            .field("authenticated", &state.working.authentication.is_some())
            .field("intents", &state.intents.len())
            .finish_non_exhaustive()
    }
}
