//! [`Node`]: one server process, without HTTP; and [`Exchange`]: one request in it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};

use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::store::SessionStore;
use session_core::{Entropy, Error, Event, OsEntropy, Policy, Session, SessionId, SessionManager, UserId};

use super::fault::RequestFault;
use super::line::Line;
use super::recorder::Recorder;
use super::seeded;
use super::steps::Opened;
use crate::env::Env;
use crate::faults::Fault;
use crate::outcome::Failure;

/// A server process: a manager, and the few steps that an HTTP adapter adds. Cheap to clone.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) env: Env,
    pub(super) manager: SessionManager,
    pub(super) line: Arc<Line>,
    pub(super) recorder: Recorder,
    pub(super) fault: Option<RequestFault>,
    /// Seeded: tokens that stand for another one.
    pub(super) aliases: Mutex<HashMap<String, String>>,
    /// Seeded: tokens that were sent.
    pub(super) sent: Mutex<HashSet<String>>,
    /// Seeded: the session of the anonymous request under way.
    pub(super) shared: Mutex<Option<RequestSession>>,
}

/// Whether a request may change something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

impl Node {
    /// A process with this policy, over the store of the case.
    pub(super) async fn start(env: &Env, policy: Policy) -> Result<Self, Failure> {
        Ok(Self::over(env, env.store().await?, policy, OsEntropy))
    }

    /// A process with this policy and random generator, over this store.
    pub(super) fn over(env: &Env, store: Arc<dyn SessionStore>, policy: Policy, entropy: impl Entropy) -> Self {
        let fault = match env.fault() {
            Some(Fault::Request(fault)) => Some(fault),
            Some(Fault::Store(_) | Fault::Service(_)) | None => None,
        };
        let line = Arc::new(Line::new(store, fault == Some(RequestFault::NodeCachesLoads)));
        let recorder = Recorder::new(fault);
        let shared: Arc<dyn SessionStore> = line.clone();
        let manager = SessionManager::builder(shared)
            .policy(seeded::policy(fault, policy))
            .clock(env.clock().clone())
            .entropy(seeded::Generator::new(fault, entropy))
            .observer(recorder.clone())
            .build();
        let inner = Inner {
            env: env.clone(),
            manager,
            line,
            recorder,
            fault,
            aliases: Mutex::default(),
            sent: Mutex::default(),
            shared: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The same service with a new policy: what a deployment leads to.
    pub(super) async fn redeploy(&self, policy: Policy) -> Result<Self, Failure> {
        let frozen = self.inner.fault == Some(RequestFault::PolicyNotTightened);
        Self::start(&self.inner.env, if frozen { self.policy().clone() } else { policy }).await
    }

    pub(super) fn manager(&self) -> &SessionManager {
        &self.inner.manager
    }

    pub(super) fn policy(&self) -> &Policy {
        self.inner.manager.policy()
    }

    /// The line to the store.
    pub(super) fn line(&self) -> &Line {
        &self.inner.line
    }

    /// The store operations since this was asked last.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.inner.line.calls()
    }

    /// The events since this was asked last.
    pub(super) fn events(&self) -> Vec<Event> {
        self.inner.recorder.take()
    }

    /// From now on every event makes the audit sink panic.
    pub(super) fn break_audit(&self) {
        self.inner.recorder.break_down();
    }

    /// The ids of the live sessions of `user`, most recently used first.
    pub(super) async fn sessions(&self, user: &UserId) -> Result<Vec<SessionId>, Failure> {
        Ok(self.manager().list(user).await?.iter().map(|session| session.id).collect())
    }

    /// A request with these `Cookie` headers arrives.
    pub(super) fn receive(&self, method: Method, headers: &[&str]) -> Exchange {
        let headers = self.seeded_headers(headers);
        let presented = self.policy().cookie().read(headers.iter().map(|header| header.as_bytes()));
        let token = self.cookie_value(&headers);
        let request = self.seeded_share(RequestSession::new(self.manager().clone(), presented), token.as_deref());
        Exchange { node: self.clone(), method, token, request, instead: OnceLock::new(), opened: Mutex::default() }
    }

    /// What the headers say of the session cookie, as text.
    fn cookie_value(&self, headers: &[String]) -> Option<String> {
        let pairs = headers.iter().flat_map(|header| header.split(';'));
        let mut cookies = pairs.filter_map(|pair| pair.trim().split_once('='));
        cookies.find(|(name, _)| *name == self.policy().cookie().name()).map(|(_, value)| value.to_owned())
    }
}

/// A request under way.
pub(super) struct Exchange {
    pub(super) node: Node,
    pub(super) method: Method,
    /// The value of the session cookie, as presented.
    pub(super) token: Option<String>,
    request: RequestSession,
    /// Seeded: the session that takes the place of the request's own.
    instead: OnceLock<RequestSession>,
    /// Seeded: what the session was when it was opened.
    pub(super) opened: Mutex<Option<Opened>>,
}

impl Exchange {
    /// What an extractor does: the session, loaded at the first call.
    pub(super) async fn session(&self) -> Result<Session, Error> {
        self.seeded_before_open().await?;
        let session = match self.request().session().await {
            Err(Error::Store(_)) if self.has(RequestFault::StoreErrorIsAnonymous) => {
                self.start_afresh().session().await?.clone()
            }
            session => session?.clone(),
        };
        self.seeded_after_open(&session).await?;
        Ok(session)
    }

    /// What a handler does that wants to know the outcome: commits in the middle of the request.
    pub(super) async fn commit(&self) -> Result<(), Error> {
        self.node.manager().commit(self.request().session().await?).await
    }

    /// What a guard of a sensitive action does: reads the session once more.
    pub(super) async fn reload(&self) -> Result<(), Error> {
        if self.has(RequestFault::ReloadFromMemory) {
            return Ok(());
        }
        self.node.manager().reload(self.request().session().await?).await
    }

    /// Runs a handler that asks for the session and does `work` with it, and responds.
    pub(super) async fn handle<T>(self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Reply<T> {
        let handled = match self.session().await {
            Ok(session) => work(&session),
            Err(error) => Err(error),
        };
        self.respond(handled).await
    }

    /// What an adapter does when the handler is done, whatever it led to.
    pub(super) async fn respond<T>(self, handled: Result<T, Error>) -> Reply<T> {
        let error = handled.as_ref().err();
        let answer = match self.seeded_before_finish(error).await {
            Ok(None) => {
                let (committed, headers) = self.request().finish().await;
                let set_cookie = headers.set_cookie.map(|cookie| cookie.expose().to_owned());
                Answer { committed, set_cookie, vary: headers.vary_cookie }
            }
            Ok(Some(answer)) => answer,
            Err(error) => Answer { committed: Err(error), set_cookie: None, vary: true },
        };
        let Answer { committed, set_cookie, vary } = self.seeded_after_finish(error, answer).await;
        Reply { result: handled.and_then(|value| committed.map(|()| value)), set_cookie, vary }
    }

    pub(super) fn has(&self, fault: RequestFault) -> bool {
        self.node.inner.fault == Some(fault)
    }

    pub(super) fn request(&self) -> &RequestSession {
        self.instead.get().unwrap_or(&self.request)
    }

    /// Seeded: forgets what was presented.
    pub(super) fn start_afresh(&self) -> &RequestSession {
        self.instead.get_or_init(|| RequestSession::new(self.node.manager().clone(), PresentedCookie::Nothing))
    }
}

/// How the end of a request went.
pub(super) struct Answer {
    pub(super) committed: Result<(), Error>,
    pub(super) set_cookie: Option<String>,
    pub(super) vary: bool,
}

/// A response.
pub(super) struct Reply<T> {
    /// What the handler led to, or else the commit.
    pub(super) result: Result<T, Error>,
    /// `Set-Cookie`.
    pub(super) set_cookie: Option<String>,
    /// `Vary: Cookie`.
    pub(super) vary: bool,
}
