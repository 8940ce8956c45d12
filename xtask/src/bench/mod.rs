//! `cargo xtask bench`: starts the comparison, and prints its report as tables and a chart.

mod chart;
mod report;
mod tables;

use std::fs;

use clap::Args;

use crate::command::{Cargo, root};
use crate::table::Format;
use report::Report;

#[derive(Args)]
pub(crate) struct Options {
    /// Shorter rounds and fewer sessions: within ten minutes instead of half an hour.
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name, for example `request-read/64` or `redis`. Names are op/concurrency/backend, and
    /// `growth`.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// What a session occupies on each backend, instead of how long an operation takes.
    #[arg(long, conflicts_with_all = ["filter", "quick"])]
    memory: bool,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut comparison =
        Cargo::new("run").args(["--release", "--package", "session-benches", "--bin", "compare", "--"]);
    for (flag, given) in [("--quick", options.quick), ("--memory", options.memory)] {
        if given {
            comparison = comparison.args([flag]);
        }
    }
    if let Some(filter) = &options.filter {
        comparison = comparison.args(["--filter", filter]);
    }
    eprintln!("{} (the first time, this compiles for some minutes)", comparison.shown());
    let (succeeded, output) = comparison.read()?;
    if !succeeded {
        // The reason is on standard error.
        return Err("the comparison failed".to_owned());
    }
    let report: Report =
        serde_json::from_str(&output).map_err(|error| format!("the report cannot be read: {error}"))?;
    match options.format {
        Format::Text => print!("{}", tables::text(&report)),
        Format::Md => print!("{}", tables::markdown(&report)),
        Format::Json => print!("{output}"),
    }
    let name = if options.memory { "memory" } else { "bench" };
    save(&format!("{name}.json"), &output)?;
    if !report.rows.is_empty() {
        save("bench.svg", &chart::svg(&report))?;
    }
    Ok(())
}

/// Writes a file into `target/bench`, and reports its path.
fn save(name: &str, content: &str) -> Result<(), String> {
    let folder = root().join("target/bench");
    let path = folder.join(name);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, content))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    eprintln!("wrote target/bench/{name}");
    Ok(())
}
