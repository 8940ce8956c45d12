//! [`StoreOp`]: one operation of a [`SessionStore`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{
    CreateOutcome, CreateRequest, Data, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};
use session_core::{
    Clock as _, DeleteOutcome, IssuedRefreshToken, LimitPolicy, Login, OsEntropy, Policy, PresentedToken,
    SessionManager, SystemClock, Timestamp, UserId,
};

use crate::op::{Failure, Op, SESSIONS_PER_WORKER};
use crate::payload::{Payload, record, user};
use crate::populate::create;
use crate::servers::STORE_TIMEOUT;

/// Which operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOpKind {
    /// Loads a session by its id, as a request does: a copy will do.
    Load,
    /// Records later activity.
    Touch,
    /// Replaces the values, by compare-and-swap.
    Update,
    /// Creates an anonymous session.
    Create,
    /// Creates a session of a user in place of the one before, under the session limit of the policy.
    Login,
    /// Deletes a session.
    Delete,
    /// Lists the sessions of a user who has one.
    List,
    /// Rotates a refresh token: a load and an update.
    Refresh,
}

impl StoreOpKind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 8] =
        [Self::Load, Self::Touch, Self::Update, Self::Create, Self::Login, Self::Delete, Self::List, Self::Refresh];

    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "store-load",
            Self::Touch => "store-touch",
            Self::Update => "store-update",
            Self::Create => "store-create",
            Self::Login => "store-login",
            Self::Delete => "store-delete",
            Self::List => "store-list",
            Self::Refresh => "store-refresh",
        }
    }

    /// What a worker needs for `count` calls: sessions that are stored beforehand, and records that are not yet.
    pub(crate) fn sessions(self, count: usize) -> (usize, usize) {
        match self {
            Self::Load | Self::Touch | Self::Update | Self::Refresh => (SESSIONS_PER_WORKER, 0),
            Self::Create => (0, count),
            Self::Login => (1, count),
            Self::Delete => (count, 0),
            Self::List => (1, 0),
        }
    }
}

/// One operation of a store.
#[derive(Debug)]
pub(crate) struct StoreOp {
    store: Arc<dyn SessionStore>,
    manager: SessionManager,
    kind: StoreOpKind,
    /// How many sessions each worker's user has beside the one that is measured.
    others: usize,
    data: Data,
}

/// The user of one worker, and their sessions.
#[derive(Debug)]
pub(crate) struct Worker {
    user: UserId,
    stored: VecDeque<Record>,
    /// Index of the next session, for operations that leave them where they are.
    next: usize,
    fresh: VecDeque<Record>,
    seen: Timestamp,
    refresh_token: Option<IssuedRefreshToken>,
}

impl StoreOp {
    pub(crate) fn new(store: Arc<dyn SessionStore>, kind: StoreOpKind) -> Result<Self, Failure> {
        let manager = SessionManager::builder(Arc::clone(&store)).policy(policy()?).build();
        Ok(Self { store, manager, kind, others: 0, data: Payload::new()?.data()? })
    }

    /// The same, for users who have this many more sessions.
    pub(crate) fn with_others(self, others: usize) -> Self {
        Self { others, ..self }
    }

    fn records(&self, count: usize, owner: Option<&UserId>, now: Timestamp) -> Result<VecDeque<Record>, Failure> {
        (0..count).map(|_| record(owner, &self.data, now)).collect()
    }

    async fn refresh(&self, worker: &mut Worker) -> Result<(), Failure> {
        let issued = worker.refresh_token.take().ok_or("no refresh token")?;
        let token = PresentedToken::parse(issued.token.encode().expose().as_bytes())?;
        let verified = self.manager.verify_refresh_token(&token).await?.ok_or("refresh: the token is invalid")?;
        let next = self.manager.rotate(verified).await?.ok_or("refresh: the session is gone")?;
        expect("refresh", next.token.id() == token.id())?;
        worker.refresh_token = Some(next);
        Ok(())
    }
}

/// The policy of all benchmarks: the standard one, with a session limit that is enforced and never reached.
pub(crate) fn policy() -> Result<Policy, Failure> {
    let policy = Policy::standard().to_builder();
    Ok(policy.session_limit(100, LimitPolicy::EvictLeastRecent).store_timeout(STORE_TIMEOUT).build()?)
}

impl Op for StoreOp {
    type Worker = Worker;

    async fn worker(&self, number: usize, count: usize) -> Result<Worker, Failure> {
        let now = SystemClock.now();
        // Unique to this round, so that the user has no sessions of an earlier one.
        let user = UserId::new(format!("{}-{}", user(number)?.as_str(), record(None, &self.data, now)?.id()))?;
        let owner = matches!(self.kind, StoreOpKind::Login | StoreOpKind::List).then_some(&user);
        let (mut stored, fresh) = self.kind.sessions(count);
        let mut refresh_token = None;
        if self.kind == StoreOpKind::Refresh {
            // The only session of this worker is the one of its refresh token.
            stored = 0;
            let login = Login::new(user.clone()).method("pwd");
            refresh_token = Some(self.manager.issue_refresh_token(login, None).await?);
        }
        let (stored, fresh) = (self.records(stored, owner, now)?, self.records(fresh, owner, now)?);
        for record in stored.iter().chain(&self.records(self.others, owner, now)?) {
            create(&*self.store, record).await?;
        }
        Ok(Worker { user, stored, next: 0, fresh, seen: now, refresh_token })
    }

    async fn once(&self, worker: &mut Worker) -> Result<(), Failure> {
        let store = &self.store;
        // Reading the clock counts where the operation takes the time.
        let now = || SystemClock.now();
        match self.kind {
            StoreOpKind::Load => {
                let id = worker.next()?.id();
                let loaded = store.load(&id, Freshness::Cached).await?.ok_or("load: absent")?;
                expect("load", loaded.id() == id)
            }
            StoreOpKind::Touch => {
                let seen = worker.seen + Duration::from_millis(1);
                worker.seen = seen;
                let record = worker.next()?;
                expect("touch", store.touch(&record.id(), record.user(), seen).await? == TouchOutcome::Applied)
            }
            StoreOpKind::Update => {
                let record = worker.next()?;
                let expected = record.version;
                record.version = expected.next(&OsEntropy)?;
                expect("update", store.update(record, expected, now()).await? == UpdateOutcome::Applied)
            }
            StoreOpKind::Create => {
                let record = worker.fresh.pop_front().ok_or("no record left")?;
                create(&**store, &record).await
            }
            StoreOpKind::Login => {
                let (old, new) = (worker.take()?, worker.fresh.pop_front().ok_or("no record left")?);
                let replaces = Some(Replacement { id: old.id(), user: old.user(), version: old.version });
                let limit = Some(self.manager.policy().session_limit());
                let created =
                    store.create(CreateRequest { record: &new, replaces, limit, visitors: None }, now()).await?;
                worker.stored.push_back(new);
                expect("login", created == CreateOutcome::Created { evicted: Vec::new() })
            }
            StoreOpKind::Delete => {
                let record = worker.take()?;
                expect("delete", store.delete(&record.id(), record.user()).await? == DeleteOutcome::Deleted)
            }
            StoreOpKind::List => {
                let listing = store.list_by_user(&worker.user, now()).await?;
                expect("list", listing.sessions.len() == 1 + self.others)
            }
            StoreOpKind::Refresh => self.refresh(worker).await,
        }
    }
}

impl Worker {
    /// Its sessions in turn, left in place: moving a record is not part of the operation.
    fn next(&mut self) -> Result<&mut Record, Failure> {
        let at = self.next % self.stored.len().max(1);
        self.next = at + 1;
        Ok(self.stored.get_mut(at).ok_or("no session left")?)
    }

    /// Its first session, removed.
    fn take(&mut self) -> Result<Record, Failure> {
        Ok(self.stored.pop_front().ok_or("no session left")?)
    }
}

fn expect(operation: &str, right: bool) -> Result<(), Failure> {
    if right { Ok(()) } else { Err(format!("{operation}: wrong outcome").into()) }
}
