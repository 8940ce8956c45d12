//! Logins, updates and loads while statements hang, and what that costs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use session_conformance::RecordBuilder;
use session_core::adapter::PresentedCookie;
use session_core::store::{CreateRequest, Freshness, Record, SessionStore, UpdateOutcome};
use session_core::{Login, ManualClock, OsEntropy, Policy, SessionManager, Timestamp, UserId};
use session_postgres::{PostgresStore, recommended_pool_options};
use session_testbed::proxy::{Mode, Proxy};
use session_testbed::records::shop;
use session_testbed::servers::Postgres;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _, raw_sql};
use tokio::task::JoinSet;

/// The connections of the pool.
const PLACES: i64 = 10;

const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_123);
const LOGINS: usize = 20;
const UPDATES: usize = 8;
const LOADS: usize = 4;

/// What hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hang {
    /// `LOCK TABLE`.
    LockedTable,
    /// The server waits for a synchronous standby that does not exist.
    DeadStandby,
    /// Packets are lost, in both directions.
    Network,
    /// Nothing: clients go away after some milliseconds, on a slow network.
    ImpatientClients,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    hang: Hang,
    /// The most backends of ours at any moment.
    most_backends: i64,
    /// Connections of another application, and how many of them were refused.
    pub(crate) others: u64,
    pub(crate) refused: u64,
    /// Succeeded, tried.
    pub(crate) loads: (u64, u64),
    pub(crate) logins: (u64, u64),
    pub(crate) updates: (u64, u64),
    slowest_load: Duration,
    /// Sessions that nobody has the token of, after the drain.
    orphans: i64,
    /// Sessions whose last update that was acknowledged is gone.
    lost: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hang, most_backends, others, refused, loads, logins, updates, slowest_load, orphans, lost } = self;
        write!(
            f,
            "{hang:?}: most backends {most_backends} of {PLACES}; other application: {refused} of {others} refused; \
             loads {} of {} (slowest {slowest_load:?}); logins {} of {}; updates {} of {}; orphans {orphans}; \
             lost {lost}",
            loads.0, loads.1, logins.0, logins.1, updates.0, updates.1
        )
    }
}

impl Figures {
    /// No connection too many, no session without a client, no update that was acknowledged in vain.
    #[track_caller]
    #[allow(dead_code, reason = "the benchmark only prints")]
    pub(crate) fn assert_nothing_is_left(&self) {
        println!("{self}");
        assert!(self.most_backends <= PLACES && self.orphans == 0 && self.lost == 0, "{self}");
    }
}

#[derive(Default)]
struct Count {
    succeeded: AtomicU64,
    tried: AtomicU64,
}

impl Count {
    fn add(&self, succeeded: bool) {
        self.tried.fetch_add(1, Ordering::SeqCst);
        self.succeeded.fetch_add(u64::from(succeeded), Ordering::SeqCst);
    }

    fn get(&self) -> (u64, u64) {
        (self.succeeded.load(Ordering::SeqCst), self.tried.load(Ordering::SeqCst))
    }
}

/// Lets statements hang for `time`, under logins, updates and loads.
pub(crate) async fn run(hang: Hang, time: Duration) -> Figures {
    run_with(hang, time, &[]).await
}

/// [`run`], with settings of the server for our connections.
pub(crate) async fn run_with(hang: Hang, time: Duration, settings: &[(&str, &str)]) -> Figures {
    let server = Postgres::launch(&[Postgres::FSYNC_OFF]).await.unwrap();
    let direct: PgConnectOptions = server.url().parse().unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let admin = recommended_pool_options().max_connections(2).connect_lazy_with(direct.clone());
    let options = direct.clone().port(proxy.address().port()).application_name("ours");
    let options = options.options(settings.iter().copied());
    let pool = recommended_pool_options().max_connections(10).connect_lazy_with(options);
    let store = PostgresStore::new(pool, shop());
    store.migrate().await.unwrap();
    let mut records = Vec::new();
    for turn in 0..40 + UPDATES {
        let record = RecordBuilder::new(NOW).of(&UserId::new(format!("user {turn}")).unwrap()).build().unwrap();
        let _ = store.create(CreateRequest::new(&record), NOW).await.unwrap();
        records.push(record);
    }
    let changing = records.split_off(40);
    let manager = SessionManager::builder(Arc::new(store.clone())).policy(Policy::standard());
    let manager = manager.clock(ManualClock::new(NOW)).build();

    let mut lock = admin.begin().await.unwrap();
    match hang {
        Hang::LockedTable => {
            raw_sql("LOCK TABLE shop.session IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.map(drop).unwrap();
        }
        Hang::DeadStandby => {
            execute(&admin, "ALTER SYSTEM SET synchronous_standby_names = 'gone'").await;
            execute(&admin, "SELECT pg_reload_conf()").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Hang::Network => proxy.set(Mode::BlackHole),
        Hang::ImpatientClients => proxy.set(Mode::Delay(Duration::from_millis(5))),
    }
    let end = Instant::now() + time;
    let [logins, updates, loads] = [(); 3].map(|()| Arc::new(Count::default()));
    let slowest = Arc::new(AtomicU64::new(0));
    let (mut tasks, mut changed) = (JoinSet::new(), JoinSet::new());
    for record in changing {
        changed.spawn(update(store.clone(), hang, end, record, Arc::clone(&updates)));
    }
    for task in 0..LOGINS {
        tasks.spawn(log_in(manager.clone(), hang, end, task, Arc::clone(&logins)));
    }
    for task in 0..LOADS {
        tasks.spawn(load(store.clone(), records.clone(), end, task, Arc::clone(&loads), Arc::clone(&slowest)));
    }
    let (mut most_backends, mut others, mut refused) = (0, 0, 0);
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours'";
    // Not in the transaction of the lock, which would see the same backends all the time.
    let mut watch = PgConnection::connect_with(&direct).await.unwrap();
    while Instant::now() < end {
        most_backends = most_backends.max(number(&mut watch, ours).await);
        others += 1;
        let other = tokio::time::timeout(Duration::from_secs(1), PgConnection::connect_with(&direct)).await;
        match other {
            Ok(Ok(other)) => other.close().await.unwrap(),
            Ok(Err(_)) | Err(_) => refused += 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lock.rollback().await.unwrap();
    execute(&admin, "ALTER SYSTEM RESET synchronous_standby_names").await;
    execute(&admin, "SELECT pg_reload_conf()").await;
    proxy.set(Mode::Pass);
    let watch = tokio::spawn({
        let admin = admin.clone();
        async move {
            let (mut most, until) = (0, Instant::now() + Duration::from_secs(2));
            while Instant::now() < until {
                let mut connection = admin.acquire().await.unwrap();
                most = most.max(number(&mut connection, ours).await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            most
        }
    });
    tasks.join_all().await;
    let changed = changed.join_all().await;
    assert_eq!(manager.drain(Duration::from_secs(60)).await, 0, "unfinished");
    let mut lost = 0;
    for [acknowledged, attempted] in changed {
        let stored = store.load(&acknowledged.id(), Freshness::Latest).await.unwrap().unwrap();
        lost += usize::from(stored.version != acknowledged.version && stored.version != attempted.version);
    }
    most_backends = most_backends.max(watch.await.unwrap());
    let mut connection = admin.acquire().await.unwrap();
    let stored = number(&mut connection, "SELECT count(*) FROM shop.session").await;
    let known = i64::try_from(40 + UPDATES).unwrap() + i64::try_from(logins.get().0).unwrap();
    let slowest_load = Duration::from_millis(slowest.load(Ordering::SeqCst));
    let (loads, logins, updates) = (loads.get(), logins.get(), updates.get());
    let orphans = stored - known;
    Figures { hang, most_backends, others, refused, loads, logins, updates, slowest_load, orphans, lost }
}

/// How long a client waits.
fn patience(hang: Hang, turn: u64) -> Duration {
    match hang {
        // One of four waits: on a machine that is busy nothing would succeed, and nothing would be shown.
        Hang::ImpatientClients if turn % 4 == 3 => Duration::from_secs(1),
        Hang::ImpatientClients => Duration::from_millis(turn % 16),
        Hang::LockedTable | Hang::DeadStandby | Hang::Network => Duration::from_secs(60),
    }
}

/// How long it is away.
fn pause(hang: Hang) -> Duration {
    Duration::from_millis(if hang == Hang::ImpatientClients { 100 } else { 1 })
}

async fn log_in(manager: SessionManager, hang: Hang, end: Instant, task: usize, count: Arc<Count>) {
    for turn in 0_u64.. {
        if Instant::now() > end {
            return;
        }
        let session = manager.open(&PresentedCookie::Nothing).await.unwrap();
        session.login(Login::new(UserId::new(format!("login {task} {turn}")).unwrap())).unwrap();
        // A client that goes away drops its request.
        let outcome = tokio::time::timeout(patience(hang, turn), manager.commit(&session)).await;
        count.add(outcome.is_ok_and(|outcome| outcome.is_ok()));
        tokio::time::sleep(pause(hang)).await;
    }
}

/// Updates a session again and again, each time until that is acknowledged. Returns what was acknowledged, and what was
/// attempted last.
async fn update(store: PostgresStore, hang: Hang, end: Instant, record: Record, count: Arc<Count>) -> [Record; 2] {
    let next = |record: &Record| Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() };
    let (mut acknowledged, mut attempted) = (record.clone(), next(&record));
    for turn in 0_u64.. {
        if Instant::now() > end {
            break;
        }
        let update = store.update(&attempted, acknowledged.version, NOW);
        let outcome = tokio::time::timeout(patience(hang, turn), update).await;
        count.add(matches!(outcome, Ok(Ok(_))));
        if let Ok(Ok(outcome)) = outcome {
            assert_eq!(outcome, UpdateOutcome::Applied);
            acknowledged = attempted;
            attempted = next(&acknowledged);
        }
        tokio::time::sleep(pause(hang)).await;
    }
    [acknowledged, attempted]
}

async fn load(
    store: PostgresStore,
    records: Vec<Record>,
    end: Instant,
    task: usize,
    count: Arc<Count>,
    slowest: Arc<AtomicU64>,
) {
    for record in records.iter().cycle().skip(task * 10) {
        let begin = Instant::now();
        if begin > end {
            return;
        }
        count.add(store.load(&record.id(), Freshness::Latest).await.is_ok_and(|stored| stored.is_some()));
        slowest.fetch_max(u64::try_from(begin.elapsed().as_millis()).unwrap(), Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn execute(pool: &PgPool, sql: &str) {
    raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    raw_sql(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap().try_get(0).unwrap()
}
