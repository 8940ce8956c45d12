//! One shard: the command that tests it, and its outcome on disk, which is kept until a source changes.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::str::FromStr;

use super::outcome::Outcome;
use crate::command::{Cargo, root};
use crate::workspace::{files, package, read};

/// The package that is mutated.
const MUTATED: &str = "session-core";

/// The conformance suite on the reference store: package and test target.
const SUITE: (&str, &str) = ("session-conformance", "conformance");

/// Tests of [`MUTATED`] that are not run for each mutant, and why.
const SKIPPED: [(&str, &str); 3] = [
    ("what_must_not_compile", "two minutes, and a mutant has the signatures of the original"),
    ("the_family_keeps_its_laws", "9 s; tests/refresh.rs and the suite assert the same laws on chosen interleavings"),
    ("each_bug_is_caught", "3 s, and tests the model"),
];

/// What cargo-mutants exits with if it tested the shard: nothing found, something missed, a timeout.
const TESTED: [i32; 3] = [0, 2, 3];

/// Every N-th mutant from the K-th on, counted from 0, so that a shard is a sample of all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    k: usize,
    n: usize,
}

impl Shard {
    pub(crate) fn all(n: usize) -> Vec<Self> {
        (0..n).map(|k| Self { k, n }).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.k, self.n)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().map_err(|_| "a shard is K/N, for example 0/8".to_owned());
        let (k, n) = text.split_once('/').unwrap_or((text, ""));
        let (k, n) = (number(k)?, number(n)?);
        if k < n { Ok(Self { k, n }) } else { Err(format!("K counts from 0 to {}", n.saturating_sub(1))) }
    }
}

/// Which mutants are meant.
pub(crate) struct Selection<'a> {
    pub(crate) files: &'a [String],
    pub(crate) filters: &'a [String],
}

impl Selection<'_> {
    pub(crate) fn is_everything(&self) -> bool {
        self.files.is_empty() && self.filters.is_empty()
    }

    /// `cargo mutants` for this selection, without saying what to do with it.
    pub(crate) fn command(&self, shard: Option<Shard>) -> Cargo {
        let mut command = Cargo::new("mutants").args(["--package", MUTATED]);
        for (option, values) in [("--file", self.files), ("--re", self.filters)] {
            for value in values {
                command = command.args([option, value]);
            }
        }
        if let Some(shard) = shard {
            command = command.args(["--sharding", "round-robin", "--shard", &shard.to_string()]);
        }
        command
    }

    /// The outcome of `shard`: tested now, unless it is complete for the present sources and not wanted `again`.
    pub(crate) fn test(&self, shard: Shard, version: &str, again: bool) -> Result<Outcome, String> {
        let prefix = if self.is_everything() { "" } else { "selected-" };
        let folder = root().join(format!("target/mutants/{prefix}{}-of-{}", shard.k, shard.n));
        let command = self.tests(shard, &folder)?;
        let key = key(version, command.shown())?;
        let key_file = folder.join("key");
        if !again && fs::read_to_string(&key_file).is_ok_and(|kept| kept == key) {
            eprintln!("shard {shard} is complete for the present sources (--again runs it)");
            return Outcome::read(&folder);
        }
        // cargo-mutants works on a copy of the repository, and leaves it behind if it is killed.
        let copy = folder.join("tmp");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&copy).map_err(|error| format!("cannot create {}: {error}", copy.display()))?;
        let mut command = command.env("TMPDIR", &copy.to_string_lossy()).env("CARGO_PROFILE_DEV_DEBUG", "none");
        eprintln!("\nshard {shard}: {}", command.shown());
        let code = command.status()?.code();
        if !code.is_some_and(|code| TESTED.contains(&code)) {
            return Err(format!("shard {shard} is not complete; the reason is above"));
        }
        if !folder.join("mutants.out/outcomes.json").exists() {
            return Err(format!("shard {shard}: no mutant matches"));
        }
        let outcome = Outcome::read(&folder)?;
        fs::write(&key_file, key).map_err(|error| format!("cannot write {}: {error}", key_file.display()))?;
        Ok(outcome)
    }

    /// The command with the tests that are run for each mutant, and where their outcome goes.
    fn tests(&self, shard: Shard, folder: &Path) -> Result<Cargo, String> {
        let (suite, target) = SUITE;
        let mut arguments = vec![format!("--package={suite}"), "--lib".to_owned(), format!("--test={target}")];
        let targets = package(MUTATED)?.targets;
        let tests = targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "test"));
        arguments.extend(tests.map(|test| format!("--test={}", test.name)));
        let arguments = arguments.into_iter().map(|argument| format!("--cargo-arg={argument}"));
        let skipped = SKIPPED.iter().flat_map(|(test, _)| ["--skip", test]);
        let command = self.command(Some(shard)).args(["--output".as_ref(), folder.as_os_str()]);
        // A test that takes much longer on a busy machine is not an endless loop.
        let command = command.args(["--minimum-test-timeout", "60"]);
        Ok(command.args(arguments).args(["--", "--"]).args(skipped))
    }
}

/// Changes whenever the outcome may: with the command, its version, and every Rust file of the code and its tests.
fn key(version: &str, command: &str) -> Result<String, String> {
    let mut hasher = DefaultHasher::new();
    (version, command).hash(&mut hasher);
    for name in [MUTATED, SUITE.0] {
        for path in files(package(name)?.folder(), &["rs"])? {
            (path.strip_prefix(root()).unwrap_or(&path), read(&path)?).hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{MUTATED, SKIPPED, Shard, files, package, read};

    #[test]
    fn a_shard_is_two_numbers() {
        assert_eq!("7/8".parse(), Ok(Shard { k: 7, n: 8 }));
        for wrong in ["8/8", "0/0", "1", "a/8", "-1/8", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        assert_eq!(Shard::all(2), [Shard { k: 0, n: 2 }, Shard { k: 1, n: 2 }]);
    }

    #[test]
    fn what_is_skipped_exists() {
        let files = files(package(MUTATED).unwrap().folder(), &["rs"]).unwrap();
        let code: String = files.iter().map(|path| read(path).unwrap()).collect();
        for (test, _) in SKIPPED {
            assert!(code.contains(&format!("fn {test}()")), "{MUTATED} has no test {test}");
        }
    }
}
