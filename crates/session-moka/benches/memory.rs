//! How much memory a session takes, and that it is given back.
//!
//! `cargo bench -p session-moka --bench memory -- --sessions 1000000`
//!
//! Stores many sessions, each with a user of its own and 236 bytes of data, waits until they have expired and the store has
//! freed them, and stores as many again: had the memory not been freed, the process would be twice as large.

use std::error::Error;
use std::time::{Duration, Instant};

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, SessionStore};
use session_core::{Clock, SessionId, SystemClock, Timestamp, UserId};
use session_moka::MokaStore;

/// How long a session lives.
const LIFETIME: Duration = Duration::from_secs(20);
/// Names and lengths of values: 236 bytes together.
const VALUES: [(&str, usize); 3] = [("profile", 120), ("cart", 64), ("csrf", 37)];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(sessions) = argument()? else { return Ok(()) };
    let store = MokaStore::new();
    let mut before = resident()?;
    for round in 1..=2 {
        println!("round {round}");
        let ids = fill(&store, sessions, round).await?;
        let full = resident()?;
        // Less the list of ids.
        let grown = full.saturating_sub(before).saturating_sub(sessions * size_of::<SessionId>());
        println!("  sessions stored           {:>10}", store.session_count());
        println!("  resident memory           {:>10} KiB", full / 1024);
        println!("  growth per session        {:>10} bytes", grown / sessions);
        load(&store, &ids).await?;
        println!("  resident memory           {:>10} KiB", resident()? / 1024);

        let start = Instant::now();
        while store.session_count() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("  no session left after     {:>10.1} s", start.elapsed().as_secs_f64());
        before = resident()?;
        println!("  resident memory           {:>10} KiB", before / 1024);
    }
    Ok(())
}

async fn fill(store: &MokaStore, sessions: usize, round: u32) -> Result<Vec<SessionId>, Box<dyn Error>> {
    let mut ids = Vec::with_capacity(sessions);
    let mut spent = Duration::ZERO;
    for n in 0..sessions {
        let record = session(&UserId::new(format!("user-{round}-{n}"))?, SystemClock.now())?;
        let start = Instant::now();
        let outcome = store.create(CreateRequest::new(&record), SystemClock.now()).await?;
        spent += start.elapsed();
        if outcome != (CreateOutcome::Created { evicted: Vec::new() }) {
            return Err("a session was not stored".into());
        }
        ids.push(record.summary.id);
    }
    println!("  one create                {:>10} ns", spent.as_nanos() / sessions as u128);
    Ok(ids)
}

/// Times loads of a few sessions, of more, and of all, in an order without a pattern.
async fn load(store: &MokaStore, ids: &[SessionId]) -> Result<(), Box<dyn Error>> {
    for busy in [1_000, 10_000, ids.len()] {
        let busy = busy.min(ids.len());
        let pick = |turn: usize| &ids[turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) % busy];
        // Enough loads for the first thousands to be cached decoded.
        let (warm_up, loads) = (16 * busy.min(10_000), 300_000);
        let mut start = Instant::now();
        for turn in 0..warm_up + loads {
            if turn == warm_up {
                start = Instant::now();
            }
            if store.load(pick(turn), Freshness::Latest).await?.is_none() {
                println!("  on this machine the sessions expire before all loads are timed");
                return Ok(());
            }
        }
        println!("  one load, of {busy:>10}   {:>10} ns", start.elapsed().as_nanos() / loads as u128);
    }
    Ok(())
}

fn session(user: &UserId, now: Timestamp) -> Result<Record, Box<dyn Error>> {
    let record = RecordBuilder::new(now).of(user).timeouts(LIFETIME, LIFETIME);
    let record = VALUES.iter().fold(record, |record, (name, len)| record.value(name, vec![b'x'; *len]));
    Ok(record.build().map_err(|failure| failure.to_string())?)
}

/// The value of `--sessions`. `None` if it is `cargo test` that runs this, not `cargo bench`.
fn argument() -> Result<Option<usize>, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, rest): (Vec<_>, Vec<_>) = arguments.iter().map(String::as_str).partition(|text| *text == "--bench");
    match rest.as_slice() {
        _ if flags.is_empty() => Ok(None),
        [] => Ok(Some(1_000_000)),
        ["--sessions", number] => Ok(Some(number.parse::<usize>()?.max(1))),
        _ => Err("usage: cargo bench -p session-moka --bench memory -- [--sessions NUMBER]".into()),
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
