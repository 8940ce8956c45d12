//! [`Node`]: one server process, of which a case can break any part.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::store::{Freshness, Record, SessionStore};
use session_core::{
    Entropy, EntropyError, Event, OsEntropy, Policy, SessionId, SessionManager, SessionObserver, StoreError,
    StoreErrorKind,
};

use crate::env::Env;
use crate::intercept::{Intercept, Intercepted, StoreCall};
use crate::outcome::{Failure, Outcome, ensure_eq};

/// A server process: a manager, whose store, random generator and events the case can watch. Cheap to clone.
#[derive(Clone)]
pub(super) struct Node {
    env: Env,
    manager: SessionManager,
    store: Arc<Intercepted<Parts>>,
}

impl Node {
    /// With [`Policy::standard`], over the store of the case.
    pub(super) async fn standard(env: &Env) -> Result<Self, Failure> {
        Self::start(env, Policy::standard()).await
    }

    /// With this policy, over the store of the case.
    pub(super) async fn start(env: &Env, policy: Policy) -> Result<Self, Failure> {
        Ok(Self::build(env, env.store().await?, policy))
    }

    /// With [`Policy::standard`], over a handle of its own. The case must need [`Shared`](crate::Need::Shared).
    pub(super) async fn with_own_handle(env: &Env) -> Result<Self, Failure> {
        Ok(Self::over(env, env.open_node().await?))
    }

    /// With [`Policy::standard`], over this store.
    pub(super) fn over(env: &Env, store: Arc<dyn SessionStore>) -> Self {
        Self::build(env, store, Policy::standard())
    }

    fn build(env: &Env, store: Arc<dyn SessionStore>, policy: Policy) -> Self {
        let parts = Parts::default();
        let store = Arc::new(Intercepted::new(store, parts.clone()));
        let manager = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>)
            .policy(policy)
            .clock(env.clock().clone())
            .entropy(parts.clone())
            .observer(parts)
            .build();
        Self { env: env.clone(), manager, store }
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    pub(super) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// The store itself: its operations neither fail nor count as calls.
    pub(super) fn store(&self) -> &dyn SessionStore {
        self.store.store()
    }

    /// Breaks a part of this node.
    pub(super) fn inject(&self, fault: InjectedFault) {
        self.state().fault = Some(fault);
    }

    /// Makes everything work again.
    pub(super) fn heal(&self) {
        self.state().fault = None;
    }

    /// Whether apps talk to token routes of an adapter, and not to the manager.
    pub(super) fn has_token_routes(&self) -> bool {
        self.env.adapter().has_token_routes()
    }

    /// Whether there are no random bytes.
    pub(super) fn is_without_entropy(&self) -> bool {
        matches!(self.state().fault, Some(InjectedFault::NoEntropy))
    }

    /// The names of the store operations since the last call of this, in order.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state().calls)
    }

    /// The events since the last call of this.
    pub(super) fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    /// The ids of the user's live sessions, most recently used first.
    pub(super) async fn sessions(&self, user: &str) -> Result<Vec<SessionId>, Failure> {
        Ok(self.manager.list(&self.env.user(user)?).await?.iter().map(|session| session.id).collect())
    }

    /// The user has so many live sessions.
    pub(super) async fn assert_sessions(&self, user: &str, number: usize, when: &str) -> Outcome {
        ensure_eq!(self.sessions(user).await?.len(), number, "sessions {when}");
        Ok(())
    }

    /// Ends all sessions of the user, and returns how many there were.
    pub(super) async fn revoke_all(&self, user: &str) -> Result<usize, Failure> {
        Ok(self.manager.revoke_all(&self.env.user(user)?).await?)
    }

    /// The record of a session that must be stored.
    pub(super) async fn stored(&self, id: &SessionId) -> Result<Record, Failure> {
        Ok(self.store().load(id, Freshness::Latest).await?.ok_or("a session is not stored")?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.store.hook().state()
    }
}

/// How a part of a node fails.
#[derive(Clone, Debug)]
pub(super) enum InjectedFault {
    /// Every store operation fails before it is executed.
    Unavailable,
    /// The store operation of this name fails before it is executed.
    UnavailableAt(&'static str),
    /// No store operation ever returns.
    Hang,
    /// Every store operation is executed, and its reply lost.
    LoseReplies,
    /// No record can be decoded.
    Corrupt,
    /// Replies are mixed up: every load returns this record.
    WrongRecord(Box<Record>),
    /// There are no random bytes.
    NoEntropy,
    /// The next random bytes begin like the first ones ever: with the id of the first session.
    RepeatFirstId,
    /// The audit sink panics at every event.
    BrokenAudit,
}

/// What a manager stands on. Works until a fault is injected. Clones are the same parts.
#[derive(Clone, Debug, Default)]
struct Parts {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<InjectedFault>,
    calls: Vec<&'static str>,
    events: Vec<Event>,
    first_id: Option<[u8; 16]>,
}

impl Parts {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Yields before and after each operation, so that requests interleave and can be dropped there.
impl Intercept for Parts {
    async fn intercept<T: Send>(
        &self,
        call: StoreCall<'_>,
        execute: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let failed = |kind| Err(StoreError::new(kind, "injected fault"));
        let fault = {
            let mut state = self.state();
            state.calls.push(call.operation);
            state.fault.clone()
        };
        tokio::task::yield_now().await;
        let result = match fault {
            Some(InjectedFault::Unavailable) => failed(StoreErrorKind::Unavailable),
            Some(InjectedFault::UnavailableAt(name)) if name == call.operation => failed(StoreErrorKind::Unavailable),
            Some(InjectedFault::Hang) => std::future::pending().await,
            Some(InjectedFault::LoseReplies) => execute.await.and(failed(StoreErrorKind::Timeout)),
            Some(InjectedFault::Corrupt) => failed(StoreErrorKind::Corrupt),
            Some(
                InjectedFault::UnavailableAt(_)
                | InjectedFault::WrongRecord(_)
                | InjectedFault::NoEntropy
                | InjectedFault::RepeatFirstId
                | InjectedFault::BrokenAudit,
            )
            | None => execute.await,
        };
        tokio::task::yield_now().await;
        result
    }

    fn loaded(&self, record: Option<Record>) -> Option<Record> {
        if let Some(InjectedFault::WrongRecord(other)) = &self.state().fault { Some((**other).clone()) } else { record }
    }
}

impl Entropy for Parts {
    fn fill(&self, dest: &mut [u8]) -> Result<(), EntropyError> {
        OsEntropy.fill(dest)?;
        let mut state = self.state();
        if let Some(InjectedFault::NoEntropy) = state.fault {
            return Err(EntropyError);
        }
        let Some(id) = dest.first_chunk_mut() else { return Ok(()) };
        let first_id = *state.first_id.get_or_insert(*id);
        if state.fault.take_if(|fault| matches!(fault, InjectedFault::RepeatFirstId)).is_some() {
            *id = first_id;
        }
        Ok(())
    }
}

impl SessionObserver for Parts {
    fn on_event(&self, event: &Event) {
        let mut state = self.state();
        if let Some(InjectedFault::BrokenAudit) = state.fault {
            drop(state);
            // A panic without the panic hook: it is intended, and must not show in the output of the suite.
            std::panic::resume_unwind(Box::new("the audit sink is broken"));
        }
        state.events.push(event.clone());
    }
}
