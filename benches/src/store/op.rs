//! [`StoreOp`]: one operation of a [`SessionStore`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::{
    CreateOutcome, CreateRequest, Data, Freshness, Record, Replacement, SessionStore, TouchOutcome, UpdateOutcome,
};
use session_core::{
    Clock as _, DeleteOutcome, IssuedRefreshToken, LimitPolicy, Login, OsEntropy, Policy, SessionManager, SystemClock,
    Timestamp, UserId,
};

use crate::fill::create;
use crate::op::{Failure, Op};
use crate::payload::{Payload, record, user};
use crate::servers::PATIENCE;

/// How many sessions each worker goes through in turn, where it needs no more: 64 workers have a thousand.
pub(crate) const PER_WORKER: usize = 16;

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOpKind {
    /// A session by its id.
    Load,
    /// Later activity.
    Touch,
    /// Other values, by compare-and-swap.
    Update,
    /// A visitor's first session.
    Create,
    /// A new session of a user in exchange for the one before, under the limit of the policy.
    Login,
    /// The end of a session.
    Delete,
    /// The sessions of a user who has one.
    List,
    /// A refresh token for the next one: a load and an update.
    Refresh,
}

impl StoreOpKind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 8] =
        [Self::Load, Self::Touch, Self::Update, Self::Create, Self::Login, Self::Delete, Self::List, Self::Refresh];

    /// As the report calls it.
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
}

/// One operation of a store.
#[derive(Debug)]
pub(crate) struct StoreOp {
    store: Arc<dyn SessionStore>,
    manager: SessionManager,
    kind: StoreOpKind,
    /// How many sessions the user of a worker has beside the one that the operation is about.
    others: usize,
    data: Data,
}

/// The sessions of one worker, and whose they are.
#[derive(Debug)]
pub(crate) struct Worker {
    user: UserId,
    records: VecDeque<Record>,
    /// Which of them is next, where they stay the same.
    next: usize,
    fresh: VecDeque<Record>,
    seen: Timestamp,
    grant: Option<IssuedRefreshToken>,
}

impl StoreOp {
    /// An operation of this store.
    ///
    /// # Errors
    /// Never.
    pub(crate) fn new(store: Arc<dyn SessionStore>, kind: StoreOpKind) -> Result<Self, Failure> {
        let manager = SessionManager::builder(Arc::clone(&store)).policy(policy()?).build();
        Ok(Self { store, manager, kind, others: 0, data: Payload::new()?.data()? })
    }

    /// The same, with users who have this many sessions more.
    #[must_use]
    pub(crate) fn with_others(self, others: usize) -> Self {
        Self { others, ..self }
    }
}

/// The policy of all measurements: the standard one, with a limit that none of them reaches. It is counted all the same.
///
/// # Errors
/// Never.
pub(crate) fn policy() -> Result<Policy, Failure> {
    Ok(Policy::standard()
        .to_builder()
        .session_limit(100, LimitPolicy::EvictLeastRecent)
        .store_timeout(PATIENCE)
        .build()?)
}

impl Op for StoreOp {
    type Worker = Worker;

    async fn worker(&self, number: usize, count: usize) -> Result<Worker, Failure> {
        let now = SystemClock.now();
        // Of this round alone: its sessions are its own.
        let user = UserId::new(format!("{}-{}", user(number)?.as_str(), record(None, &self.data, now)?.summary.id))?;
        let owner = match self.kind {
            StoreOpKind::Login | StoreOpKind::List => Some(&user),
            StoreOpKind::Load
            | StoreOpKind::Touch
            | StoreOpKind::Update
            | StoreOpKind::Create
            | StoreOpKind::Delete
            | StoreOpKind::Refresh => None,
        };
        let (stored, fresh) = match self.kind {
            StoreOpKind::Create => (0, count),
            StoreOpKind::Login => (1, count),
            StoreOpKind::List => (1, 0),
            StoreOpKind::Delete => (count, 0),
            StoreOpKind::Load | StoreOpKind::Touch | StoreOpKind::Update => (PER_WORKER, 0),
            StoreOpKind::Refresh => (0, 0),
        };
        let make =
            |count: usize| (0..count).map(|_| record(owner, &self.data, now)).collect::<Result<VecDeque<_>, Failure>>();
        let records = make(stored)?;
        for record in records.iter().chain(&make(self.others)?) {
            create(&*self.store, record).await?;
        }
        let mut grant = None;
        if self.kind == StoreOpKind::Refresh {
            grant = Some(self.manager.issue_refresh_token(Login::new(user.clone()).method("pwd"), None).await?);
        }
        Ok(Worker { fresh: make(fresh)?, user, records, next: 0, seen: now, grant })
    }

    async fn once(&self, worker: &mut Worker) -> Result<(), Failure> {
        let store = &self.store;
        // Whoever calls a store has the time already; it is read here where the store is given it.
        let now = || SystemClock.now();
        match self.kind {
            StoreOpKind::Load => {
                let id = worker.next()?.summary.id;
                let loaded = store.load(&id, Freshness::Latest).await?.ok_or("load: it is not there")?;
                expect("load", loaded.summary.id == id)?;
            }
            StoreOpKind::Touch => {
                let seen = worker.seen + Duration::from_millis(1);
                worker.seen = seen;
                let record = worker.next()?;
                let touched = store.touch(&record.summary.id, record.user(), seen).await?;
                expect("touch", touched == TouchOutcome::Applied)?;
            }
            StoreOpKind::Update => {
                let record = worker.next()?;
                let expected = record.version;
                record.version = expected.next(&OsEntropy)?;
                expect("update", store.update(record, expected, now()).await? == UpdateOutcome::Applied)?;
            }
            StoreOpKind::Create => {
                let record = worker.fresh.pop_front().ok_or("no record left")?;
                create(&**store, &record).await?;
            }
            StoreOpKind::Login => {
                let (record, next) = (worker.session()?, worker.fresh.pop_front().ok_or("no record left")?);
                let replaces = Replacement { id: record.summary.id, user: record.user(), version: record.version };
                let limit = Some(self.manager.policy().session_limit());
                let admission = CreateRequest { record: &next, replaces: Some(replaces), limit };
                let admitted = store.create(admission, now()).await?;
                expect("login", admitted == CreateOutcome::Created { evicted: Vec::new() })?;
                worker.records.push_back(next);
            }
            StoreOpKind::Delete => {
                let record = worker.session()?;
                expect("delete", store.delete(&record.summary.id, record.user()).await? == DeleteOutcome::Deleted)?;
            }
            StoreOpKind::List => {
                let sessions = store.list_by_user(&worker.user, now()).await?;
                expect("list", sessions.len() == 1 + self.others)?;
            }
            StoreOpKind::Refresh => self.refresh(worker).await?,
        }
        Ok(())
    }
}

impl Worker {
    /// Its sessions in turn, where they are: what moving a record costs is not the store's.
    fn next(&mut self) -> Result<&mut Record, Failure> {
        let at = self.next % self.records.len().max(1);
        self.next = at + 1;
        Ok(self.records.get_mut(at).ok_or("no session left")?)
    }

    /// The first of its sessions; whoever goes on with one puts it back.
    fn session(&mut self) -> Result<Record, Failure> {
        Ok(self.records.pop_front().ok_or("no session left")?)
    }
}

impl StoreOp {
    async fn refresh(&self, worker: &mut Worker) -> Result<(), Failure> {
        let grant = worker.grant.take().ok_or("no refresh token")?;
        let token = session_core::PresentedToken::parse(grant.token.encode().expose().as_bytes())?;
        let refresh = self.manager.verify_refresh_token(&token).await?.ok_or("refresh: the token is not valid")?;
        let next = self.manager.rotate(refresh).await?.ok_or("refresh: the session is gone")?;
        expect("refresh", next.token.id() == token.id())?;
        worker.grant = Some(next);
        Ok(())
    }
}

fn expect(what: &str, right: bool) -> Result<(), Failure> {
    if right { Ok(()) } else { Err(format!("{what}: an outcome that is not right").into()) }
}
