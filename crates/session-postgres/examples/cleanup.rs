//! What clean-up costs, and what those notice who use the store meanwhile.
//!
//! `cargo run --release -p session-postgres --example cleanup -- --sessions 1000000`
//!
//! Starts a server of its own, which flushes every commit to the disk, and fills it with sessions, each with a user of
//! its own and 177 bytes of data. Half of them are expired. Then tasks load live sessions: first alone, then while
//! the others are deleted, a thousand at a time, with a pause as long as the call took.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use session_core::{
    Admission, Assurance, Authentication, Credential, Data, Device, Kind, Lifetime, OsEntropy, Persistence, Record,
    SessionId, SessionStore, Timestamp, Touched, UserId, Version,
};
use session_postgres::{PostgresStore, recommended_pool_options};
use session_testbed::servers::Postgres;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, PgPool, Row as _, raw_sql};
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_000);
const IDLE: Duration = Duration::from_secs(30 * 60);
/// Names and lengths of values: 177 bytes together, which is what 236 bytes of JSON take.
const VALUES: [(&str, usize); 4] = [("cart", 50), ("last_viewed", 21), ("profile", 77), ("visits", 1)];
/// Tasks that load sessions.
const TASKS: usize = 8;
/// How long a task waits between two loads.
const PACE: Duration = Duration::from_millis(4);
const BATCH: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sessions = argument()?;
    let server = Postgres::launch(&[("shared_buffers", "512MB"), ("max_wal_size", "4GB")]).await?;
    let pool = recommended_pool_options().connect(&server.url()).await?;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await?;
    let start = Instant::now();
    let live = fill(&pool, &store, sessions).await?;
    println!("filled in                 {:>10.1} s", start.elapsed().as_secs_f64());
    println!("sessions                  {:>10}", number(&pool, "SELECT count(*) FROM session.session").await?);
    for (what, size) in [("table", "pg_table_size"), ("indexes", "pg_indexes_size")] {
        let bytes = number(&pool, &format!("SELECT {size}('session.session')")).await?;
        println!("{what:<25} {:>10} bytes per session", bytes / i64::try_from(sessions)?);
    }

    for index in ["session_pkey", "session_user_id", "session_sweep_at"] {
        let bytes = number(&pool, &format!("SELECT pg_relation_size('session.{index}')")).await?;
        println!("  {index:<23} {:>10} bytes per session", bytes / i64::try_from(sessions)?);
    }
    // On pages that are as full as they get.
    touch(&pool, &store, &live).await?;

    let before = Load::start(&store, &live);
    tokio::time::sleep(Duration::from_secs(15)).await;
    before.stop().await?.print("loads before");

    let during = Load::start(&store, &live);
    let start = Instant::now();
    let (mut deleted, mut slowest, mut busy) = (0, Duration::ZERO, Duration::ZERO);
    loop {
        let call = Instant::now();
        let batch = store.delete_expired(NOW, BATCH).await?;
        deleted += batch;
        slowest = slowest.max(call.elapsed());
        busy += call.elapsed();
        if batch < u64::from(BATCH.get()) {
            break;
        }
        tokio::time::sleep(call.elapsed()).await;
    }
    let elapsed = start.elapsed();
    let during = during.stop().await?;
    println!("deleted                   {deleted:>10}");
    println!(
        "clean-up                  {:>10.1} s, {:.1} s of them inside calls",
        elapsed.as_secs_f64(),
        busy.as_secs_f64()
    );
    println!("slowest call              {:>10.1} ms", slowest.as_secs_f64() * 1e3);
    during.print("loads during clean-up");
    println!("sessions left             {:>10}", number(&pool, "SELECT count(*) FROM session.session").await?);

    touch(&pool, &store, &live).await
}

/// Stores one session, and copies of it under other ids and users. Returns the ids of the live ones.
async fn fill(pool: &PgPool, store: &PostgresStore, sessions: usize) -> Result<Vec<SessionId>, Failure> {
    let template = session(UserId::new("user-0")?)?;
    let _ = store.create(Admission { record: &template, replaces: None, limit: None }, NOW).await?;
    // Every second one was last seen an hour ago, the others within the last 29 minutes.
    let copy = format!(
        "INSERT INTO session.session
             SELECT created_at, seen.at, idle_ms, absolute_ms, (seen.at + idle_ms) / 10000, md5(n::text)::uuid, version,
                 convert_to('user-' || n, 'UTF8'), record
             FROM session.session, generate_series(1, {sessions} - 1) AS n,
                 LATERAL (SELECT last_seen - CASE n % 2 WHEN 0 THEN 3600000 ELSE n % 1740000 END AS at) AS seen;
         ANALYZE session.session",
    );
    raw_sql(AssertSqlSafe(copy)).execute(pool).await?;
    // As on a server that has been running for a while.
    raw_sql("VACUUM session.session").execute(pool).await?;
    raw_sql("CHECKPOINT").execute(pool).await?;
    let live = "SELECT md5(n::text)::uuid FROM generate_series(1, $1, 2) AS n ORDER BY random() LIMIT 100000";
    let rows = sqlx::query(live).bind(i64::try_from(sessions)? - 1).fetch_all(pool).await?;
    let id = |row: &sqlx::postgres::PgRow| Ok(SessionId::from_bytes(row.try_get::<Uuid, _>(0)?.into_bytes()));
    rows.iter().map(id).collect()
}

/// Tasks that load live sessions, and how long each load took.
struct Load {
    stop: Arc<AtomicBool>,
    times: Arc<Mutex<Vec<Duration>>>,
    tasks: JoinSet<Result<(), Failure>>,
}

impl Load {
    fn start(store: &PostgresStore, live: &[SessionId]) -> Self {
        let mut load = Self { stop: Arc::default(), times: Arc::default(), tasks: JoinSet::new() };
        let live: Arc<[SessionId]> = live.into();
        for task in 0..TASKS {
            let (store, live) = (store.clone(), Arc::clone(&live));
            let (stop, times) = (Arc::clone(&load.stop), Arc::clone(&load.times));
            load.tasks.spawn(async move {
                for turn in (task..).step_by(TASKS) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let start = Instant::now();
                    if store.load(&live[turn % live.len()]).await?.is_none() {
                        return Err("a live session is gone".into());
                    }
                    times.lock().unwrap_or_else(PoisonError::into_inner).push(start.elapsed());
                    tokio::time::sleep(PACE).await;
                }
                Ok(())
            });
        }
        load
    }

    async fn stop(mut self) -> Result<Times, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task??;
        }
        let mut times = std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner));
        times.sort_unstable();
        Ok(Times(times))
    }
}

/// In ascending order.
struct Times(Vec<Duration>);

impl Times {
    fn print(&self, what: &str) {
        let percentile = |percent: usize| self.0.get(self.0.len() * percent / 100).map_or(0.0, Duration::as_secs_f64);
        let (p50, p99) = (percentile(50) * 1e3, percentile(99) * 1e3);
        println!("{what:<25} {:>10}, p50 {p50:.2} ms, p99 {p99:.2} ms", self.0.len());
    }
}

/// Touches live sessions, and tells how many of the touches left the indexes alone.
async fn touch(pool: &PgPool, store: &PostgresStore, live: &[SessionId]) -> Result<(), Failure> {
    let count = |column| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 'session'");
    let before = (number(pool, &count("n_tup_upd")).await?, number(pool, &count("n_tup_hot_upd")).await?);
    let mut tasks = JoinSet::new();
    for ids in live.chunks(live.len().div_ceil(TASKS)) {
        let (store, ids) = (store.clone(), ids.to_vec());
        tasks.spawn(async move {
            for id in ids {
                if store.touch(&id, None, NOW, NOW).await? != Touched::Applied {
                    return Err(Failure::from("a live session is gone"));
                }
            }
            Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    // Statistics are published once a second, by a connection that does something.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..10 {
        number(pool, "SELECT 1").await?;
    }
    let updated = number(pool, &count("n_tup_upd")).await? - before.0;
    let hot = number(pool, &count("n_tup_hot_upd")).await? - before.1;
    println!("touches                   {updated:>10}, {:.1} % of them HOT", hot as f64 * 100.0 / updated as f64);
    Ok(())
}

async fn number(pool: &PgPool, sql: &str) -> Result<i64, sqlx::Error> {
    raw_sql(AssertSqlSafe(format!("SELECT ({sql})::bigint"))).fetch_one(pool).await?.try_get(0)
}

fn session(user: UserId) -> Result<Record, Failure> {
    let id = SessionId::generate(Some(&user), &OsEntropy)?;
    let (credential, _token) = Credential::issue(Kind::Cookie, id, NOW, &OsEntropy)?;
    let mut data = Data::default();
    for (name, len) in VALUES {
        data.insert(Bytes::from_static(name.as_bytes()), Bytes::from(vec![b'x'; len]));
    }
    Ok(Record {
        id,
        version: Version::first(&OsEntropy)?,
        kind: Kind::Cookie,
        created_at: NOW,
        last_seen: NOW,
        lifetime: Lifetime { idle: IDLE, absolute: IDLE * 16 },
        persistence: Persistence::Transient,
        authentication: Some(Authentication {
            user,
            at: NOW,
            methods: ["pwd".to_owned()].into(),
            level: Assurance::Aal1,
        }),
        credential,
        device: Device::new(),
        data,
    })
}

/// The value of `--sessions`.
fn argument() -> Result<usize, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(1_000_000),
        [name, number] if name == "--sessions" => Ok(number.parse::<usize>()?.max(1_000)),
        _ => Err("usage: cleanup [--sessions NUMBER]".into()),
    }
}
