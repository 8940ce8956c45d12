//! `cargo xtask mutants`: mutation testing of session-core with cargo-mutants. Every mutant is caught by a test, or
//! excluded in `.cargo/mutants.toml` with the reason.
//!
//! A mutant is tested by session-core's unit and integration tests, then by the conformance suite on the reference
//! store; about 7 s each. Not by documentation tests, which repeat what the others assert and take longer to compile
//! than all of them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use clap::Args;

use crate::command::{Cargo, root};
use crate::workspace::{files, folder, package, read};

/// The package that is mutated.
const MUTATED: &str = "session-core";

/// The conformance suite on the reference store: package and test target.
const SUITE: (&str, &str) = ("session-conformance", "conformance");

/// Tests of [`MUTATED`] that are not run for each mutant, and why.
const SKIPPED: [(&str, &str); 2] = [
    ("the_family_keeps_its_laws", "9 s; tests/refresh.rs and the suite assert the same laws on chosen interleavings"),
    ("each_bug_is_caught", "3 s, and tests the model"),
];

/// What cargo-mutants exits with if it tested every mutant: none survived, some were missed, some did not end.
const TESTED: [i32; 3] = [0, 2, 3];

/// The files in which cargo-mutants lists mutants by what became of them. One that does not end counts as caught.
const OUTCOMES: [&str; 4] = ["caught", "missed", "timeout", "unviable"];

#[derive(Args)]
pub(crate) struct Options {
    /// Only every N-th mutant from the K-th on, counted from 0. Without it, all shards of 8 in turn.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Given to cargo-mutants, after `--`: for example `--file verdict.rs`, `--re REGEX`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: Options) -> Result<(), String> {
    if !Cargo::new("mutants").args(["--version"]).exists() {
        eprintln!("cargo-mutants is missing, and compiles for some minutes");
        Cargo::new("install").args(["--locked", "cargo-mutants"]).run("installing cargo-mutants")?;
    }
    let shards = match options.shard {
        Some(shard) => vec![shard],
        None if options.arguments.is_empty() => (0..8).map(|k| format!("{k}/8")).collect(),
        None => vec!["0/1".to_owned()],
    };
    let mut table = format!("shard  {}\n", OUTCOMES.join("  "));
    let mut missed = Vec::new();
    for shard in shards {
        let outcomes = test(&shard, &options.arguments)?;
        let counts =
            outcomes.iter().zip(OUTCOMES).map(|(mutants, name)| format!("  {:<1$}", mutants.len(), name.len()));
        table += &format!("{shard:5}{}\n", counts.collect::<String>());
        let [_, survivors, _, _] = outcomes;
        missed.extend(survivors);
    }
    println!("\n{table}{}", missed.join("\n"));
    if missed.is_empty() {
        return Ok(());
    }
    let count = missed.len();
    Err(format!("{count} mutants were missed: test them, or exclude them in .cargo/mutants.toml with the reason"))
}

/// The mutants of a shard by [`OUTCOMES`]: tested now, unless that was done with the present sources.
fn test(shard: &str, arguments: &[String]) -> Result<[Vec<String>; 4], String> {
    let prefix = if arguments.is_empty() { "" } else { "selected-" };
    let place = root().join("target/mutants").join(prefix.to_owned() + &shard.replace('/', "-of-"));
    let command = command(shard, arguments, &place)?;
    let key_file = place.join("key");
    let key = key(command.shown())?;
    if fs::read_to_string(&key_file).is_ok_and(|kept| kept == key) {
        eprintln!("shard {shard} is complete for the present sources: {}", place.display());
    } else {
        // cargo-mutants works on a copy of the repository, and leaves it behind if it is killed.
        let copy = place.join("tmp");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&copy).map_err(|error| format!("cannot create {}: {error}", copy.display()))?;
        let mut command = command.env("TMPDIR", &copy.to_string_lossy()).env("CARGO_PROFILE_DEV_DEBUG", "none");
        eprintln!("\nshard {shard}: {}", command.shown());
        if !command.status()?.code().is_some_and(|code| TESTED.contains(&code)) {
            return Err(format!("shard {shard} is not complete; the reason is above"));
        }
        if !place.join("mutants.out/caught.txt").exists() {
            return Err(format!("shard {shard}: nothing was tested"));
        }
        fs::write(&key_file, key).map_err(|error| format!("cannot write {}: {error}", key_file.display()))?;
    }
    let outcome = |name| read(&place.join(format!("mutants.out/{name}.txt")));
    let [caught, missed, timeout, unviable] = OUTCOMES.map(outcome);
    Ok([caught?, missed?, timeout?, unviable?].map(|text| text.lines().map(str::to_owned).collect()))
}

/// `cargo mutants` with the tests that are run for each mutant.
fn command(shard: &str, arguments: &[String], folder: &Path) -> Result<Cargo, String> {
    let (suite, target) = SUITE;
    let mut tests = vec![format!("--package={suite}"), "--lib".to_owned(), format!("--test={target}")];
    let targets = package(MUTATED)?.targets;
    tests.extend(targets.iter().filter(|target| target.is_test()).map(|test| format!("--test={}", test.name)));
    let command = Cargo::new("mutants").args(["--package", MUTATED, "--sharding", "round-robin", "--shard", shard]);
    // A test that takes much longer on a busy machine is not an endless loop.
    let command = command.args(["--minimum-test-timeout", "60", "--output"]).args([folder]).args(arguments);
    let command = command.args(tests.iter().map(|test| format!("--cargo-arg={test}")));
    Ok(command.args(["--", "--"]).args(SKIPPED.iter().flat_map(|(test, _)| ["--skip", test])))
}

/// Changes whenever the outcome may: with the command, and every Rust file of the code and its tests.
fn key(command: &str) -> Result<String, String> {
    let mut hasher = DefaultHasher::new();
    (command, read(&root().join(".cargo/mutants.toml"))?).hash(&mut hasher);
    for name in [MUTATED, SUITE.0] {
        for path in files(folder(&package(name)?), &["rs"])? {
            (path.strip_prefix(root()).unwrap_or(&path), read(&path)?).hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{MUTATED, SKIPPED, files, folder, package, read};

    #[test]
    fn what_is_skipped_exists() {
        let files = files(folder(&package(MUTATED).unwrap()), &["rs"]).unwrap();
        let code: String = files.iter().map(|path| read(path).unwrap()).collect();
        for (test, _) in SKIPPED {
            assert!(code.contains(&format!("fn {test}()")), "{MUTATED} has no test {test}");
        }
    }
}
