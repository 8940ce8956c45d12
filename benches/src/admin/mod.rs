//! What `session-admin` costs who uses the site meanwhile: each command on a store of many sessions, as a process, beside a steady
//! load of requests.

mod census;
mod command;
mod fill;
mod load;
mod place;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::store::{MovingStore, SessionStore};
use session_core::{Policy, SessionManager, Timeouts};
use session_testbed::crowd::{Writer, outcome};

use self::census::Census;
use self::command::{Taken, run};
use self::fill::{fill, fill_expired, progress};
use self::load::{Latencies, Load, RATE};
pub use self::place::AdminStore;
use self::place::Place;
use crate::op::Failure;
use crate::report::{Administration, Moved};
use crate::servers::Servers;

/// How many write and read at once.
const WRITERS: usize = 64;
/// The part of the sessions that are theirs.
const THEIRS: usize = 20;
/// The part beside the sessions that has expired, where that has to be swept.
const EXPIRED: usize = 50;
/// A command that is done sooner is run again, until its runs took as long: a hundredth of few requests is none.
const LEAST: Duration = Duration::from_secs(5);
/// Each command begins when the load has gone on for as long.
const WARM_UP: Duration = Duration::from_secs(5);

/// What is measured.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// On which stores.
    pub stores: Vec<AdminStore>,
    /// How many sessions each has.
    pub sessions: NonZeroUsize,
    /// How long requests are measured before each command.
    pub before: Duration,
    /// Whether `session-admin` is told that nobody uses the store.
    pub is_fast: bool,
}

/// Commands that read, which may be run again and again.
const READING: [(&str, &[&str]); 4] = [
    ("count", &["count"]),
    ("count --by kind", &["count", "--by", "kind"]),
    ("list --json", &["list", "--json"]),
    ("list --idle-since 30d", &["list", "--idle-since", "30d"]),
];

/// Runs each command on each store, which is filled before and empty afterwards.
///
/// # Errors
/// If a request or a command fails. That a session was lost or revived is in the report, for the caller to judge.
pub async fn admin(servers: &Servers, options: &AdminOptions) -> Result<(Vec<Administration>, Vec<Moved>), Failure> {
    let (mut all, mut moves) = (Vec::new(), Vec::new());
    for kind in &options.stores {
        let mut bed = Bed::fill(*kind, servers, options).await?;
        bed.read().await?;
        bed.sweep().await?;
        let (rows, moved) = bed.copy(servers).await?;
        all.extend(rows);
        moves.push(moved);
        servers.addresses().clear().await?;
    }
    Ok((all, moves))
}

/// A store that people use.
struct Bed<'a> {
    options: &'a AdminOptions,
    place: Place,
    store: Arc<dyn SessionStore>,
    census: Census,
    load: Load,
    rows: Vec<Administration>,
}

impl<'a> Bed<'a> {
    async fn fill(kind: AdminStore, servers: &Servers, options: &'a AdminOptions) -> Result<Self, Failure> {
        let place = Place::new(kind, servers).await?;
        let store = place.open().await?;
        let manager = manager(Arc::clone(&store))?;
        let each = (options.sessions.get() / THEIRS / WRITERS).max(4);
        let writers = Writer::crowd(&manager, WRITERS, each).await?;
        let theirs: usize = writers.iter().map(Writer::sessions).sum();
        let others = options.sessions.get().saturating_sub(theirs);
        let bar = progress(format!("{}: sessions", kind.name()), others);
        let census = Census::of(fill(&store, others, &bar).await?);
        bar.finish_and_clear();
        place.settle().await?;
        let load = Load::start(&manager, writers, false);
        Ok(Self { options, place, store, census, load, rows: Vec::new() })
    }

    async fn read(&mut self) -> Result<(), Failure> {
        for (name, args) in READING {
            let row = measure(self.options, &self.place, None, &self.load, name, args).await?;
            self.rows.push(row);
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), Failure> {
        if self.place.kind.keeps_expired() {
            let count = (self.options.sessions.get() / EXPIRED).max(1);
            let bar = progress(format!("{}: expired sessions", self.place.kind.name()), count);
            fill_expired(&self.store, count, &bar).await?;
            bar.finish_and_clear();
            let row = measure(self.options, &self.place, None, &self.load, "sweep", &["sweep"]).await?;
            self.rows.push(row);
        }
        Ok(())
    }

    /// All sessions move to another store, while the writers of each move what they use; then none may be lost or revived.
    async fn copy(mut self, servers: &Servers) -> Result<(Vec<Administration>, Moved), Failure> {
        let new = Place::new(self.place.kind.target(), servers).await?;
        let target = new.open().await?;
        let writers = self.load.stop().await?;
        let moving: Arc<dyn SessionStore> = Arc::new(MovingStore::new(Arc::clone(&self.store), Arc::clone(&target)));
        let load = Load::start(&manager(moving)?, writers, true);
        let name = format!("copy --to {}", new.kind.name());
        let row = measure(self.options, &self.place, Some(&new), &load, &name, &["copy", "--yes"]).await?;
        self.rows.push(row);
        let writers = load.stop().await?;

        eprintln!("{}: looking for each session …", self.place.kind.name());
        for writer in &writers {
            let [alive, ended] = writer.ids()?;
            self.census.expect(alive, ended);
        }
        let found = self.census.take(&*self.store, &*target).await?;
        let checked = outcome(&manager(target)?, writers).await?;
        let moved = Moved {
            from: self.place.kind.name().to_owned(),
            to: new.kind.name().to_owned(),
            writers: WRITERS,
            increments: checked.increments,
            ended: checked.ended,
            alive: found.alive,
            lost: found.lost + checked.lost,
            revived: found.revived + checked.revived,
            left: found.left,
        };
        Ok((self.rows, moved))
    }
}

/// Requests as an application makes them. No session is due to be touched: or it would be another load after a minute.
fn manager(store: Arc<dyn SessionStore>) -> Result<SessionManager, Failure> {
    const LONG: Duration = Duration::from_secs(8 * 3600);
    let policy = Policy::standard().to_builder().idle_timeout(LONG).absolute_timeout(LONG);
    let policy = policy.anonymous(Timeouts { idle: LONG, absolute: LONG }).touch_interval(LONG / 2);
    // A busy machine is no failure.
    let policy = policy.store_timeout(Duration::from_secs(20)).build()?;
    Ok(SessionManager::builder(store).policy(policy).build())
}

/// How requests fare before a command, then while it runs.
async fn measure(
    options: &AdminOptions,
    place: &Place,
    new: Option<&Place>,
    load: &Load,
    name: &str,
    args: &[&str],
) -> Result<Administration, Failure> {
    eprint!("{:9} {name:24}", place.kind.name());
    let mut args = args.to_vec();
    if options.is_fast {
        args.push("--fast");
    }
    tokio::time::sleep(WARM_UP).await;
    let (mut runs, mut busy, mut quiet) = (Vec::new(), Vec::new(), vec![rest(options.before).await]);
    let is_repeated = new.is_none() && name != "sweep";
    loop {
        let taken = run(place, new, &args).await?;
        busy.push((taken.begin, taken.end));
        runs.push(taken);
        let so_far: Duration = busy.iter().map(|(begin, end)| *end - *begin).sum();
        if so_far >= LEAST || !is_repeated {
            break;
        }
        // They take turns, or else it would be luck what else the machine does meanwhile.
        quiet.push(rest(taken.end - taken.begin).await);
    }
    let [before, meanwhile] = [load.during(&quiet).await?, load.during(&busy).await?];
    let row = row(options, place, name, before, meanwhile, &mut runs)?;
    eprintln!(
        "{:>8.1} s {:>5.1} MiB  p99 {:>6.0} → {:>6.0} µs: {:.2}",
        row.seconds, row.peak_mib, row.before_p99_us, row.p99_us, row.p99_ratio
    );
    Ok(row)
}

/// Nothing but the load, for so long: from when to when.
async fn rest(time: Duration) -> (Instant, Instant) {
    let begin = Instant::now();
    tokio::time::sleep(time).await;
    (begin, Instant::now())
}

fn row(
    options: &AdminOptions,
    place: &Place,
    name: &str,
    before: Latencies,
    meanwhile: Latencies,
    runs: &mut [Taken],
) -> Result<Administration, Failure> {
    runs.sort_by_key(|taken| taken.end - taken.begin);
    let median = runs.get(runs.len() / 2).ok_or("it never ran")?;
    let peak = runs.iter().map(|taken| taken.peak_bytes).max().unwrap_or_default();
    Ok(Administration {
        store: place.kind.name().to_owned(),
        command: name.to_owned(),
        sessions: options.sessions.get(),
        requests_per_s: RATE,
        runs: runs.len(),
        seconds: (median.end - median.begin).as_secs_f64(),
        own_seconds: median.own_seconds,
        peak_mib: peak as f64 / f64::from(1 << 20),
        before_p50_us: before.p50_us,
        before_p99_us: before.p99_us,
        requests: meanwhile.requests,
        p50_us: meanwhile.p50_us,
        p99_us: meanwhile.p99_us,
        p99_ratio: meanwhile.p99_us / before.p99_us.max(f64::MIN_POSITIVE),
    })
}
