//! `cargo xtask bench`: compares every backend with its floor. Prints progress to standard error and the report to
//! standard output, and writes report and chart into `target/bench`.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use session_benches::{
    AdminOptions, AdminStore, Case, Environment, Failure, Moved, Report, Row, RunLength, Sample, Servers, admin,
    compare, cost, followers, growth, markdown, memory, svg, text,
};
use session_testbed::table::Format;
use tokio::runtime::{Builder, Runtime};

/// Round trips are counted over this many calls.
const COUNTED: u32 = 50;
/// By then, the background work of a pool is done.
const SETTLED: Duration = Duration::from_millis(100);

/// Compares every backend with the least work that could do the same, and draws tables and a chart.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench", after_help = "Other session libraries: cargo xtask bench --rivals --help")]
struct Arguments {
    /// Shorter rounds and fewer sessions: within ten minutes instead of an hour.
    #[arg(long)]
    quick: bool,
    /// Only cases with this in their names, for example `request-read/64` or `redis`. Names are op/concurrency/backend,
    /// and `growth`.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How much memory a session occupies on each backend, instead of how long an operation takes.
    #[arg(long, conflicts_with_all = ["filter", "quick"])]
    memory: bool,
    /// What a call costs the servers, instead of how long an operation takes: time of the processor, bytes sent, bytes logged.
    #[arg(long, conflicts_with_all = ["filter", "quick", "memory"])]
    cost: bool,
    /// What followers of a feed cost the server of each write, instead of how long an operation takes.
    #[arg(long, conflicts_with_all = ["filter", "quick", "memory", "cost"])]
    followers: bool,
    /// What `session-admin` takes on a million sessions, and how requests fare meanwhile, instead of how long an operation takes.
    #[arg(long, conflicts_with_all = ["filter", "quick", "memory", "cost", "followers"])]
    admin: bool,
    #[command(flatten)]
    of_admin: OfAdmin,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Options of `--admin`.
#[derive(clap::Args)]
struct OfAdmin {
    /// How many sessions there are.
    #[arg(long, value_name = "N", default_value = "1000000", requires = "admin")]
    sessions: NonZeroUsize,
    /// On which stores.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values = ["redis", "postgres", "sqlite"],
        requires = "admin"
    )]
    stores: Vec<AdminStore>,
    /// How many seconds requests are measured before each command.
    #[arg(long, value_name = "SECONDS", default_value = "20", requires = "admin")]
    before: u64,
    /// Run it with `--fast`, as where nobody uses the store.
    #[arg(long, requires = "admin")]
    fast: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let published = run(&arguments).and_then(|report| publish(&arguments, &report).map(|()| report));
    match published.and_then(|report| judge(&report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report, Failure> {
    // Stores are measured on all cores, requests on one, where their floor does not depend on contention among cores.
    let all_cores = Builder::new_multi_thread().enable_all().build()?;
    let one_core = Builder::new_current_thread().enable_all().build()?;
    eprintln!("starting the servers …");
    let servers = all_cores.block_on(Servers::launch())?;
    let environment = all_cores.block_on(Environment::of(&servers))?;
    let mut report = Report { environment, ..Report::default() };
    if arguments.memory {
        report.memory = all_cores.block_on(memory(&servers.addresses()))?;
        return Ok(report);
    }
    if arguments.cost {
        report.cost = all_cores.block_on(cost(&servers.addresses()))?;
        return Ok(report);
    }
    if arguments.followers {
        report.followers = all_cores.block_on(followers(&servers))?;
        return Ok(report);
    }
    if arguments.admin {
        let OfAdmin { sessions, stores, before, fast } = &arguments.of_admin;
        let before = Duration::from_secs(*before);
        let options = AdminOptions { stores: stores.clone(), sessions: *sessions, before, is_fast: *fast };
        (report.administration, report.moved) = all_cores.block_on(admin(&servers, &options))?;
        return Ok(report);
    }
    let length = if arguments.quick { RunLength::QUICK } else { RunLength::FULL };
    let selected = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter));
    let cases: Vec<Case> = Case::all().into_iter().filter(|case| selected(&case.name())).collect();
    if cases.is_empty() && !selected("growth") {
        return Err("nothing has this in its name; names are like request-read/64/redis, and growth".into());
    }
    report.rows = rows(&cases, &servers, &all_cores, &one_core, length)?;
    if selected("growth") {
        let sizes = sizes(arguments.quick);
        report.growth = all_cores.block_on(growth(&servers.addresses(), sizes, length))?;
    }
    Ok(report)
}

/// How many sessions a store grows to: ten millions of Redis and of its floor take nine gigabytes.
fn sizes(is_quick: bool) -> &'static [usize] {
    const ROOM: u64 = 14 << 30;
    match (is_quick, available_memory()) {
        (true, _) => &[1_000, 100_000],
        (false, Some(room)) if room >= ROOM => &[1_000, 100_000, 1_000_000, 10_000_000],
        (false, _) => &[1_000, 100_000, 1_000_000],
    }
}

/// In bytes.
fn available_memory() -> Option<u64> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

fn rows(
    cases: &[Case],
    servers: &Servers,
    all_cores: &Runtime,
    one_core: &Runtime,
    length: RunLength,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut counted = HashMap::new();
    let start = Instant::now();
    for (number, case) in (1..).zip(cases) {
        eprint!("[{number}/{}] {:40}", cases.len(), case.name());
        let named = |error: Failure| -> Failure { format!("{}: {error}", case.name()).into() };
        let key = (case.operation.name(), case.backend.name());
        let round_trips = match counted.get(&key) {
            Some(counted) => *counted,
            None => *counted.entry(key).or_insert(all_cores.block_on(round_trips(case, servers)).map_err(named)?),
        };
        let runtime = if case.operation.is_of_store() { all_cores } else { one_core };
        let samples = runtime.block_on(async {
            let [floor, benchmark] = case.open(&servers.addresses()).await?;
            compare(&[&*floor, &*benchmark], case.concurrency, length).await
        });
        let samples = samples.map_err(named)?;
        all_cores.block_on(servers.addresses().clear()).map_err(named)?;
        for ((sample, round_trips), prefix) in samples.into_iter().zip(round_trips).zip(["floor-", ""]) {
            rows.push(Row {
                op: case.operation.name().to_owned(),
                backend: format!("{prefix}{}", case.backend.name()),
                concurrency: case.concurrency,
                sample,
                round_trips,
            });
        }
        if let Some(row) = rows.last() {
            let minutes = start.elapsed().as_secs_f64() / 60.0;
            let Sample { ops_per_s, ratio_to_floor, .. } = row.sample;
            eprintln!(" {ops_per_s:>9.0}/s  {ratio_to_floor:.2} of the floor  ({minutes:.1} min)");
        }
    }
    Ok(rows)
}

/// Round trips per call, of the floor and of the operation.
async fn round_trips(case: &Case, servers: &Servers) -> Result<[f64; 2], Failure> {
    let proxies = servers.proxies().await?;
    let mut counts = [0.0; 2];
    for (benchmark, count) in case.open(&proxies.addresses()).await?.iter().zip(&mut counts) {
        tokio::time::sleep(SETTLED).await;
        let before = AtomicU64::new(0);
        let started = || before.store(proxies.round_trips(), Ordering::SeqCst);
        benchmark.single(usize::try_from(COUNTED)?, &started).await?;
        tokio::time::sleep(SETTLED).await;
        *count = (proxies.round_trips() - before.into_inner()) as f64 / f64::from(COUNTED);
    }
    Ok(counts)
}

/// # Errors
/// If a session was lost or came back, or one was left behind, while all of them moved.
fn judge(report: &Report) -> Result<(), Failure> {
    match report.moved.iter().find(|moved| moved.lost + moved.revived + moved.left > 0) {
        Some(Moved { from, to, lost, revived, left, .. }) => {
            Err(format!("from {from} to {to}: {lost} sessions lost, {revived} revived, {left} left behind").into())
        }
        None => Ok(()),
    }
}

/// Prints the report, and writes it with its chart into `target/bench`.
fn publish(arguments: &Arguments, report: &Report) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    match arguments.format {
        Format::Text => print!("{}", text(report)),
        Format::Md => print!("{}", markdown(report)),
        Format::Json => print!("{json}"),
    }
    let name = match arguments {
        Arguments { memory: true, .. } => "memory.json",
        Arguments { cost: true, .. } => "cost.json",
        Arguments { followers: true, .. } => "followers.json",
        Arguments { admin: true, .. } => "admin.json",
        _ => "bench.json",
    };
    save(name, &json)?;
    if !report.rows.is_empty() {
        save("bench.svg", &svg(report))?;
    }
    Ok(())
}

fn save(name: &str, content: &str) -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join(name), content))
        .map_err(|error| format!("cannot write target/bench/{name}: {error}"))?;
    eprintln!("wrote target/bench/{name}");
    Ok(())
}
