//! [`SessionManager`]: the only caller of a store.

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use crate::client_side::{ClientStore, DenyList, Seal, unsupported};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::cookie::{Ambiguous, PresentedCookie, SetCookie};
use crate::credential::{Grace, TokenCheck};
use crate::entropy::{Entropy, OsEntropy};
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::event::{Event, EventKind, SessionObserver, Termination};
use crate::id::{SessionId, UserId};
use crate::policy::Policy;
use crate::queue::CommitQueue;
use crate::record::{Kind, Record, SessionSummary};
use crate::session::{LoadedSession, Session, TokenStatus};
use crate::store::{DeleteOutcome, SessionStore};
use crate::token::PresentedToken;
use crate::verdict::{Expiry, Verdict, verdict};

/// Opens, commits, lists and revokes sessions. Cheap to clone; one per application.
///
/// ```
/// # use session_core::{Policy, SessionManager, SessionStore};
/// # fn demo(store: impl SessionStore) {
/// let sessions = SessionManager::new(store, Policy::standard());
/// # }
/// ```
#[derive(Clone)]
pub struct SessionManager {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn SessionStore>,
    /// The same object as `store`, if clients keep their sessions themselves.
    pub(crate) client_side: Option<Arc<ClientStore>>,
    policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    observers: Vec<Arc<dyn SessionObserver>>,
    pub(crate) queue: CommitQueue,
}

/// Sets up a [`SessionManager`] with other parts than the default ones.
#[derive(Debug)]
#[must_use]
pub struct SessionManagerBuilder {
    keeping: Keeping,
    policy: Policy,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observers: Vec<Arc<dyn SessionObserver>>,
}

/// Who keeps the sessions.
#[derive(Debug)]
enum Keeping {
    Store(Arc<dyn SessionStore>),
    Clients { seal: Arc<dyn Seal>, deny_list: Option<Arc<dyn SessionStore>> },
}

impl SessionManagerBuilder {
    /// The rules. Without it, [`Policy::standard`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock that decides deadlines. Without it, [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The source of ids and tokens. Without it, [`OsEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Adds a receiver of events.
    pub fn observer(mut self, observer: impl SessionObserver) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// The manager.
    #[must_use]
    pub fn build(self) -> SessionManager {
        let Self { keeping, policy, clock, entropy, observers } = self;
        let (store, client_side) = match keeping {
            Keeping::Store(store) => (store, None),
            Keeping::Clients { seal, deny_list } => {
                let longest = policy.longest_lifetime();
                let deny_list = deny_list.map(|store| DenyList { store, entropy: Arc::clone(&entropy), longest });
                let clients = Arc::new(ClientStore { clock: Arc::clone(&clock), seal, deny_list });
                (Arc::clone(&clients) as Arc<dyn SessionStore>, Some(clients))
            }
        };
        let queue = CommitQueue::default();
        SessionManager { inner: Arc::new(Inner { store, client_side, policy, clock, entropy, observers, queue }) }
    }
}

/// What a token gets of the record it names.
enum Access {
    /// The session, and what the response must hand out.
    Granted(TokenStatus, Option<SetCookie>),
    /// Nothing: it is none of the session's tokens.
    Unknown,
    /// Nothing: the session is past a deadline.
    Expired(Expiry),
    /// Nothing: its successor was faster.
    Raced,
    /// Nothing, and the session ends.
    Reuse,
}

impl SessionManager {
    /// A manager with the clock and the random generator of the operating system, and no observer.
    #[must_use]
    pub fn new(store: impl SessionStore, policy: Policy) -> Self {
        Self::builder(Arc::new(store)).policy(policy).build()
    }

    /// A builder, for a store that may be shared.
    pub fn builder(store: Arc<dyn SessionStore>) -> SessionManagerBuilder {
        Self::keeping(Keeping::Store(store))
    }

    /// A builder for client-side sessions: each is in its cookie, sealed, and nowhere else. No request costs a round trip.
    ///
    /// In exchange, and whatever the policy says: two requests that change a session at once overwrite each other, and
    /// the later response wins; there is no list of a user's sessions, no limit, and no revocation but
    /// [`Policy::not_before`]; a logout or login removes a cookie, but a copy of it works until its deadlines, unless there
    /// is a `deny_list`; a session, with everything around it, has at most 4096 bytes, and its holder can read it.
    ///
    /// `deny_list` is any store, best one of its own. Sessions that end are noted there, and it is asked with each request
    /// that opens a session: one round trip.
    pub fn client_side(seal: impl Seal, deny_list: Option<Arc<dyn SessionStore>>) -> SessionManagerBuilder {
        Self::keeping(Keeping::Clients { seal: Arc::new(seal), deny_list })
    }

    fn keeping(keeping: Keeping) -> SessionManagerBuilder {
        SessionManagerBuilder {
            keeping,
            policy: Policy::standard(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            observers: Vec::new(),
        }
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The time, by the manager's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// What the `Cookie` headers of a request hold; for adapters.
    pub fn read_cookie<'h>(&self, headers: impl IntoIterator<Item = &'h [u8]>) -> PresentedCookie {
        let cookie = self.policy().cookie();
        if self.inner.client_side.is_none() {
            return cookie.read(headers);
        }
        match cookie.find(headers) {
            Err(Ambiguous) => PresentedCookie::Ambiguous,
            Ok(None) => PresentedCookie::Nothing,
            Ok(Some(value)) => PresentedCookie::Sealed(value.to_vec()),
        }
    }

    /// Opens the session of a request. No round trip without a token, else one.
    ///
    /// A token that is unknown, expired or forged gives an anonymous session: a client cannot tell which. An authentic
    /// token that was consumed earlier terminates its session (one more round trip).
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not absent. [`Error::Superseded`] for the loser of a race
    /// between a renewed token and its predecessor.
    pub async fn open(&self, presented: &PresentedCookie) -> Result<Session, Error> {
        let token = match presented {
            PresentedCookie::Nothing => return Ok(self.anonymous()),
            PresentedCookie::Malformed => {
                self.report(EventKind::MalformedToken, None, None);
                return Ok(self.anonymous());
            }
            PresentedCookie::Ambiguous => {
                self.report(EventKind::AmbiguousCookie, None, None);
                return Ok(self.anonymous());
            }
            PresentedCookie::Sealed(text) => return self.open_sealed(text).await,
            PresentedCookie::Token(_) if self.inner.client_side.is_some() => return Ok(self.anonymous()),
            PresentedCookie::Token(token) => token.again(),
        };
        let Some(record) = self.read(token.id()).await? else {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(self.anonymous());
        };
        match self.admit(&record, &token) {
            Access::Granted(standing, cookie) => {
                Ok(self.session(Some(LoadedSession { record, token: Some(token), standing }), cookie))
            }
            Access::Unknown => {
                self.report(EventKind::UnknownToken, Some(record.id), None);
                Ok(self.anonymous())
            }
            Access::Expired(expiry) => {
                self.report(EventKind::Expired(expiry), Some(record.id), record.user().cloned());
                Ok(self.anonymous())
            }
            Access::Raced => {
                self.report(EventKind::RenewalRaced, Some(record.id), record.user().cloned());
                Err(Error::Superseded)
            }
            Access::Reuse => {
                self.report(EventKind::TokenReuse, Some(record.id), record.user().cloned());
                let _ = self.terminate(&record, Termination::Reuse).await?;
                Ok(self.anonymous())
            }
        }
    }

    /// Opens a client-side session. No round trip; one if there is a deny list.
    async fn open_sealed(&self, text: &[u8]) -> Result<Session, Error> {
        let now = self.now();
        let opened = self.inner.client_side.as_ref().and_then(|clients| clients.seal.open(text, now));
        let Some(record) = opened else {
            self.report(EventKind::MalformedToken, None, None);
            return Ok(self.anonymous());
        };
        if let Verdict::Expired(expiry) = verdict(&record, &self.inner.policy, now) {
            self.report(EventKind::Expired(expiry), Some(record.id), record.user().cloned());
            return Ok(self.anonymous());
        }
        if self.is_denied(record.id).await? {
            self.report(EventKind::UnknownToken, Some(record.id), None);
            return Ok(self.anonymous());
        }
        Ok(self.session(Some(LoadedSession { record, token: None, standing: TokenStatus::Current }), None))
    }

    /// Whether a client-side session was ended.
    async fn is_denied(&self, id: SessionId) -> Result<bool, Error> {
        match &self.inner.client_side {
            Some(clients) => self.store_call("load", clients.is_denied(&id, self.now())).await,
            None => Ok(false),
        }
    }

    /// Decides what a token gets of the record it names.
    fn admit(&self, record: &Record, token: &PresentedToken) -> Access {
        let now = self.now();
        let check =
            if record.kind == Kind::Cookie { record.credential.check(record.kind, token) } else { TokenCheck::Unknown };
        if check == TokenCheck::Unknown {
            return Access::Unknown;
        }
        if let Verdict::Expired(expiry) = verdict(record, &self.inner.policy, now) {
            return Access::Expired(expiry);
        }
        match (check, self.grace(record, now)) {
            (TokenCheck::Current, _) => Access::Granted(TokenStatus::Current, None),
            (TokenCheck::Superseded, Grace::Open) => {
                Access::Granted(TokenStatus::Superseded, self.successor_cookie(record, token, now))
            }
            (TokenCheck::Superseded, Grace::SuccessorUsed) => Access::Raced,
            (TokenCheck::Superseded, Grace::Closed) | (TokenCheck::Stale, _) => Access::Reuse,
            (TokenCheck::Unknown, _) => Access::Unknown,
        }
    }

    /// Reads the session once more from the store: for a decision that must not rest on what was read earlier. One round
    /// trip, none for a session that is not stored. Keeps the intents.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed, [`Error::Gone`] if the session ended meanwhile.
    pub async fn reload(&self, session: &Session) -> Result<(), Error> {
        let _turn = session.commit_turn().await;
        let Some(base) = session.state().base.clone() else { return Ok(()) };
        match self.reread(&base).await? {
            Some(fresh) => session.rebase(Some(Arc::new(fresh)), 0, None),
            None => {
                let dropped = session.state().intents.len();
                session.rebase(None, dropped, None)?;
                Err(Error::Gone)
            }
        }
    }

    /// The current record of `base`, if its token still gives access to it.
    pub(crate) async fn reread(&self, base: &LoadedSession) -> Result<Option<LoadedSession>, Error> {
        let Some(token) = &base.token else {
            let denied = self.is_denied(base.record.id).await?;
            return Ok((!denied).then(|| LoadedSession {
                record: base.record.clone(),
                token: None,
                standing: base.standing,
            }));
        };
        let Some(record) = self.read(base.record.id).await? else { return Ok(None) };
        let standing = match record.credential.check(record.kind, token) {
            TokenCheck::Current => TokenStatus::Current,
            TokenCheck::Superseded => TokenStatus::Superseded,
            // Not reuse: the token was valid when this request began.
            TokenCheck::Stale | TokenCheck::Unknown => return Ok(None),
        };
        if let Verdict::Expired(_) = verdict(&record, &self.inner.policy, self.now()) {
            return Ok(None);
        }
        Ok(Some(LoadedSession { record, token: Some(token.again()), standing }))
    }

    /// The live sessions of `user`, most recently used first. One round trip.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed.
    pub async fn list(&self, user: &UserId) -> Result<Vec<SessionSummary>, Error> {
        let now = self.now();
        let mut sessions = self.store_call("list_by_user", self.inner.store.list_by_user(user, now)).await?;
        sessions.retain(|session| self.inner.policy.is_alive(session, now));
        sessions.sort_by_key(|session| (std::cmp::Reverse(session.last_seen), session.id));
        Ok(sessions)
    }

    /// Ends the session `id` if it belongs to `user`; somebody else's is [`DeleteOutcome::Absent`]. One round trip.
    ///
    /// For the session of the current request, use [`Session::logout`] instead: it removes the cookie too.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed; safe to repeat.
    pub async fn revoke(&self, user: &UserId, id: &SessionId) -> Result<DeleteOutcome, Error> {
        if self.inner.client_side.is_some() {
            // Whose session it is, only its client could say.
            return Err(self.store_failed("delete", unsupported("delete")));
        }
        let deleted = self.store_call("delete", self.inner.store.delete(id, Some(user))).await?;
        if deleted == DeleteOutcome::Deleted {
            self.report(EventKind::Terminated(Termination::Revoked), Some(*id), Some(user.clone()));
        }
        Ok(deleted)
    }

    /// Ends all sessions of `user` but `keep`. Returns how many ended. One round trip.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed; safe to repeat.
    pub async fn revoke_others(&self, user: &UserId, keep: &SessionId) -> Result<usize, Error> {
        self.delete_by_user(user, Some(keep)).await
    }

    /// Ends all sessions of `user`: logout everywhere, after a change of password or the end of an account. Returns how
    /// many ended. One round trip.
    ///
    /// For the user of the current request, log out and commit first: that removes the cookie too.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed; safe to repeat.
    pub async fn revoke_all(&self, user: &UserId) -> Result<usize, Error> {
        self.delete_by_user(user, None).await
    }

    async fn delete_by_user(&self, user: &UserId, keep: Option<&SessionId>) -> Result<usize, Error> {
        let ended = self.store_call("delete_by_user", self.inner.store.delete_by_user(user, keep)).await?;
        for id in &ended {
            self.report(EventKind::Terminated(Termination::Revoked), Some(*id), Some(user.clone()));
        }
        Ok(ended.len())
    }

    /// Deletes up to `limit` expired records from the store and returns how many. Hygiene for stores that do not expire
    /// records themselves; sessions expire on time without it. [`sweep`](Self::sweep) calls it regularly.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed.
    pub async fn delete_expired(&self, limit: NonZeroU32) -> Result<u64, Error> {
        self.store_call("delete_expired", self.inner.store.delete_expired(self.now(), limit)).await
    }

    /// Ends a session whose record was read.
    pub(crate) async fn terminate(&self, record: &Record, why: Termination) -> Result<DeleteOutcome, Error> {
        let user = record.user();
        let deleted = self.store_call("delete", self.inner.store.delete(&record.id, user)).await?;
        if deleted == DeleteOutcome::Deleted {
            self.report(EventKind::Terminated(why), Some(record.id), user.cloned());
        }
        Ok(deleted)
    }

    fn grace(&self, record: &Record, now: Timestamp) -> Grace {
        let window = self.inner.policy.renewal().map(|renewal| renewal.grace).unwrap_or_default();
        record.credential.grace(window, now)
    }

    /// The cookie that gives the holder of a superseded token its successor again.
    pub(crate) fn successor_cookie(
        &self,
        record: &Record,
        token: &PresentedToken,
        now: Timestamp,
    ) -> Option<SetCookie> {
        let successor = record.credential.successor(token)?;
        let max_age = crate::plan::max_age(record, &self.inner.policy, now);
        Some(self.inner.policy.cookie().set(&successor.encode(), max_age))
    }

    fn anonymous(&self) -> Session {
        self.session(None, None)
    }

    fn session(&self, base: Option<LoadedSession>, cookie: Option<SetCookie>) -> Session {
        Session::new(self.clone(), base, cookie)
    }

    /// What client-side sessions are sealed with.
    pub(crate) fn sealer(&self) -> Option<&dyn Seal> {
        self.inner.client_side.as_ref().map(|clients| &*clients.seal)
    }

    pub(crate) async fn read(&self, id: SessionId) -> Result<Option<Record>, Error> {
        let record = self.store_call("load", self.inner.store.load(&id)).await?;
        match record {
            Some(record) if record.id != id => {
                let error = StoreError::new(StoreErrorKind::Corrupt, "load", "the store answered with another session")
                    .in_backend(self.inner.store.name());
                Err(self.store_failed("load", error))
            }
            Some(_) | None => Ok(record),
        }
    }

    /// One store operation, within the store timeout.
    pub(crate) async fn store_call<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        let mut answer = pin!(answer);
        // Set when it is first waited for: a store that answers at once pays for no timer.
        let mut timer = pin!(None);
        let answered = poll_fn(|context| {
            if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                return Poll::Ready(Some(answered));
            }
            if timer.is_none() {
                timer.set(Some(tokio::time::sleep(self.inner.policy.store_timeout())));
            }
            timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(context).map(|()| None))
        });
        match answered.await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.store_failed(operation, error)),
            None => {
                let error = StoreError::new(StoreErrorKind::Timeout, operation, "no answer within the store timeout")
                    .in_backend(self.inner.store.name());
                Err(self.store_failed(operation, error))
            }
        }
    }

    pub(crate) fn store_failed(&self, operation: &'static str, error: StoreError) -> Error {
        self.report(EventKind::StoreFailed { operation, kind: error.kind() }, None, None);
        Error::Store(error)
    }

    /// Tells the observers. For adapters, which see what core cannot: a request refused as cross-origin.
    pub fn report(&self, kind: EventKind, session: Option<SessionId>, user: Option<UserId>) {
        if self.inner.observers.is_empty() {
            return;
        }
        let event = Event { at: self.now(), session, user, kind };
        for observer in &self.inner.observers {
            // An audit sink that fails must not keep a session alive.
            let _ = catch_unwind(AssertUnwindSafe(|| observer.on_event(&event)));
        }
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("store", &self.inner.store.name())
            .field("policy", &self.inner.policy)
            .finish_non_exhaustive()
    }
}
