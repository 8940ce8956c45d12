//! `cargo xtask coherence`: how soon a node obeys what another one did, and how late at most. See `session_testbed::coherence`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde_json::json;
use session_conformance::Rng;
use session_testbed::coherence::{Fault, Latency, Options, Outcome, Store, failures, latency};
use session_testbed::table::Table;
use session_testbed::verdict::exit_code;

/// Two processes of the demo on one store: what reading a session costs, how soon one obeys what the other did, and how late at
/// most, whatever goes wrong.
#[derive(Parser)]
#[command(bin_name = "cargo xtask coherence")]
struct Arguments {
    /// What to run.
    #[arg(long, value_enum, default_value_t)]
    part: Part,
    /// Only this store; may be given several times.
    #[arg(long, value_enum, value_name = "STORE")]
    store: Vec<Store>,
    /// How often each thing is done whose time is measured.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rounds: usize,
    /// Only this failure; may be given several times. Those that a store cannot have are left out there.
    #[arg(long, value_enum, value_name = "FAILURE")]
    failure: Vec<Fault>,
    /// How often each failure happens to a node, at least.
    #[arg(long, value_name = "N", default_value_t = 20)]
    runs: usize,
    /// To how many nodes it happens at once.
    #[arg(long, value_name = "N", default_value_t = 10)]
    nodes: usize,
    /// What the moments of failures are derived from: that of a run which is to be repeated. Then once is enough: --runs 1
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Each thing 100 times, each failure once, to two nodes.
    #[arg(long)]
    quick: bool,
    /// Writes what was found to this file, as JSON.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What reading costs, and how soon a revocation is obeyed when nothing is wrong.
    Latency,
    /// How late it is obeyed at most.
    Failures,
    /// Both.
    #[default]
    All,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(report(&Arguments::parse()).await)
}

/// Whether everything was run, and held.
async fn report(arguments: &Arguments) -> Result<bool, String> {
    let Arguments { part, quick, .. } = arguments;
    let stores = if arguments.store.is_empty() { Store::ALL.to_vec() } else { arguments.store.clone() };
    let seed = arguments.seed.map_or_else(Rng::seed, Ok).map_err(|failure| failure.to_string())?;
    let begin = Instant::now();
    let (mut latencies, mut outcomes) = (Vec::new(), Vec::new());
    for store in stores {
        let name = store.name();
        let progress = |what: &str| eprintln!("[{:>5.1} s] {name}: {what}", begin.elapsed().as_secs_f64());
        if *part != Part::Failures {
            let rounds = if *quick { 100 } else { arguments.rounds };
            let measured = latency(store, rounds, &progress).await;
            latencies.push(measured.map_err(|failure| format!("{name}: {failure}"))?);
        }
        if *part != Part::Latency {
            let asked_for = |fault: &Fault| arguments.failure.is_empty() || arguments.failure.contains(fault);
            let faults: Vec<Fault> = Fault::of(store).into_iter().filter(asked_for).collect();
            let [runs, nodes] = if *quick { [1, 2] } else { [arguments.runs, arguments.nodes.max(1)] };
            let found = failures(store, &faults, Options { runs, nodes, seed }, &progress).await;
            outcomes.extend(found.map_err(|failure| format!("{name}: {failure}"))?);
        }
    }
    if latencies.is_empty() && outcomes.is_empty() {
        return Err("none of these stores can have one of these failures".to_owned());
    }
    if !latencies.is_empty() {
        println!("{}\n{}", reads(&latencies), revocations(&latencies));
    }
    if !outcomes.is_empty() {
        print!("{}", served(&outcomes));
    }
    if let Some(path) = &arguments.json {
        let json = json!({ "debug": cfg!(debug_assertions), "seed": seed, "latency": latencies, "failures": outcomes });
        std::fs::write(path, format!("{json:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(latencies.iter().all(Latency::is_free) && outcomes.iter().all(Outcome::holds))
}

/// What reading a warm session costs.
fn reads(latencies: &[Latency]) -> String {
    let header =
        ["reads of a warm session", "number", "executed", "without copies", "hits", "misses", "round trip, p50"];
    let mut table = Table::new(header.map(str::to_owned).to_vec());
    for latency in latencies {
        let executed = match latency.executed.is_empty() {
            true => "0".to_owned(),
            false => format!("{:?}", latency.executed),
        };
        let cells = [
            latency.store.to_owned(),
            latency.rounds.to_string(),
            executed,
            latency.executed_without_copies.to_string(),
            latency.hits.to_string(),
            latency.misses.to_string(),
            format!("{:.2} ms", latency.round_trip_ms),
        ];
        table.row(cells.to_vec());
    }
    table.text()
}

/// How soon each revocation is obeyed.
fn revocations(latencies: &[Latency]) -> String {
    let header = ["until the other node refuses", "after", "p50", "p99", "max", "served meanwhile"];
    let mut table = Table::new(header.map(str::to_owned).to_vec());
    for latency in latencies {
        for (revocation, delays) in &latency.revocations {
            let [p50, p99, max] = [delays.p50_ms, delays.p99_ms, delays.max_ms].map(|delay| format!("{delay:.2} ms"));
            let served = delays.served.to_string();
            table.row(vec![latency.store.to_owned(), revocation.name().to_owned(), p50, p99, max, served]);
        }
    }
    table.text()
}

/// How long what was revoked was served at most.
fn served(outcomes: &[Outcome]) -> String {
    let header = [
        "served after its end",
        "failure",
        "runs",
        "revoked",
        "forgotten",
        "questions",
        "longest",
        "without copies",
        "law",
    ];
    let mut table = Table::new(header.map(str::to_owned).to_vec());
    for outcome in outcomes {
        let law = match &outcome.unrun {
            Some(_) => "NOT RUN".to_owned(),
            None if outcome.holds() => "holds".to_owned(),
            None if outcome.broken.is_empty() => "NOTHING REVOKED, OR FORGOTTEN".to_owned(),
            None => format!("BROKEN in {} runs, seed {}", outcome.broken.len(), outcome.broken[0].seed),
        };
        let numbers = [outcome.runs, outcome.revoked, outcome.forgotten].map(|number| number.to_string());
        let times = [outcome.longest_ms, outcome.longest_without_copies_ms].map(|time| format!("{time} ms"));
        let names = [outcome.store.to_owned(), outcome.failure.clone()];
        table.row([&names[..], &numbers, &[outcome.answers.to_string()], &times, &[law]].concat());
    }
    table.text()
}
