//! How much memory a session takes, and that it is given back.
//!
//! `cargo run --release -p session-moka --example memory -- --sessions 1000000`
//!
//! Stores many sessions, each with a user of its own and 236 bytes of data, waits until they have expired and the
//! store has freed them, and stores as many again: if the memory had not been freed, the process would be twice as
//! large.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use session_core::store::{CreateOutcome, CreateRequest, Credential, Data, Record, SessionStore, Version};
use session_core::{
    Assurance, Authentication, Clock, Device, Kind, OsEntropy, Persistence, SessionId, SystemClock, Timeouts,
    Timestamp, UserId,
};
use session_moka::MokaStore;

/// How long the sessions of this example live.
const LIFETIME: Duration = Duration::from_secs(20);
/// Names and values: 236 bytes together.
const VALUES: [(&str, usize); 3] = [("profile", 120), ("cart", 64), ("csrf", 37)];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sessions = argument()?;
    let store = MokaStore::new();
    let mut before = resident()?;
    for round in 1..=2 {
        println!("round {round}");
        let ids = fill(&store, sessions, round).await?;
        let full = resident()?;
        // The ids are the example's own.
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
        let record = session(UserId::new(format!("user-{round}-{n}"))?, SystemClock.now())?;
        let start = Instant::now();
        let admitted =
            store.create(CreateRequest { record: &record, replaces: None, limit: None }, SystemClock.now()).await?;
        spent += start.elapsed();
        if admitted != (CreateOutcome::Created { evicted: Vec::new() }) {
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
        // So often that the store takes the few for busy ones.
        let (warm_up, loads) = (16 * busy.min(10_000), 300_000);
        let mut start = Instant::now();
        for turn in 0..warm_up + loads {
            if turn == warm_up {
                start = Instant::now();
            }
            if store.load(pick(turn)).await?.is_none() {
                println!("  on this machine the sessions expire before all loads are timed");
                return Ok(());
            }
        }
        println!("  one load, of {busy:>10}   {:>10} ns", start.elapsed().as_nanos() / loads as u128);
    }
    Ok(())
}

fn session(user: UserId, now: Timestamp) -> Result<Record, Box<dyn Error>> {
    let id = SessionId::generate(Some(&user), &OsEntropy)?;
    let (credential, _token) = Credential::issue(Kind::Cookie, id, now, &OsEntropy)?;
    let mut data = Data::default();
    for (name, len) in VALUES {
        data.insert(Bytes::from_static(name.as_bytes()), Bytes::from(vec![b'x'; len]));
    }
    Ok(Record {
        id,
        version: Version::first(&OsEntropy)?,
        kind: Kind::Cookie,
        created_at: now,
        last_seen: now,
        lifetime: Timeouts { idle: LIFETIME, absolute: LIFETIME },
        persistence: Persistence::Transient,
        authentication: Some(Authentication {
            user,
            at: now,
            methods: ["pwd".to_owned()].into(),
            level: Assurance::Aal1,
        }),
        credential,
        device: Device::new(),
        data,
    })
}

/// The value of `--sessions`.
fn argument() -> Result<usize, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(1_000_000),
        [name, number] if name == "--sessions" => Ok(number.parse::<usize>()?.max(1)),
        _ => Err("usage: memory [--sessions NUMBER]".into()),
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
