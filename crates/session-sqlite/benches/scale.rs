//! What a million sessions cost, and how much clean-up slows down concurrent loads.
//!
//! `cargo bench -p session-sqlite --bench scale -- --sessions 1000000`
//!
//! Fills a file in the folder for temporary files with sessions, each with a user of its own and 177 bytes of data, and
//! measures loads and updates at a thousand and at all of them. Then half of them expire: tasks load live sessions,
//! first alone, then while `SessionManager::sweep` deletes the expired ones, for the same time each.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_conformance::RecordBuilder;
use session_core::store::{CreateRequest, Freshness, Record, SessionStore, UpdateOutcome};
use session_core::{ManualClock, SessionManager, Timestamp, UserId};
use session_sqlite::SqliteStore;
use session_testbed::records::{NOW, next, shop};
use tokio::task::JoinSet;

/// Names and lengths of values: 177 bytes together, which is what 236 bytes of JSON take.
const VALUES: [(&str, usize); 4] = [("cart", 50), ("last_viewed", 21), ("profile", 77), ("visits", 1)];
const FEW: usize = 1_000;
/// Tasks that fill the file.
const WRITERS: usize = 256;
/// Tasks that load sessions during clean-up.
const TASKS: usize = 8;
/// How long a task waits between two loads.
const PACE: Duration = Duration::from_millis(4);
/// How long they load, before and during clean-up, and in how many parts.
const PHASE: Duration = Duration::from_secs(10);
const PHASES: u32 = 4;
/// How long all sessions live, and half of them.
const LONG: Duration = Duration::from_secs(7_200);
const SHORT: Duration = Duration::from_secs(1_800);

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(sessions) = argument()? else { return Ok(()) };
    let folder = Folder(std::env::temp_dir().join(format!("session-sqlite-scale-{}", std::process::id())));
    std::fs::create_dir(&folder.0)?;
    let path = folder.0.join("sessions.db");
    let store = SqliteStore::builder(&path, shop()).operation_timeout(Duration::from_secs(20)).open().await?;

    let mut live = fill(&store, 0..FEW).await?;
    println!("at {FEW} sessions");
    measure(&store, &mut live).await?;
    commits(&store, &live).await?;
    let start = Instant::now();
    live.extend(fill(&store, FEW..sessions).await?);
    println!("filled in                 {:>10.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    println!("sessions                  {:>10}", store.count(NOW).await?.sessions);
    println!("counted in                {:>10.1} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("bytes per session         {:>10}", size(&path)? / sessions as u64);
    println!("at {sessions} sessions");
    measure(&store, &mut live).await?;

    let later = NOW + SHORT + Duration::from_secs(60);
    let manager = SessionManager::builder(Arc::new(store.clone())).clock(ManualClock::new(later)).build();
    println!("before clean-up");
    let before = loads(&store, &live).await?;
    let sweep = tokio::spawn(manager.sweep());
    while store.count(Timestamp::from_millis(0)).await?.sessions == sessions as u64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("during clean-up");
    let (start, left) = (Instant::now(), store.count(Timestamp::from_millis(0)).await?.sessions);
    let during = loads(&store, &live).await?;
    let deleted = left - store.count(Timestamp::from_millis(0)).await?.sessions;
    println!("p99, during to before     {:>10.2}", percentile(&during, 99) / percentile(&before, 99));
    println!("deletions                 {:>10.0} per second", deleted as f64 / start.elapsed().as_secs_f64());
    while store.count(Timestamp::from_millis(0)).await?.sessions > store.count(later).await?.sessions {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    sweep.abort();
    println!("sessions left             {:>10}", store.count(later).await?.sessions);
    let before = size(&path)?;
    store.close().await;
    println!("bytes of the file         {:>10} (with its log, before it was closed: {before})", size(&path)?);
    Ok(())
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Of the file and its log.
fn size(path: &Path) -> Result<u64, Failure> {
    let log = std::fs::metadata(path.with_extension("db-wal")).map_or(0, |found| found.len());
    Ok(std::fs::metadata(path)?.len() + log)
}

/// Stores sessions. Every second one lives long; of those, it returns up to 100 000.
async fn fill(store: &SqliteStore, numbers: std::ops::Range<usize>) -> Result<Vec<Record>, Failure> {
    let step = (numbers.len() / 100_000).max(1);
    let mut tasks = JoinSet::new();
    for task in 0..WRITERS {
        let (store, numbers) = (store.clone(), numbers.clone().skip(task).step_by(WRITERS));
        tasks.spawn(async move {
            let mut live = Vec::new();
            for number in numbers {
                let record = record(number, if number % 2 == 0 { LONG } else { SHORT })?;
                let _ = store.create(CreateRequest::new(&record), NOW).await?;
                if number % 2 == 0 && number % step == 0 {
                    live.push(record);
                }
            }
            Ok::<_, Failure>(live)
        });
    }
    let mut live = Vec::new();
    while let Some(stored) = tasks.join_next().await {
        live.extend(stored??);
    }
    Ok(live)
}

fn record(number: usize, lives: Duration) -> Result<Record, Failure> {
    let record = RecordBuilder::new(NOW).of(&UserId::new(format!("user-{number}"))?).timeouts(lives, 4 * LONG);
    let record = VALUES.iter().fold(record, |record, (name, len)| record.value(name, vec![b'x'; *len]));
    Ok(record.build().map_err(|failure| failure.to_string())?)
}

/// One load or update after the other.
async fn measure(store: &SqliteStore, live: &mut [Record]) -> Result<(), Failure> {
    let (mut loads, mut updates) = (Vec::new(), Vec::new());
    for turn in 0..5_000 {
        // From anywhere.
        let record = &mut live[turn * 7_919 % live.len()];
        let start = Instant::now();
        if store.load(&record.id(), Freshness::Latest).await?.is_none() {
            return Err("a session is gone".into());
        }
        loads.push(start.elapsed());
        let change = next(record);
        let start = Instant::now();
        if store.update(&change, record.version, NOW).await? != UpdateOutcome::Applied {
            return Err("a session was changed".into());
        }
        updates.push(start.elapsed());
        *record = change;
    }
    for (what, mut times) in [("load", loads), ("update", updates)] {
        times.sort_unstable();
        println!("{what:<25} p50 {:.3} ms, p99 {:.3} ms", percentile(&times, 50), percentile(&times, 99));
    }
    Ok(())
}

/// What a flush for each transaction costs, alone and with company.
async fn commits(store: &SqliteStore, live: &[Record]) -> Result<(), Failure> {
    for writers in [1, 64] {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for record in live.iter().take(writers) {
            let (store, record) = (store.clone(), record.clone());
            tasks.spawn(async move {
                for turn in 0..500 {
                    let now = NOW + Duration::from_millis(turn);
                    let _ = store.touch(&record.id(), record.user(), now).await?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let rate = (writers * 500) as f64 / start.elapsed().as_secs_f64();
        println!("touches, {writers:>2} at once       {rate:>10.0} per second");
    }
    Ok(())
}

/// Loads live sessions in several phases. Prints, and returns in ascending order, how long the loads took.
async fn loads(store: &SqliteStore, live: &[Record]) -> Result<Vec<Duration>, Failure> {
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
async fn load(store: &SqliteStore, live: &[Record]) -> Result<Vec<Duration>, Failure> {
    let live: Arc<[Record]> = live.into();
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
                if store.load(&live[turn * 7_919 % live.len()].id(), Freshness::Latest).await?.is_none() {
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

/// The value of `--sessions`. `None` if it is `cargo test` that runs this, not `cargo bench`.
fn argument() -> Result<Option<usize>, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, rest): (Vec<_>, Vec<_>) = arguments.iter().map(String::as_str).partition(|text| *text == "--bench");
    match rest.as_slice() {
        _ if flags.is_empty() => Ok(None),
        [] => Ok(Some(1_000_000)),
        ["--sessions", number] => Ok(Some(number.parse::<usize>()?.max(10 * FEW))),
        _ => Err("usage: cargo bench -p session-sqlite --bench scale -- [--sessions NUMBER]".into()),
    }
}
