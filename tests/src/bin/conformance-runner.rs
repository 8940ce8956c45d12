//! Runs the conformance suite on every backend. Progress goes to standard error, the report as JSON to standard output.
//! `cargo xtask conformance` starts it and draws the report.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use session_conformance::{CaseResult, Harness, Options, Report, cases, matching, run};
use session_testbed::backends;

#[derive(Parser)]
#[command(about = "Runs the conformance suite; prints the report as JSON.")]
struct Arguments {
    /// Only this backend; may be given several times. Without it, all.
    #[arg(long, value_name = "NAME")]
    backend: Vec<String>,
    /// Only cases whose id matches, for example `update/*`.
    #[arg(long, value_name = "GLOB")]
    case: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match report(&Arguments::parse()).await {
        Ok((report, json)) => {
            println!("{json}");
            if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn report(arguments: &Arguments) -> Result<(Report, String), String> {
    let cases = arguments.case.as_deref().map_or_else(cases, matching);
    if cases.is_empty() {
        return Err(format!("no case matches `{}`", arguments.case.as_deref().unwrap_or_default()));
    }
    let mut report = Report::default();
    for harness in chosen(&arguments.backend)? {
        let backend = harness.backend();
        let begin = Instant::now();
        eprintln!("{backend}: {} cases …", cases.len());
        let results = run(harness, &cases, Options::default()).await;
        for result in &results {
            if let CaseResult::Fail(why) = &result.result {
                eprintln!("{backend}: {} failed: {why}", result.id);
            }
        }
        report.add(backend, &results);
        eprintln!("{backend}: done in {:.1} s", begin.elapsed().as_secs_f64());
    }
    let json = serde_json::to_string(&report).map_err(|error| format!("the report cannot be encoded: {error}"))?;
    Ok((report, json))
}

/// The backends called `names`; all without names.
fn chosen(names: &[String]) -> Result<Vec<Arc<dyn Harness>>, String> {
    let all = backends();
    let known: Vec<&str> = all.iter().map(|harness| harness.backend()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no backend `{unknown}`; there are: {}", known.join(", ")));
    }
    Ok(all
        .into_iter()
        .filter(|harness| names.is_empty() || names.iter().any(|name| name == harness.backend()))
        .collect())
}
