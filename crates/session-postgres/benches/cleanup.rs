//! What clean-up costs, and how much it slows down concurrent loads.
//!
//! `cargo bench -p session-postgres --bench cleanup -- --sessions 1000000`
//!
//! Starts a server of its own, which flushes every commit to disk, and fills it with sessions, each with a user of its
//! own and 177 bytes of data. Half of them are expired. Then tasks load live sessions: first alone, then while
//! `SessionManager::sweep` deletes the expired ones and autovacuum follows, for the same time each.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_conformance::RecordBuilder;
use session_core::store::{CreateRequest, Freshness, SessionStore};
use session_core::{ManualClock, SessionId, SessionManager, Timestamp, UserId};
use session_postgres::{PostgresStore, recommended_pool_options};
use session_testbed::records::shop;
use session_testbed::servers::Postgres;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, PgPool, Row as _, raw_sql};
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_000);
/// Names and lengths of values: 177 bytes together, which is what 236 bytes of JSON take.
const VALUES: [(&str, usize); 4] = [("cart", 50), ("last_viewed", 21), ("profile", 77), ("visits", 1)];
/// Tasks that load sessions.
const TASKS: usize = 8;
/// How long a task waits between two loads.
const PACE: Duration = Duration::from_millis(4);
/// How long they load, before and during clean-up, and in how many parts: a disturbance of a single part is not
/// clean-up.
const PHASE: Duration = Duration::from_secs(20);
const PHASES: u32 = 4;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(sessions) = argument()? else { return Ok(()) };
    let server = Postgres::launch(&[("shared_buffers", "512MB"), ("max_wal_size", "4GB")]).await?;
    let pool = recommended_pool_options().connect(&server.url()).await?;
    let store = PostgresStore::new(pool.clone(), shop());
    store.migrate().await?;
    let start = Instant::now();
    let live = fill(&pool, &store, sessions).await?;
    println!("filled in                 {:>10.1} s", start.elapsed().as_secs_f64());
    println!("sessions                  {:>10}", number(&pool, "SELECT count(*) FROM shop.session").await?);
    for (what, size) in [("table", "pg_table_size"), ("indexes", "pg_indexes_size")] {
        let bytes = number(&pool, &format!("SELECT {size}('shop.session')")).await?;
        println!("{what:<25} {:>10} bytes per session", bytes / i64::try_from(sessions)?);
    }

    let manager = SessionManager::builder(Arc::new(store.clone())).clock(ManualClock::new(NOW)).build();
    let expired = format!("SELECT count(*) FROM shop.session WHERE last_seen <= {} - idle_ms", NOW.as_millis());
    let deletions = "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'session'";
    println!("before clean-up");
    let before = loads(&store, &live).await?;

    let sweep = tokio::spawn(manager.sweep());
    // The pause before its first deletion is not measured.
    while number(&pool, deletions).await? == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (start, left) = (Instant::now(), number(&pool, &expired).await?);
    println!("during clean-up");
    let during = loads(&store, &live).await?;
    let deleted = left - number(&pool, &expired).await?;
    let rate = deleted as f64 / start.elapsed().as_secs_f64();
    println!("p99, during to before     {:>10.2}", percentile(&during, 99) / percentile(&before, 99));
    println!("deletions                 {rate:>10.0} per second");
    while number(&pool, &expired).await? > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    sweep.abort();
    println!("sessions left             {:>10}", number(&pool, "SELECT count(*) FROM shop.session").await?);
    Ok(())
}

/// Stores one session, and copies of it under other ids and users. Returns the ids of the live ones.
async fn fill(pool: &PgPool, store: &PostgresStore, sessions: usize) -> Result<Vec<SessionId>, Failure> {
    let template = VALUES.iter().fold(RecordBuilder::new(NOW).of(&UserId::new("user-0")?), |record, (name, len)| {
        record.value(name, vec![b'x'; *len])
    });
    let template = template.build().map_err(|failure| failure.to_string())?;
    let _ = store.create(CreateRequest::new(&template), NOW).await?;
    // Every second one was last seen an hour ago, the others within the last 29 minutes.
    let copy = format!(
        "INSERT INTO shop.session
             SELECT created_at, seen.at, idle_ms, absolute_ms, (seen.at + idle_ms) / 10000, md5(n::text)::uuid, version,
                 convert_to('user-' || n, 'UTF8'), body, data
             FROM shop.session, generate_series(1, {sessions} - 1) AS n,
                 LATERAL (SELECT last_seen - CASE n % 2 WHEN 0 THEN 3600000 ELSE n % 1740000 END AS at) AS seen;
         ANALYZE shop.session",
    );
    raw_sql(AssertSqlSafe(copy)).execute(pool).await?;
    // As on a server that has been running for a while.
    raw_sql("VACUUM shop.session").execute(pool).await?;
    raw_sql("CHECKPOINT").execute(pool).await?;
    let live = "SELECT md5(n::text)::uuid FROM generate_series(1, $1, 2) AS n ORDER BY random() LIMIT 100000";
    let rows = sqlx::query(live).bind(i64::try_from(sessions)? - 1).fetch_all(pool).await?;
    let id = |row: &sqlx::postgres::PgRow| Ok(SessionId::from_bytes(row.try_get::<Uuid, _>(0)?.into_bytes()));
    rows.iter().map(id).collect()
}

/// Loads live sessions in several phases. Prints, and returns in ascending order, how long the loads took.
async fn loads(store: &PostgresStore, live: &[SessionId]) -> Result<Vec<Duration>, Failure> {
    let (mut all, mut slowest) = (Vec::new(), Vec::new());
    for _ in 0..PHASES {
        let mut times = load(store, live).await?;
        times.sort_unstable();
        slowest.push(format!("{:.2}", percentile(&times, 99)));
        all.extend(times);
    }
    all.sort_unstable();
    let (p50, p99) = (percentile(&all, 50), percentile(&all, 99));
    println!("loads                     {:>10}, p50 {p50:.2} ms, p99 {p99:.2} ms ({})", all.len(), slowest.join(", "));
    Ok(all)
}

/// Loads live sessions for one [`PHASE`], with all tasks.
async fn load(store: &PostgresStore, live: &[SessionId]) -> Result<Vec<Duration>, Failure> {
    let live: Arc<[SessionId]> = live.into();
    let end = Instant::now() + PHASE;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (store, live) = (store.clone(), Arc::clone(&live));
        tasks.spawn(async move {
            let mut times = Vec::new();
            for turn in (task..).step_by(TASKS) {
                let start = Instant::now();
                if start >= end {
                    break;
                }
                if store.load(&live[turn % live.len()], Freshness::Latest).await?.is_none() {
                    return Err(Failure::from("a live session is gone"));
                }
                times.push(start.elapsed());
                tokio::time::sleep(PACE).await;
            }
            Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times??);
    }
    Ok(all)
}

/// Of times in ascending order, in milliseconds.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    times.get(times.len() * percent / 100).map_or(0.0, Duration::as_secs_f64) * 1e3
}

async fn number(pool: &PgPool, sql: &str) -> Result<i64, sqlx::Error> {
    raw_sql(AssertSqlSafe(format!("SELECT ({sql})::bigint"))).fetch_one(pool).await?.try_get(0)
}

/// The value of `--sessions`; at least a million, so that clean-up lasts as long as it is measured. `None` if it is
/// `cargo test` that runs this, not `cargo bench`.
fn argument() -> Result<Option<usize>, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, rest): (Vec<_>, Vec<_>) = arguments.iter().map(String::as_str).partition(|text| *text == "--bench");
    match rest.as_slice() {
        _ if flags.is_empty() => Ok(None),
        [] => Ok(Some(1_000_000)),
        ["--sessions", number] => Ok(Some(number.parse::<usize>()?.max(1_000_000))),
        _ => Err("usage: cargo bench -p session-postgres --bench cleanup -- [--sessions NUMBER]".into()),
    }
}
