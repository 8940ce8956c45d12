//! Compares every backend with its floor. Progress goes to standard error, the report as JSON to standard output.
//! `cargo xtask bench` starts it and draws the report.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use session_benches::{Case, Effort, Environment, Failure, Report, Row, Servers, What, compare, growth, memory};
use tokio::runtime::{Builder, Runtime};

/// Round trips are counted over this many calls.
const COUNTED: u32 = 50;
/// By then, whatever a pool does in the background is done.
const SETTLED: Duration = Duration::from_millis(100);

#[derive(Parser)]
#[command(about = "Compares every backend with its floor; prints the report as JSON.")]
struct Arguments {
    /// Shorter rounds, fewer sessions: minutes instead of half an hour.
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name: op/concurrency/backend, or growth.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// What a session occupies, instead of how long an operation takes.
    #[arg(long, conflicts_with = "filter")]
    memory: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, Failure> {
    // Stores are measured by all cores, requests by one: so the floor of a request is not what cores cost each other.
    let cores = Builder::new_multi_thread().enable_all().build()?;
    let one = Builder::new_current_thread().enable_all().build()?;
    eprintln!("starting the servers …");
    let servers = cores.block_on(Servers::launch())?;
    let environment = cores.block_on(Environment::of(&servers))?;
    let mut report = Report { environment, rows: Vec::new(), growth: Vec::new(), memory: Vec::new() };
    if arguments.memory {
        report.memory = cores.block_on(memory(&servers.addresses()))?;
    } else {
        let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
        let wanted = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter));
        let cases: Vec<Case> = Case::all().into_iter().filter(|case| wanted(&case.name())).collect();
        if cases.is_empty() && !wanted("growth") {
            return Err("nothing has this in its name; names are like request-read/64/redis, and growth".into());
        }
        report.rows = rows(&cases, &servers, &cores, &one, effort)?;
        if wanted("growth") {
            let sizes: &[usize] = if arguments.quick { &[1_000, 100_000] } else { &[1_000, 100_000, 1_000_000] };
            report.growth = cores.block_on(growth(&servers.addresses(), sizes, effort))?;
        }
    }
    Ok(serde_json::to_string_pretty(&report)?)
}

fn rows(
    cases: &[Case],
    servers: &Servers,
    cores: &Runtime,
    one: &Runtime,
    effort: Effort,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut counted = HashMap::new();
    let begin = Instant::now();
    for (number, case) in (1..).zip(cases) {
        eprint!("[{number}/{}] {:40}", cases.len(), case.name());
        let named = |error: Failure| -> Failure { format!("{}: {error}", case.name()).into() };
        let key = (case.what.name(), case.backend.name());
        let round_trips = match counted.get(&key) {
            Some(counted) => *counted,
            None => *counted.entry(key).or_insert(cores.block_on(round_trips(case, servers)).map_err(named)?),
        };
        let runtime = if matches!(case.what, What::Store(_)) { cores } else { one };
        let samples = runtime.block_on(async {
            let [floor, subject] = case.open(&servers.addresses()).await?;
            compare(&[&*floor, &*subject], case.concurrency, effort).await
        });
        let samples = samples.map_err(named)?;
        cores.block_on(servers.addresses().clear()).map_err(named)?;
        for ((sample, round_trips), prefix) in samples.iter().zip(round_trips).zip(["floor-", ""]) {
            rows.push(Row {
                op: case.what.name().to_owned(),
                backend: format!("{prefix}{}", case.backend.name()),
                concurrency: case.concurrency,
                ops_per_s: sample.ops_per_s,
                p50_us: sample.p50_us,
                p99_us: sample.p99_us,
                ratio_to_floor: sample.ratio,
                round_trips,
            });
        }
        if let Some(row) = rows.last() {
            let minutes = begin.elapsed().as_secs_f64() / 60.0;
            eprintln!(" {:>9.0}/s  {:.2} of the floor  ({minutes:.1} min)", row.ops_per_s, row.ratio_to_floor);
        }
    }
    Ok(rows)
}

/// How many round trips one call of the floor begins, and one of the operation.
async fn round_trips(case: &Case, servers: &Servers) -> Result<[f64; 2], Failure> {
    let proxies = servers.proxies().await?;
    let mut counts = [0.0; 2];
    for (subject, count) in case.open(&proxies.addresses()).await?.iter().zip(&mut counts) {
        tokio::time::sleep(SETTLED).await;
        let before = AtomicU64::new(0);
        let begun = || before.store(proxies.round_trips(), Ordering::SeqCst);
        subject.alone(usize::try_from(COUNTED)?, &begun).await?;
        tokio::time::sleep(SETTLED).await;
        *count = (proxies.round_trips() - before.into_inner()) as f64 / f64::from(COUNTED);
    }
    Ok(counts)
}
