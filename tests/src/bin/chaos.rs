//! `cargo xtask chaos`: users on three nodes while everything goes wrong that can. See `session_testbed::chaos`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use session_conformance::Rng;
use session_testbed::chaos::{Broken, Fault, Findings, Options, Target, run};
use session_testbed::table::Table;
use session_testbed::verdict::exit_code;

/// Lets everything go wrong that can, and checks that what clients were told holds.
#[derive(Parser)]
#[command(bin_name = "cargo xtask chaos")]
struct Arguments {
    /// Where sessions are kept: the name of a backend, `all` without a cache, or `cached`, which are all with a cache in front.
    #[arg(long, value_name = "NAME", default_value = "all")]
    backend: String,
    /// How long it takes for each backend.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    minutes: f64,
    /// What the faults and the decisions of users are derived from: that of a run which is to be repeated.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many users there are, with three devices each.
    #[arg(long, value_name = "N", default_value_t = 12)]
    users: usize,
}

/// Those that are called so.
fn targets(name: &str) -> Result<Vec<Target>, String> {
    match name {
        "all" => return Ok(Target::PLAIN.to_vec()),
        "cached" => return Ok(Target::CACHED.to_vec()),
        _ => {}
    }
    let all = [Target::PLAIN, Target::CACHED].concat();
    let names: Vec<&str> = all.iter().map(|target| target.name()).collect();
    let named = all.iter().find(|target| target.name() == name);
    named.map(|target| vec![*target]).ok_or_else(|| format!("there are: all, cached, {}", names.join(", ")))
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(report(&Arguments::parse()).await)
}

/// Whether all promises held.
async fn report(arguments: &Arguments) -> Result<bool, String> {
    let Arguments { backend, minutes, seed, users } = arguments;
    let duration = Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| format!("--minutes: {error}"))?;
    let seed = match seed {
        Some(seed) => *seed,
        None => Rng::seed().map_err(|error| error.to_string())?,
    };
    println!("seed {seed}; to repeat it: cargo xtask chaos --minutes {minutes} --users {users} --seed {seed}");
    let mut all = Vec::new();
    for target in targets(backend)? {
        eprintln!("{}: {:.0} s …", target.name(), duration.as_secs_f64());
        let findings = run(Options { target, duration, seed, users: *users }).await;
        let findings = findings.map_err(|failure| format!("{}: {failure}", target.name()))?;
        for what in &findings.descriptions {
            eprintln!("{}: {what}", target.name());
        }
        all.push((target, findings));
    }
    print!("{}", table(&all));
    Ok(all.iter().all(|(_, findings)| findings.is_clean()))
}

/// What happened, and what was broken, by backend.
fn table(all: &[(Target, Findings)]) -> String {
    let names = all.iter().map(|(target, _)| target.name().to_owned());
    let mut table = Table::new([String::new()].into_iter().chain(names).collect());
    let mut row = |name: String, number: &dyn Fn(&Findings) -> usize| {
        let numbers = all.iter().map(|(_, findings)| number(findings).to_string());
        table.row([name].into_iter().chain(numbers).collect());
    };
    row("requests answered".to_owned(), &|findings| findings.answered);
    row("requests failed".to_owned(), &|findings| findings.failed);
    row("requests told to come again".to_owned(), &|findings| findings.raced);
    row("callers that gave up".to_owned(), &|findings| findings.cancelled);
    row("sessions".to_owned(), &|findings| findings.sessions);
    row("renewals".to_owned(), &|findings| findings.renewals);
    row("logins that nobody received".to_owned(), &|findings| findings.unreceived);
    row("copies given".to_owned(), &|findings| usize::try_from(findings.copies).unwrap_or(usize::MAX));
    row("longest after its end, ms".to_owned(), &|findings| {
        usize::try_from(findings.longest_dead.as_millis()).unwrap_or(usize::MAX)
    });
    row("most connections".to_owned(), &|findings| findings.connections);
    for fault in Fault::ALL {
        row(format!("fault: {fault:?}"), &|findings| findings.faults.get(&fault).copied().unwrap_or_default());
    }
    for broken in Broken::ALL {
        row(format!("broken: {broken:?}"), &|findings| findings.broken.get(&broken).copied().unwrap_or_default());
    }
    table.text()
}
