//! [`TestStore`]: what a store case works with.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Page, Record, Replacement, SessionStore, TouchOutcome,
    UpdateOutcome, Version,
};
use session_core::{DeleteOutcome, OsEntropy, SessionId, SessionLimit, SessionSummary, StoreError, Timestamp, UserId};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::compare::{difference, ensure_same_ids};
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::record::RecordBuilder;

/// The answer to a `create` that evicts nothing.
pub(crate) const CREATED: CreateOutcome = CreateOutcome::Created { evicted: Vec::new() };

/// A node of the store under test, called at the time of its case. Clones are the same node.
#[derive(Clone)]
pub(crate) struct TestStore {
    env: Env,
    store: Arc<dyn SessionStore>,
    /// The user of most cases.
    pub(crate) alice: UserId,
}

/// Nodes and time.
impl TestStore {
    /// The store of this case.
    pub(crate) async fn open(env: Env) -> Result<Self, Failure> {
        let store = env.store().await?;
        Self::over(&env, store)
    }

    /// Another store of this case.
    pub(crate) fn over(env: &Env, store: Arc<dyn SessionStore>) -> Result<Self, Failure> {
        Ok(Self { env: env.clone(), store, alice: env.user("alice")? })
    }

    /// Another node. The case must need [`Shared`](crate::Need::Shared).
    pub(crate) async fn open_node(&self) -> Result<Self, Failure> {
        Ok(Self { store: self.env.open_node().await?, ..self.clone() })
    }

    /// Whether there may be another node.
    pub(crate) fn is_shared(&self) -> bool {
        self.env.is_shared()
    }

    /// How long what is written here may stay unknown to reads on another node.
    pub(crate) fn staleness(&self) -> Duration {
        self.env.staleness()
    }

    /// Another tenant.
    pub(crate) async fn other_tenant(&self) -> Result<Self, Failure> {
        Ok(Self { store: self.env.other_tenant().await?, ..self.clone() })
    }

    /// The store after a restart of its process. The case must need [`Durable`](crate::Need::Durable).
    pub(crate) async fn reopen(self) -> Result<Self, Failure> {
        let Self { env, store, .. } = self;
        drop(store);
        env.close().await;
        Self::open(env).await
    }

    /// The store itself.
    pub(crate) fn handle(&self) -> &dyn SessionStore {
        self.store.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.env.now()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.env.clock().advance(by);
    }

    pub(crate) fn set_time(&self, now: Timestamp) {
        self.env.clock().set(now);
    }
}

/// Users and records.
impl TestStore {
    pub(crate) fn user(&self, name: &str) -> Result<UserId, Failure> {
        self.env.user(name)
    }

    /// An anonymous session that begins now.
    pub(crate) fn anonymous(&self) -> RecordBuilder {
        self.env.record()
    }

    /// A session of alice that begins now.
    pub(crate) fn session(&self) -> RecordBuilder {
        self.session_of(&self.alice)
    }

    /// A session of `user` that begins now.
    pub(crate) fn session_of(&self, user: &UserId) -> RecordBuilder {
        self.env.record().of(user)
    }

    /// Stores a new session.
    pub(crate) async fn insert(&self, session: RecordBuilder) -> Result<Record, Failure> {
        let record = session.build()?;
        ensure_eq!(self.create(&record).await?, CREATED, "`create` of a new session");
        Ok(record)
    }

    /// Stores `n` new sessions.
    pub(crate) async fn insert_many(&self, n: usize, session: &RecordBuilder) -> Result<Vec<Record>, Failure> {
        let mut records = Vec::with_capacity(n);
        for _ in 0..n {
            records.push(self.insert(session.clone()).await?);
        }
        Ok(records)
    }

    /// Updates `record`, which must be current, and returns it as it is stored then.
    pub(crate) async fn updated(&self, record: &Record) -> Result<Record, Failure> {
        let next = next(record)?;
        let answer = self.update(&next, record.version).await?;
        ensure_eq!(answer, UpdateOutcome::Applied, "`update` of the current version");
        Ok(next)
    }

    /// Touches `record`, which must be alive, and returns it as it is stored then.
    pub(crate) async fn touched(&self, record: &Record) -> Result<Record, Failure> {
        ensure_eq!(self.touch(record).await?, TouchOutcome::Applied, "`touch` of a live session");
        Ok(record.clone().touched(self.now()))
    }

    /// Deletes `record`, which must be there.
    pub(crate) async fn deleted(&self, record: &Record) -> Outcome {
        ensure_eq!(self.delete(record).await?, DeleteOutcome::Deleted, "`delete` of a stored session");
        Ok(())
    }
}

/// Calls.
impl TestStore {
    pub(crate) async fn load(&self, id: SessionId) -> Result<Option<Record>, Failure> {
        Ok(self.store.load(&id, Freshness::Latest).await?)
    }

    pub(crate) async fn create(&self, record: &Record) -> Result<CreateOutcome, Failure> {
        self.request(CreateRequest::new(record)).await
    }

    /// `create` under a limit.
    pub(crate) async fn login(&self, record: &Record, limit: SessionLimit) -> Result<CreateOutcome, Failure> {
        self.request(CreateRequest::new(record).within(limit)).await
    }

    /// `create` in exchange for `old`.
    pub(crate) async fn replace(&self, old: &Record, new: &Record) -> Result<CreateOutcome, Failure> {
        self.request(CreateRequest::new(new).replacing(Replacement::of(old))).await
    }

    /// `create` in exchange for `old` under a limit.
    pub(crate) async fn replace_within(
        &self,
        limit: SessionLimit,
        old: &Record,
        new: &Record,
    ) -> Result<CreateOutcome, Failure> {
        self.request(CreateRequest::new(new).replacing(Replacement::of(old)).within(limit)).await
    }

    async fn request(&self, request: CreateRequest<'_>) -> Result<CreateOutcome, Failure> {
        Ok(self.store.create(request, self.now()).await?)
    }

    pub(crate) async fn update(&self, record: &Record, expected: Version) -> Result<UpdateOutcome, Failure> {
        Ok(self.store.update(record, expected, self.now()).await?)
    }

    pub(crate) async fn touch(&self, record: &Record) -> Result<TouchOutcome, Failure> {
        self.touch_at(record, self.now()).await
    }

    /// `touch` at another time than that of the case.
    pub(crate) async fn touch_at(&self, record: &Record, seen: Timestamp) -> Result<TouchOutcome, Failure> {
        Ok(self.store.touch(&record.id(), record.user(), seen).await?)
    }

    pub(crate) async fn delete(&self, record: &Record) -> Result<DeleteOutcome, Failure> {
        self.delete_as(record.user(), record).await
    }

    /// `delete` in the name of another user.
    pub(crate) async fn delete_as(&self, user: Option<&UserId>, record: &Record) -> Result<DeleteOutcome, Failure> {
        Ok(self.store.delete(&record.id(), user).await?)
    }

    pub(crate) async fn list(&self, user: &UserId) -> Result<Vec<SessionSummary>, Failure> {
        Ok(self.store.list_by_user(user, self.now()).await?.sessions)
    }

    /// `delete_by_user`. The ids of what it returned.
    pub(crate) async fn revoke(&self, user: &UserId) -> Result<Vec<SessionId>, Failure> {
        Ok(self.store.delete_by_user(user, None, self.now()).await?.ids())
    }

    /// `delete_by_user` of all sessions but one.
    pub(crate) async fn revoke_except(&self, keep: &Record, user: &UserId) -> Result<Vec<SessionId>, Failure> {
        Ok(self.store.delete_by_user(user, Some(&keep.id()), self.now()).await?.ids())
    }

    /// `list_all`.
    pub(crate) async fn page(&self, after: Option<&Cursor>, limit: u32) -> Result<Page, StoreError> {
        let limit = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
        self.store.list_all(after, limit, self.now()).await
    }

    pub(crate) async fn count(&self) -> Result<Count, Failure> {
        Ok(self.store.count(self.now()).await?)
    }

    pub(crate) async fn delete_expired(&self, limit: u32) -> Result<u64, Failure> {
        let limit = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
        Ok(self.store.delete_expired(self.now(), limit).await?)
    }

    /// Runs a task for each of `items` at once. See [`run_concurrently`].
    pub(crate) async fn run_concurrently<I, T, F>(
        &self,
        items: impl IntoIterator<Item = I>,
        task: impl Fn(Self, I) -> F,
    ) -> Result<Vec<T>, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let tasks: Vec<F> = items.into_iter().map(|item| task(self.clone(), item)).collect();
        run_concurrently(tasks).await
    }
}

/// Checks.
impl TestStore {
    /// The session of `record` as it is stored. It must be there.
    pub(crate) async fn stored(&self, record: &Record, when: &str) -> Result<Record, Failure> {
        self.load(record.id()).await?.ok_or_else(|| Failure::new(format!("{when}: the session is gone")))
    }

    /// The session is stored exactly like this.
    pub(crate) async fn assert_stored(&self, expected: &Record, when: &str) -> Outcome {
        match difference(&self.stored(expected, when).await?, expected)? {
            Some(field) => Err(Failure::new(format!("{when}: the stored {field} is not the expected one"))),
            None => Ok(()),
        }
    }

    pub(crate) async fn assert_all_stored(&self, expected: &[Record], when: &str) -> Outcome {
        for record in expected {
            self.assert_stored(record, when).await?;
        }
        Ok(())
    }

    /// The session cannot be loaded.
    pub(crate) async fn assert_gone(&self, record: &Record, when: &str) -> Outcome {
        ensure!(self.load(record.id()).await?.is_none(), "{when}: the session is still there");
        Ok(())
    }

    pub(crate) async fn assert_all_gone(&self, records: &[Record], when: &str) -> Outcome {
        for record in records {
            self.assert_gone(record, when).await?;
        }
        Ok(())
    }

    /// `list_by_user` returns exactly these sessions, each once.
    pub(crate) async fn assert_lists(
        &self,
        user: &UserId,
        expected: impl IntoIterator<Item = &Record>,
        when: &str,
    ) -> Outcome {
        let expected: Vec<SessionId> = expected.into_iter().map(Record::id).collect();
        let listed = self.list(user).await?;
        ensure_same_ids(listed.iter().map(|session| session.id), expected, &format!("{when}: the list"))
    }
}

/// The record of the next update: the same content, the next version.
pub(crate) fn next(record: &Record) -> Result<Record, Failure> {
    Ok(Record { version: record.version.next(&OsEntropy)?, ..record.clone() })
}

/// Runs `tasks` at once, each as a task of its own that starts when all are ready. Returns the results in their order.
pub(crate) async fn run_concurrently<T, F>(tasks: Vec<F>) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(tasks.len()));
    // Ends its tasks when it is dropped.
    let mut running = JoinSet::new();
    for (at, task) in tasks.into_iter().enumerate() {
        let start = Arc::clone(&start);
        running.spawn(async move {
            start.wait().await;
            (at, task.await)
        });
    }
    let mut results = Vec::new();
    while let Some(finished) = running.join_next().await {
        results.push(finished?);
    }
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
