//! Live sessions move from one store to another: the whole suite meanwhile, and a crowd that does not notice.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_conformance::{Capabilities, CaseReport, Failure, Harness, Options, Waiver, cases, run};
use session_core::store::{
    Count, CreateOutcome, CreateRequest, Cursor, Freshness, Listing, MovingStore, Page, Record, SessionStore,
    TouchOutcome, UpdateOutcome, Version,
};
use session_core::{
    DeleteOutcome, Key, LimitPolicy, Login, Namespace, Policy, SessionId, SessionManager, StoreError, SystemClock,
    Timestamp, UserId,
};
use session_testbed::servers::namespace;
use session_testbed::{Client, Moka, Postgres, Redis};
use tokio::sync::{Barrier, RwLock};
use tokio::task::JoinSet;

type Store = Arc<dyn SessionStore>;

/// Each store of the suite is two, of which one is being left.
#[derive(Debug)]
struct Moving<F, T> {
    from: F,
    to: T,
    /// If all sessions are in the old store whenever something happens to them; else, that is empty.
    goes_back: bool,
    waivers: &'static [Waiver],
    locks: Mutex<HashMap<Namespace, Arc<RwLock<()>>>>,
}

#[async_trait]
impl<F: Harness, T: Harness> Harness for Moving<F, T> {
    fn backend(&self) -> &'static str {
        "moving"
    }

    fn capabilities(&self) -> Capabilities {
        let (from, to) = (self.from.capabilities(), self.to.capabilities());
        Capabilities { durable: from.durable && to.durable, shared: from.shared && to.shared, disruptions: &[] }
    }

    fn waivers(&self) -> &'static [Waiver] {
        self.waivers
    }

    async fn open(&self, namespace: &Namespace) -> Result<Store, Failure> {
        let (old, new) = (self.from.open(namespace).await?, self.to.open(namespace).await?);
        let store = MovingStore::new(Arc::clone(&old), Arc::clone(&new));
        if !self.goes_back {
            return Ok(Arc::new(store));
        }
        let lock = Arc::clone(self.locks.lock().unwrap().entry(namespace.clone()).or_default());
        Ok(Arc::new(GoingBack { store, old, new, lock }))
    }
}

/// Puts what begins into the old store, as if it had begun before: nothing else happens in that moment.
#[derive(Debug)]
struct GoingBack {
    store: MovingStore<Store, Store>,
    old: Store,
    new: Store,
    lock: Arc<RwLock<()>>,
}

#[async_trait]
impl SessionStore for GoingBack {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let _lock = self.lock.read().await;
        self.store.load(id, freshness).await
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let _lock = self.lock.write().await;
        let outcome = self.store.create(request, now).await?;
        // The two stores have a limit of visitors each.
        let goes_back = matches!(outcome, CreateOutcome::Created { .. }) && request.visitor().is_none();
        if let Some(record) = self.new.load(&request.record.id(), Freshness::Latest).await?.filter(|_| goes_back) {
            match self.old.create(CreateRequest::new(&record), now).await? {
                CreateOutcome::Created { .. } => {
                    let _ = self.new.delete(&record.id(), record.user()).await?;
                }
                // It was there before, and the store remembers its end.
                CreateOutcome::IdTaken => {}
                outcome @ (CreateOutcome::LimitReached
                | CreateOutcome::ReplacedChanged
                | CreateOutcome::ReplacedAbsent) => panic!("{outcome:?}"),
            }
        }
        Ok(outcome)
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        let _lock = self.lock.read().await;
        self.store.update(record, expected, now).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        let _lock = self.lock.read().await;
        self.store.touch(id, user, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        let _lock = self.lock.read().await;
        self.store.delete(id, user).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        let _lock = self.lock.read().await;
        self.store.list_by_user(user, now).await
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        let _lock = self.lock.read().await;
        self.store.delete_by_user(user, keep, now).await
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        let _lock = self.lock.read().await;
        self.store.list_all(after, limit, now).await
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        let _lock = self.lock.read().await;
        self.store.count(now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        let _lock = self.lock.read().await;
        self.store.delete_expired(now, limit).await
    }
}

/// Or the time limits of cases would be those of a busy machine.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn the_suite_passes<F: Harness, T: Harness>(from: F, to: T, goes_back: bool, waivers: &'static [Waiver]) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let harness = Moving { from, to, goes_back, waivers, locks: Mutex::default() };
    let reports = run(Arc::new(harness), &cases(), Options::default()).await;
    let failed: Vec<&CaseReport> = reports.iter().filter(|report| report.result.is_failure()).collect();
    let listed: Vec<String> = failed.iter().map(|report| format!("{}: {}", report.id, report.result)).collect();
    assert!(listed.is_empty(), "{} of {} cases fail:\n{}", listed.len(), reports.len(), listed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_from_an_empty_store_in_memory() {
    the_suite_passes(Moka::default(), Moka::default(), false, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_when_all_sessions_are_in_the_old_store_in_memory() {
    the_suite_passes(Moka::default(), Moka::default(), true, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_from_an_empty_redis_to_postgres() {
    the_suite_passes(Redis::Single, Postgres::default(), false, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_when_all_sessions_are_in_redis() {
    const EXPIRES: Waiver = Waiver {
        case: "sweep/takes-expired-ones-only",
        reason: "expects that either all expired sessions are deleted or none: Redis leaves them to their time to live",
    };
    the_suite_passes(Redis::Single, Postgres::default(), true, &[EXPIRES]).await;
}

/// Back, and to several servers: a ticket lies in the slot of its session.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_from_postgres_to_a_cluster() {
    the_suite_passes(Postgres::default(), Redis::Cluster, false, &[]).await;
}

const COUNT: Key<u64> = Key::new("count");
const NODES: usize = 3;
/// Users who increment, in two sessions that eight tasks share; who log out; and who log in more often than they may.
const WRITERS: usize = 32;
const LEAVERS: usize = 16;
const ENTRANTS: usize = 16;
const LIMIT: u32 = 2;

fn user(role: &str, at: usize) -> UserId {
    UserId::new(format!("{role}-{at}")).unwrap()
}

async fn login(manager: &SessionManager, user: &UserId) -> Client {
    let mut client = Client::new(manager);
    client.request(async |session| session.login(Login::new(user.clone()))).await.unwrap();
    client
}

/// The same browser, at another node.
fn at(manager: &SessionManager, client: &Client) -> Client {
    let mut moved = Client::new(manager);
    moved.set_token(client.token().unwrap());
    moved
}

async fn who(client: &mut Client) -> Option<UserId> {
    client.request(async |session| Ok(session.user())).await.unwrap()
}

async fn count_of(client: &mut Client) -> Option<u64> {
    client.request(async |session| session.get(COUNT)).await.unwrap()
}

async fn redis(application: &Namespace) -> Store {
    Redis::Single.open(application).await.unwrap()
}

async fn postgres(application: &Namespace) -> Store {
    Postgres::default().open(application).await.unwrap()
}

/// What was promised to somebody, and by whom it is checked afterwards.
#[derive(Default)]
struct Promised {
    increments: Vec<(Client, u64)>,
    ended: Vec<Client>,
    alive: Vec<Client>,
}

/// Three nodes, 64 tasks, and a mover that is stopped and followed by another.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_moves_from_redis_to_postgres_and_nothing_is_lost_or_revived() {
    let application = namespace();
    let policy = Policy::standard().to_builder().session_limit(LIMIT, LimitPolicy::EvictOldest);
    // A busy machine is no failure.
    let policy = policy.store_timeout(Duration::from_secs(20)).build().unwrap();
    let manager = |store: Store| SessionManager::builder(store).policy(policy.clone()).build();

    let _turn = ONE_AT_A_TIME.lock().await;
    // Before: everybody is in Redis, and so are three hundred who do nothing.
    let before = manager(redis(&application).await);
    let (mut writers, mut leavers, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for session in 0..WRITERS / 8 {
        writers.push(login(&before, &user("writer", session)).await);
    }
    for leaver in 0..LEAVERS {
        let (first, second) =
            (login(&before, &user("leaver", leaver)).await, login(&before, &user("leaver", leaver)).await);
        leavers.push([first, second]);
    }
    for entrant in 0..ENTRANTS {
        login(&before, &user("entrant", entrant)).await;
        login(&before, &user("entrant", entrant)).await;
    }
    for sleeper in 0..300 {
        idle.push(login(&before, &user("sleeper", sleeper)).await);
    }

    // Meanwhile.
    let (mut stores, mut nodes) = (Vec::new(), Vec::new());
    for _ in 0..NODES {
        let store = MovingStore::new(redis(&application).await, postgres(&application).await);
        nodes.push(manager(Arc::new(store.clone())));
        stores.push(store);
    }
    let (start, is_moved) =
        (Arc::new(Barrier::new(WRITERS + LEAVERS + ENTRANTS + 1)), Arc::new(AtomicBool::new(false)));
    let mut crowd: JoinSet<Promised> = JoinSet::new();
    let acknowledged: Vec<Arc<AtomicU64>> = writers.iter().map(|_| Arc::default()).collect();
    for task in 0..WRITERS {
        let (start, is_moved) = (Arc::clone(&start), Arc::clone(&is_moved));
        let mut client = at(&nodes[task % NODES], &writers[task / 8]);
        let acknowledged = Arc::clone(&acknowledged[task / 8]);
        crowd.spawn(async move {
            start.wait().await;
            for attempt in 0.. {
                if attempt >= 8 && is_moved.load(Ordering::SeqCst) {
                    break;
                }
                client.request(async |session| session.update(COUNT, |count| *count += 1)).await.unwrap();
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Promised::default()
        });
    }
    for (task, [first, second]) in leavers.into_iter().enumerate() {
        let (start, nodes) = (Arc::clone(&start), nodes.clone());
        crowd.spawn(async move {
            let [here, there] = [&nodes[task % NODES], &nodes[(task + 1) % NODES]];
            let (mut leaving, mut elsewhere) = (at(here, &first), at(there, &first));
            start.wait().await;
            // Half of them revoke all but one session, the others log out.
            if task % 2 == 0 {
                leaving.request(async |session| session.logout()).await.unwrap();
            } else {
                let staying = at(here, &second).request(async |session| Ok(session.id())).await.unwrap().unwrap();
                here.revoke_others(&user("leaver", task), &staying).await.unwrap();
            }
            assert_eq!(who(&mut elsewhere).await, None, "ended on one node, alive on another");
            Promised { ended: vec![first], alive: vec![second], ..Promised::default() }
        });
    }
    for task in 0..ENTRANTS {
        let (start, is_moved, node) = (Arc::clone(&start), Arc::clone(&is_moved), nodes[task % NODES].clone());
        crowd.spawn(async move {
            let (me, mut mine) = (user("entrant", task), Vec::new());
            start.wait().await;
            for attempt in 0.. {
                if attempt >= 4 && is_moved.load(Ordering::SeqCst) {
                    break;
                }
                mine.push(login(&node, &me).await);
                assert!(node.list(&me).await.unwrap().len() <= LIMIT as usize, "the limit does not hold");
            }
            let alive = mine.split_off(mine.len() - LIMIT as usize);
            Promised { ended: mine, alive, ..Promised::default() }
        });
    }
    start.wait().await;
    let page = NonZeroU32::new(20).unwrap();
    let stopped = stores[0].move_all(page, &SystemClock, |progress| match progress.moved {
        0..100 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    assert!(stopped.await.unwrap().moved >= 100);
    // One that is cut off in the midst of its calls, wherever it is.
    let cut = stores[1].clone();
    let cut = tokio::spawn(async move { cut.move_page(None, NonZeroU32::new(50).unwrap(), now()).await });
    tokio::task::yield_now().await;
    cut.abort();
    let done = stores[2].move_all(page, &SystemClock, |_| ControlFlow::Continue(())).await.unwrap();
    assert_eq!(done.unreadable, 0);
    is_moved.store(true, Ordering::SeqCst);

    // Afterwards: nodes that know PostgreSQL alone.
    let (mut promised, old) = (Promised::default(), redis(&application).await);
    while let Some(task) = crowd.join_next().await {
        let Promised { ended, alive, .. } = task.unwrap();
        promised.ended.extend(ended);
        promised.alive.extend(alive);
    }
    let counts = acknowledged.iter().map(|count| count.load(Ordering::SeqCst));
    promised.increments = writers.into_iter().zip(counts).collect();
    assert_eq!(old.count(now()).await.unwrap().sessions, 0, "Redis is empty");
    let after = manager(postgres(&application).await);
    for (client, increments) in &promised.increments {
        assert_eq!(count_of(&mut at(&after, client)).await, Some(*increments), "increments that were acknowledged");
    }
    for client in &promised.ended {
        assert_eq!(who(&mut at(&after, client)).await, None, "what was ended is alive");
    }
    for client in promised.alive.iter().chain(&idle) {
        assert!(who(&mut at(&after, client)).await.is_some(), "what nobody ended is lost");
    }
    for entrant in 0..ENTRANTS {
        assert_eq!(after.list(&user("entrant", entrant)).await.unwrap().len(), LIMIT as usize);
    }
    let total: u64 = promised.increments.iter().map(|(_, increments)| increments).sum();
    println!("{} increments, {} ended, {} alive", total, promised.ended.len(), promised.alive.len() + idle.len());
}

fn now() -> Timestamp {
    session_core::Clock::now(&SystemClock)
}
