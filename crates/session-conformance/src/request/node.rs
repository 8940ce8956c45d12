//! [`Node`]: one server process.

use std::sync::Arc;

use session_core::store::{Freshness, Record, SessionStore};
use session_core::{Entropy, Event, OsEntropy, Policy, SessionId, SessionManager};

use super::entropy::TestEntropy;
use super::faulty_store::{Connection, FaultyStore, InjectedFault};
use super::recorder::Recorder;
use crate::env::Env;
use crate::outcome::Failure;

/// A server process: a manager, whose store and events the case can watch. Cheap to clone.
#[derive(Clone)]
pub(super) struct Node {
    env: Env,
    manager: SessionManager,
    store: Arc<FaultyStore>,
    recorder: Recorder,
}

impl Node {
    /// With [`Policy::standard`], over the store of the case.
    pub(super) async fn standard(env: &Env) -> Result<Self, Failure> {
        Self::start(env, Policy::standard()).await
    }

    /// With this policy, over the store of the case.
    pub(super) async fn start(env: &Env, policy: Policy) -> Result<Self, Failure> {
        Ok(Self::build(env, env.store().await?, policy, OsEntropy))
    }

    /// With this policy and random generator, over the store of the case.
    pub(super) async fn with_entropy(env: &Env, policy: Policy, entropy: &TestEntropy) -> Result<Self, Failure> {
        Ok(Self::build(env, env.store().await?, policy, entropy.clone()))
    }

    /// With [`Policy::standard`], over this store.
    pub(super) fn over(env: &Env, store: Arc<dyn SessionStore>) -> Self {
        Self::build(env, store, Policy::standard(), OsEntropy)
    }

    fn build(env: &Env, store: Arc<dyn SessionStore>, policy: Policy, entropy: impl Entropy) -> Self {
        let (store, recorder) = (Arc::new(FaultyStore::new(store, Connection::default())), Recorder::default());
        let manager = SessionManager::builder(Arc::clone(&store) as Arc<dyn SessionStore>)
            .policy(policy)
            .clock(env.clock().clone())
            .entropy(entropy)
            .observer(recorder.clone())
            .build();
        Self { env: env.clone(), manager, store, recorder }
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

    /// Makes the store of this node fail.
    pub(super) fn inject(&self, fault: InjectedFault) {
        self.store.hook().inject(fault);
    }

    /// Makes the store of this node work again.
    pub(super) fn heal(&self) {
        self.store.hook().heal();
    }

    /// The store operations since the last call of this.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.store.hook().calls()
    }

    /// The events since the last call of this.
    pub(super) fn events(&self) -> Vec<Event> {
        self.recorder.take()
    }

    /// Makes the audit sink panic at every later event.
    pub(super) fn break_audit(&self) {
        self.recorder.break_down();
    }

    /// The ids of the user's live sessions, most recently used first.
    pub(super) async fn sessions(&self, user: &str) -> Result<Vec<SessionId>, Failure> {
        Ok(self.manager.list(&self.env.user(user)?).await?.iter().map(|session| session.id).collect())
    }

    /// Ends all sessions of the user, and returns how many there were.
    pub(super) async fn revoke_all(&self, user: &str) -> Result<usize, Failure> {
        Ok(self.manager.revoke_all(&self.env.user(user)?).await?)
    }

    /// The record of a session that must be stored.
    pub(super) async fn stored(&self, id: &SessionId) -> Result<Record, Failure> {
        Ok(self.store().load(id, Freshness::Latest).await?.ok_or("a session is not stored")?)
    }
}
