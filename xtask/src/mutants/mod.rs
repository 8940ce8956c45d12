//! `cargo xtask mutants`: mutation testing of session-core. Every mutant is caught by a test, or accepted in a list
//! with the reason.
//!
//! A mutant is tested by session-core's unit and integration tests, then by the conformance suite on the reference
//! store; about 7 s each. Not by documentation tests, which repeat what the others assert and take longer to compile
//! than all of them.

mod accepted;
mod outcome;
mod shard;

use clap::Args;

use self::accepted::Accepted;
use self::outcome::{Mutant, summary};
use self::shard::{Selection, Shard};
use crate::command::Cargo;

/// Complete runs are split into this many shards.
const SHARDS: usize = 8;

#[derive(Args)]
pub(crate) struct Options {
    /// Only shard K of N, counted from 0. Without it, all 8 in turn; with --file or --filter, 1.
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Runs a shard again although it is complete for the present sources.
    #[arg(long)]
    again: bool,
    /// Only mutants in files of this name, or of this path if it has a slash; may be given several times.
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// Only mutants whose line in `--list` matches; may be given several times.
    #[arg(long, value_name = "REGEX")]
    filter: Vec<String>,
    /// Lists the mutants instead of testing them.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let version = installed()?;
    let selection = Selection { files: &options.file, filters: &options.filter };
    if options.list {
        return selection.command(options.shard).args(["--list"]).run("listing the mutants");
    }
    let accepted = accepted::read_list()?;
    let shards = match options.shard {
        Some(shard) => vec![shard],
        None => Shard::all(if selection.is_everything() { SHARDS } else { 1 }),
    };
    let complete = options.shard.is_none() && selection.is_everything();
    let mut outcomes = Vec::new();
    for shard in shards {
        outcomes.push((shard.to_string(), selection.test(shard, &version, options.again)?));
    }
    print!("{}", summary(&outcomes));
    judge(outcomes.into_iter().flat_map(|(_, outcome)| outcome.missed).collect(), accepted, complete)
}

/// Prints what was missed; fails unless all of it is accepted, and after a complete run, unless all that is accepted was
/// missed.
fn judge(missed: Vec<Mutant>, accepted: Vec<Accepted>, complete: bool) -> Result<(), String> {
    let survivors = accepted::compare(missed, accepted);
    for (mutant, reason) in &survivors.accepted {
        println!("accepted  {}: {reason}", mutant.name);
    }
    for mutant in &survivors.unexplained {
        println!("missed    {}", mutant.name);
    }
    let mut failures = Vec::new();
    if !survivors.unexplained.is_empty() {
        let count = survivors.unexplained.len();
        failures.push(format!("{count} mutants were missed: test them, or accept them in {}", accepted::FILE));
    }
    if complete {
        let stale = survivors.unmatched.iter();
        failures
            .extend(stale.map(|mutant| format!("{}: no mutant was missed that is called {mutant}", accepted::FILE)));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The version of cargo-mutants, which is installed if it is missing.
fn installed() -> Result<String, String> {
    if !Cargo::new("mutants").args(["--version"]).exists() {
        let install = Cargo::new("install").args(["--locked", "cargo-mutants"]);
        eprintln!("cargo-mutants is missing: {} (compiles for some minutes)", install.shown());
        install.run("installing cargo-mutants")?;
    }
    let (_, version) = Cargo::new("mutants").args(["--version"]).read()?;
    Ok(version.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Mutant, accepted, judge};

    #[test]
    fn what_is_missed_must_be_accepted_and_what_is_accepted_missed() {
        let missed = |name: &&str| Mutant::new("a.rs", &format!("a.rs:1:2: {name}"));
        let list = || accepted::parse("a.rs: replace f with 0 # equal").unwrap_or_default();
        let judge = |names: &[&str], complete| judge(names.iter().map(missed).collect(), list(), complete);
        assert!(judge(&["replace f with 0"], true).is_ok());
        assert!(judge(&["replace f with 0", "replace g with 0"], true).is_err());
        // Another shard may have missed it.
        assert!(judge(&[], false).is_ok());
        assert!(judge(&[], true).is_err());
    }
}
