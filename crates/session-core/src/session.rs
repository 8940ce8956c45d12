//! [`Session`]: what a handler works with. Records intents, does no I/O.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::adapter::remedy::Remedy;
use crate::clock::{Clock, Timestamp};
use crate::decide::intent::{Intent, Login, StepUp, UpdateFn};
use crate::decide::plan::{Change, Draft, sample, tightened};
use crate::decide::verdict::{Activity, LoadedSession, Replaced, maintenance};
use crate::error::{Error, StoreError};
use crate::model::data::{Key, decode, encode};
use crate::model::id::{SessionId, UserId};
use crate::model::reserved::Credentials;
use crate::model::summary::{Assurance, Authentication, SessionSummary};
use crate::policy::cookie::SetCookie;
use crate::policy::rules::Policy;
use crate::store::seal::Seal;

/// The session of one request. Cheap to clone; all clones are the same session.
///
/// Reading shows the stored values with the changes of this request applied. Changing **records an intent**: nothing is
/// written until [`SessionManager::commit`](crate::SessionManager::commit), which an HTTP adapter calls before the
/// response is sent. Then all intents become one compare-and-swap; if another request was faster, they are applied again
/// to what it wrote. So two requests never overwrite each other's keys, and no [`update`](Self::update) gets lost.
///
/// An anonymous session is stored when it holds something.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    owner: Arc<dyn Owner>,
    state: Mutex<State>,
    /// Held during a commit: clones of one session commit one after the other.
    committing: tokio::sync::Mutex<()>,
}

impl Session {
    pub(crate) fn new(owner: Arc<dyn Owner>, loaded: Option<Arc<LoadedSession>>, successor: Option<SetCookie>) -> Self {
        let state = Mutex::new(State::new(loaded, successor));
        Self { shared: Arc::new(Shared { owner, state, committing: tokio::sync::Mutex::new(()) }) }
    }

    /// The value of `key`, if there is one. Decodes this value only.
    ///
    /// # Errors
    /// [`Error::Value`] if what is stored is not a `T`. It is left as it is.
    pub fn get<T: DeserializeOwned>(&self, key: Key<T>) -> Result<Option<T>, Error> {
        let value = self.state().draft.data.get(key.name().as_bytes()).cloned();
        value.map(|value| decode(&value)).transpose().map_err(Error::from)
    }

    /// Whether there is a value of `key`. Does not decode it.
    #[must_use]
    pub fn contains<T>(&self, key: Key<T>) -> bool {
        self.state().draft.data.get(key.name().as_bytes()).is_some()
    }

    /// The names of all values.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().draft.data.names().map(str::to_owned).collect()
    }

    /// Sets a value. Other keys, written by other requests at the same time, are not affected; of two inserts of the
    /// same key the later commit wins, unless the policy says [`WriteConflict::Fail`](crate::WriteConflict::Fail).
    ///
    /// Values are kept as JSON, which has a single `null`: `Some(None)`, and in an `Option` a number that is not finite, come
    /// back as `None`.
    ///
    /// # Errors
    /// [`Error::Value`] if it cannot be written as JSON and read back, [`Error::TooLarge`] or [`Error::TooManyValues`] if it
    /// exceeds a cap, [`Error::ResponseSent`] if it is too late.
    pub fn insert<T: Serialize + DeserializeOwned>(&self, key: Key<T>, value: &T) -> Result<(), Error> {
        let value = encode(value)?;
        self.intend(Intent::Set(key.into_name(), value))
    }

    /// Removes a value and returns it: for what is shown once, such as a notice after a redirect ("flash"). Without a value
    /// nothing is changed, and so nothing is written.
    ///
    /// ```
    /// # use session_core::{Error, Key, Session};
    /// const NOTICE: Key<String> = Key::new("notice");
    ///
    /// fn save(session: &Session) -> Result<(), Error> {
    ///     session.insert(NOTICE, &"Saved.".to_owned()) // and redirect to the page
    /// }
    ///
    /// fn page(session: &Session) -> Result<String, Error> {
    ///     Ok(session.take(NOTICE)?.unwrap_or_default()) // shown by the next page, and by no other
    /// }
    /// ```
    ///
    /// Two requests at once may both get it. For what must count once, such as a code, demand
    /// [`WriteConflict::Fail`](crate::WriteConflict::Fail) and [commit](crate::SessionManager::commit) before it counts: one
    /// of them fails with [`Error::Conflict`].
    ///
    /// # Errors
    /// [`Error::Value`] if what is stored is not a `T`: it is left as it is. [`Error::ResponseSent`] if it is too late.
    pub fn take<T: DeserializeOwned>(&self, key: Key<T>) -> Result<Option<T>, Error> {
        let value = self.get(key.clone())?;
        if value.is_some() {
            self.remove(key)?;
        }
        Ok(value)
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
    /// other effect than to change its argument. Each run is one of a clone, so it may give away what it captured:
    ///
    /// ```
    /// # use session_core::{Error, Key, Session};
    /// const CART: Key<Vec<String>> = Key::new("cart");
    ///
    /// fn add(session: &Session, item: String) -> Result<(), Error> {
    ///     session.update(CART, move |cart| cart.push(item))
    /// }
    /// ```
    ///
    /// To learn the value that was stored in the end, commit, then [`get`](Self::get) it.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert); [`Error::Value`] also if what is stored is not a `T`.
    pub fn update<T, F>(&self, key: Key<T>, change: F) -> Result<(), Error>
    where
        T: Serialize + DeserializeOwned + Default,
        F: FnOnce(&mut T) + Clone + Send + Sync + 'static,
    {
        let update = move |stored: Option<&[u8]>| {
            let mut value = stored.map(decode).transpose()?.unwrap_or_default();
            change.clone()(&mut value);
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
    /// step at the commit. Of the data, only what [`Login::carry_over`] names survives; at a change of user, nothing. What is
    /// inserted after this, in the same request, is in the new session.
    ///
    /// The session limit is enforced at the commit. To answer a login that it rejects, commit in the handler.
    ///
    /// # Errors
    /// [`Error::ResponseSent`] if it is too late.
    pub fn login(&self, login: Login) -> Result<(), Error> {
        let at = self.context().now();
        self.intend(Intent::Login(Arc::new(login), at))
    }

    /// Records that the user proved who they are once more, and regenerates the token. Keeps the data. It renews the level
    /// that was reached and those below, never one above: see [`Authentication::prove`].
    ///
    /// # Errors
    /// [`Error::NotAuthenticated`] if no user is logged in, [`Error::WrongUser`] if another one is,
    /// [`Error::NoDenyList`] for a client-side session without one, [`Error::ResponseSent`] if it is too late.
    pub fn step_up(&self, step_up: StepUp) -> Result<(), Error> {
        let at = self.context().now();
        self.intend(Intent::StepUp(Arc::new(step_up), at))
    }

    /// Gives the session a new token; the old one stops working at the commit, without grace. For changes of privilege
    /// other than login and step-up: a role, a tenant, the begin and end of impersonation.
    ///
    /// # Errors
    /// [`Error::NoDenyList`] for a client-side session without one, [`Error::ResponseSent`] if it is too late.
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
        self.state().loaded.as_ref().map(|loaded| loaded.record.id())
    }

    /// Who is logged in, with the changes of this request.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.state().draft.authentication.as_ref().map(|authentication| authentication.user.clone())
    }

    /// Who is logged in, when and how, with the changes of this request.
    #[must_use]
    pub fn authentication(&self) -> Option<Authentication> {
        self.state().draft.authentication.clone()
    }

    /// Whether a user is logged in and has proved within `max_age` who they are, at `level` or above. At exactly `max_age`
    /// it is too long ago.
    #[must_use]
    pub fn is_fresh(&self, max_age: Duration, level: Assurance) -> bool {
        let now = self.context().now();
        let authentication = self.authentication();
        authentication.as_ref().and_then(|it| it.proof(level)).is_some_and(|proof| now < proof.at + max_age)
    }

    /// Whether a user is logged in whose account had these credentials at the login, or at the last step-up that said so
    /// ([`Login::credentials`]). If not, they were changed since, or the login said nothing: log the session out. No round
    /// trip.
    #[must_use]
    pub fn has_credentials(&self, current: impl AsRef<[u8]>) -> bool {
        let state = self.state();
        state.draft.authentication.is_some() && Credentials::new(current.as_ref()).are_among(&state.draft.data)
    }

    /// The stored session's times and circumstances, with the timeouts that hold under the policy; `None` if nothing is
    /// stored.
    #[must_use]
    pub fn info(&self) -> Option<SessionSummary> {
        let loaded = self.state().loaded.clone()?;
        Some(tightened(&loaded.record.summary, &self.context().policy))
    }

    fn context(&self) -> &Context {
        self.shared.owner.context()
    }

    /// Records `intent` if it can be applied. A client-side session has to fit into its cookie, too. Code of the application
    /// does not run under the lock: it may use the session.
    pub(crate) fn intend(&self, intent: Intent) -> Result<(), Error> {
        let context = self.context();
        match (&context.seal, intent) {
            (None, Intent::Update(key, update)) => self.intend_update(key, update),
            (None, intent) => {
                let mut state = self.open_state()?;
                state.check(&intent)?;
                state.draft.apply(&intent, &context.policy)?;
                state.record(intent);
                Ok(())
            }
            (Some(seal), intent) => {
                for _ in 0..MAX_RUNS {
                    let (loaded, mut draft, revision) = {
                        let state = self.open_state()?;
                        (state.loaded.clone(), state.draft.clone(), state.revision)
                    };
                    draft.apply(&intent, &context.policy)?;
                    context.check_change(loaded.as_deref(), draft.change)?;
                    let sample = sample(loaded.as_deref(), &draft, &context.policy, context.now())?;
                    context.check_len(loaded.as_deref(), &sample, seal.sealed_len(&sample))?;
                    let mut state = self.open_state()?;
                    if state.revision == revision {
                        state.draft = draft;
                        state.record(intent);
                        return Ok(());
                    }
                }
                Err(Error::Conflict)
            }
        }
    }

    fn intend_update(&self, key: Bytes, update: UpdateFn) -> Result<(), Error> {
        for _ in 0..MAX_RUNS {
            let before = self.open_state()?.draft.data.get(&key).cloned();
            let after = update(before.as_deref())?;
            let mut state = self.open_state()?;
            if state.draft.data.get(&key) == before.as_ref() {
                let intent = Intent::Update(key.clone(), Arc::clone(&update));
                state.check(&intent)?;
                state.draft.write(&key, after, &self.context().policy)?;
                state.record(intent);
                return Ok(());
            }
        }
        Err(Error::Conflict)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock panics half way.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless it is too late to record anything.
    fn open_state(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        if state.is_closed { Err(Error::ResponseSent) } else { Ok(state) }
    }

    /// Whether a commit would be a no-op. While a clone is being committed it would not be.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled(|_| ()).is_some()
    }

    /// Ends the request if it [is settled](Self::is_settled), in one step: no intent can be recorded between the two.
    /// Returns what earlier commits left to the response.
    pub(crate) fn close_if_settled(&self) -> Option<HandedOut> {
        self.settled(|state| {
            state.is_closed = true;
            state.hand_out()
        })
    }

    /// What `then` makes of the state, in the same step, if the session is settled. The clock, which may be the
    /// application's, is read outside of the lock, and only if something depends on it.
    fn settled<T>(&self, then: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.state();
        if state.is_unchanged() && state.loaded.is_some() {
            drop(state);
            let now = self.context().now();
            state = self.state();
            if !state.is_maintained(&self.context().policy, now) {
                return None;
            }
        }
        state.is_unchanged().then(|| then(&mut state))
    }

    /// The session `id` has a token that no client has yet.
    pub(crate) fn await_receipt(&self, id: SessionId, user: Option<UserId>) {
        let mut state = self.state();
        if state.has_receiver {
            state.unreceived = Some((id, user));
        } else {
            drop(state);
            Arc::clone(&self.shared.owner).end_unreceived(id, user);
        }
    }

    /// The client has gone: a session whose token it has not received ends, whatever clones of this there are.
    pub(crate) fn lose_receiver(&self) {
        let unreceived = {
            let mut state = self.state();
            state.has_receiver = false;
            state.unreceived.take()
        };
        if let Some((id, user)) = unreceived {
            Arc::clone(&self.shared.owner).end_unreceived(id, user);
        }
    }

    pub(crate) async fn commit_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.committing.lock().await
    }

    /// Goes on from what a commit or a reload found. The first `committed` intents are done; a cookie replaces that of an
    /// earlier commit.
    pub(crate) fn rebase(
        &self,
        loaded: Option<Arc<LoadedSession>>,
        committed: usize,
        cookie: Option<SetCookie>,
    ) -> Result<(), Error> {
        let record = loaded.as_ref().map(|loaded| &loaded.record);
        let mut runs = 0;
        loop {
            runs += 1;
            let (recorded, remaining) = {
                let state = self.state();
                (state.intents.len(), state.intents.get(committed..).unwrap_or_default().to_vec())
            };
            let replayed = Draft::replay(record, &remaining, &self.context().policy);
            let mut state = self.state();
            let is_complete = state.intents.len() == recorded;
            if !is_complete && runs < MAX_RUNS {
                continue;
            }
            // If intents recorded meanwhile do not fit, they are dropped with the error.
            let (draft, remaining, outcome) = match replayed {
                Ok(draft) if is_complete => (draft, remaining, Ok(())),
                Ok(_) => (Draft::of(record), Vec::new(), Err(Error::Conflict)),
                Err(error) => (Draft::of(record), Vec::new(), Err(error)),
            };
            state.draft = draft;
            let done = mem::replace(&mut state.intents, remaining);
            state.had_user |= has_user(loaded.as_ref());
            state.loaded = loaded;
            state.cookie = cookie.or(state.cookie.take());
            state.revision += 1;
            drop(state);
            // They hold closures of the application.
            drop(done);
            return outcome;
        }
    }
}

/// How often an `update` is run again because its value changed while it ran.
const MAX_RUNS: usize = 100;

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, user)) = state.unreceived.take() {
            Arc::clone(&self.owner).end_unreceived(id, user);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Session")
            .field("stored", &state.loaded.is_some())
            .field("authenticated", &state.draft.authentication.is_some())
            .field("intents", &state.intents.len())
            .finish_non_exhaustive()
    }
}

/// What a session needs to know of the manager it belongs to.
pub(crate) struct Context {
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    /// What client-side sessions are sealed with; `None` if sessions are kept in a store.
    pub(crate) seal: Option<Arc<dyn Seal>>,
    /// Whether the cookie of a session can be ended: there is a store, or a deny list.
    pub(crate) ends_cookies: bool,
}

impl Context {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The manager, as its sessions see it.
pub(crate) trait Owner: Send + Sync {
    fn context(&self) -> &Context;

    /// Ends a session whose token no client will get.
    fn end_unreceived(self: Arc<Self>, id: SessionId, user: Option<UserId>);
}

/// The state behind a session: what was loaded, what is intended, what the response must carry.
pub(crate) struct State {
    /// The stored session this one is about; `None` if there is none yet.
    pub(crate) loaded: Option<Arc<LoadedSession>>,
    pub(crate) intents: Vec<Intent>,
    /// `loaded` with all intents.
    pub(crate) draft: Draft,
    pub(crate) activity: Activity,
    /// What the response must carry, of every commit so far.
    cookie: Option<SetCookie>,
    /// The successor of the superseded token that was presented, which the response carries if there is no other cookie and
    /// the grace window is still open.
    pub(crate) successor: Option<SetCookie>,
    /// What an honest browser is told, if a guard refuses the request.
    pub(crate) remedy: Remedy,
    /// A session that was created here, or whose token was replaced, until the response carries its token.
    pub(crate) unreceived: Option<(SessionId, Option<UserId>)>,
    /// Changes with `draft`.
    revision: u64,
    pub(crate) is_closed: bool,
    /// Why the record cannot be decoded, if there is one. Then it can be logged in and out, and nothing else changed.
    pub(crate) unreadable: Option<StoreError>,
    /// The other live sessions that came with the request: a login or a logout ends them.
    pub(crate) others: Vec<Replaced>,
    /// Several cookies came with the request.
    pub(crate) has_several: bool,
    /// There is no session, and the browser may have a cookie of one all the same: no other is begun without a login.
    pub(crate) is_cookie_unknown: bool,
    /// The response was sent: no session can begin here, for there is nobody to give its token to.
    pub(crate) is_handle: bool,
    /// Whether an adapter hands out the cookie; if not, the caller of a commit counts as its receiver.
    pub(crate) has_adapter: bool,
    /// Whether the client may still get the response.
    has_receiver: bool,
    /// Whether a user was logged in, as far as it is stored, at any time of this request.
    had_user: bool,
    /// Whether the latest commit that logged in or out was a logout.
    pub(crate) logged_out: bool,
}

/// What the response has to know of its session.
#[derive(Default)]
pub(crate) struct HandedOut {
    pub(crate) cookie: Option<SetCookie>,
    pub(crate) remedy: Remedy,
    pub(crate) had_user: bool,
    pub(crate) logged_out: bool,
}

fn has_user(loaded: Option<&Arc<LoadedSession>>) -> bool {
    loaded.is_some_and(|loaded| loaded.record.user().is_some())
}

/// What a commit starts from.
pub(crate) struct CommitInput {
    pub(crate) loaded: Option<Arc<LoadedSession>>,
    /// `loaded` with all intents.
    pub(crate) draft: Draft,
    /// How many there are.
    pub(crate) intents: usize,
    pub(crate) activity: Activity,
}

impl State {
    fn new(loaded: Option<Arc<LoadedSession>>, successor: Option<SetCookie>) -> Self {
        Self {
            draft: Draft::of(loaded.as_ref().map(|loaded| &loaded.record)),
            had_user: has_user(loaded.as_ref()),
            logged_out: false,
            loaded,
            intents: Vec::new(),
            activity: Activity::Active,
            cookie: None,
            successor,
            remedy: Remedy::default(),
            unreceived: None,
            revision: 0,
            is_closed: false,
            unreadable: None,
            others: Vec::new(),
            has_several: false,
            is_cookie_unknown: false,
            is_handle: false,
            has_adapter: false,
            has_receiver: true,
        }
    }

    /// Whether `intent` can be met: it leaves a record alone that cannot be decoded, and needs no response that was sent
    /// already.
    fn check(&self, intent: &Intent) -> Result<(), Error> {
        let needs_response = matches!(intent, Intent::Login(..) | Intent::StepUp(..) | Intent::Regenerate);
        if needs_response && self.is_handle {
            return Err(Error::ResponseSent);
        }
        let begins_anew = matches!(intent, Intent::Login(..) | Intent::Logout) || self.draft.change != Change::None;
        match &self.unreadable {
            Some(error) if !begins_anew => Err(Error::Store(error.clone())),
            Some(_) | None => Ok(()),
        }
    }

    fn record(&mut self, intent: Intent) {
        self.intents.push(intent);
        self.revision += 1;
    }

    /// Whether nothing is to be written for this request.
    fn is_unchanged(&self) -> bool {
        self.intents.is_empty() && self.successor.is_none()
    }

    /// Whether nothing is to be written for the session itself.
    fn is_maintained(&self, policy: &Policy, now: Timestamp) -> bool {
        self.loaded.as_ref().is_none_or(|loaded| maintenance(loaded, self.activity, policy, now).is_none())
    }

    pub(crate) fn commit_input(&self) -> CommitInput {
        CommitInput {
            loaded: self.loaded.clone(),
            draft: self.draft.clone(),
            intents: self.intents.len(),
            activity: self.activity,
        }
    }

    /// What the response carries.
    pub(crate) fn hand_out(&mut self) -> HandedOut {
        self.unreceived = None;
        let cookie = self.cookie.take().or(self.successor.take());
        let remedy = mem::take(&mut self.remedy);
        HandedOut { cookie, remedy, had_user: self.had_user, logged_out: self.logged_out }
    }
}
