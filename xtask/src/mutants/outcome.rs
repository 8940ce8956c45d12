//! What cargo-mutants found: `mutants.out/outcomes.json`.

use std::path::Path;

use serde::Deserialize;

use crate::workspace::read;

/// The outcome of one shard.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    caught: usize,
    pub(crate) missed: Vec<Mutant>,
    /// Counts as caught: the mutant does not end.
    timeout: usize,
    /// Did not compile.
    unviable: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mutant {
    /// `file:line:column: what was changed`.
    pub(crate) name: String,
    file: String,
}

impl Mutant {
    #[cfg(test)]
    pub(crate) fn new(file: &str, name: &str) -> Self {
        Self { name: name.to_owned(), file: file.to_owned() }
    }

    /// The name without line and column, which change with every line above it.
    pub(crate) fn place(&self) -> String {
        let change = self.name.split_once(": ").map_or("", |(_, change)| change);
        format!("{}: {change}", self.file)
    }
}

#[derive(Deserialize)]
struct Report {
    outcomes: Vec<Tested>,
}

#[derive(Deserialize)]
struct Tested {
    scenario: Scenario,
    summary: Summary,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Mutant),
}

#[derive(Deserialize)]
enum Summary {
    Success,
    Failure,
    CaughtMutant,
    MissedMutant,
    Timeout,
    Unviable,
}

impl Outcome {
    /// Of the shard that was tested in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join("mutants.out/outcomes.json");
        Self::parse(&read(&path)?).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    fn parse(json: &str) -> Result<Self, String> {
        let report: Report = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut outcome = Self::default();
        for Tested { scenario, summary } in report.outcomes {
            match (scenario, summary) {
                (Scenario::Baseline, _) => {}
                (Scenario::Mutant(_), Summary::CaughtMutant) => outcome.caught += 1,
                (Scenario::Mutant(mutant), Summary::MissedMutant) => outcome.missed.push(mutant),
                (Scenario::Mutant(_), Summary::Timeout) => outcome.timeout += 1,
                (Scenario::Mutant(_), Summary::Unviable) => outcome.unviable += 1,
                (Scenario::Mutant(mutant), Summary::Success | Summary::Failure) => {
                    return Err(format!("{} was not tested", mutant.name));
                }
            }
        }
        Ok(outcome)
    }

    fn counts(&self) -> [usize; 5] {
        let Self { caught, missed, timeout, unviable } = self;
        let missed = missed.len();
        [*caught, missed, *timeout, *unviable, caught + missed + timeout + unviable]
    }
}

/// A row for each shard, and their sum.
pub(crate) fn summary(shards: &[(String, Outcome)]) -> String {
    let line = |first: &str, [caught, missed, timeout, unviable, total]: [usize; 5]| {
        format!("{first:5}  {caught:<6}  {missed:<6}  {timeout:<7}  {unviable:<8}  {total}\n")
    };
    let mut text = "shard  caught  missed  timeout  unviable  total\n".to_owned();
    let mut sum = [0; 5];
    for (shard, outcome) in shards {
        let counts = outcome.counts();
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        text += &line(shard, counts);
    }
    text + &line("sum", sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{Outcome, summary};

    fn json(outcomes: &[(&str, &str)]) -> String {
        let outcomes: Vec<String> = outcomes
            .iter()
            .map(|(name, summary)| {
                let mutant = format!(r#"{{"Mutant": {{"name": "src/a.rs:{name}", "file": "src/a.rs"}}}}"#);
                format!(r#"{{"scenario": {mutant}, "summary": "{summary}", "phase_results": []}}"#)
            })
            .collect();
        let baseline = r#"{"scenario": "Baseline", "summary": "Success"}"#;
        format!(r#"{{"outcomes": [{baseline}, {}], "missed": 1}}"#, outcomes.join(", "))
    }

    #[test]
    fn mutants_are_counted_by_what_became_of_them() {
        let found = [
            ("1:2: replace < with <= in f", "CaughtMutant"),
            ("3:4: replace a::b -> u8 with 0", "MissedMutant"),
            ("5:6: c", "Timeout"),
            ("7:8: d", "Unviable"),
        ];
        let outcome = Outcome::parse(&json(&found)).unwrap();
        assert_eq!(outcome.missed[0].place(), "src/a.rs: replace a::b -> u8 with 0");
        assert_eq!(
            summary(&[("0/2".to_owned(), outcome), ("1/2".to_owned(), Outcome::default())]),
            "shard  caught  missed  timeout  unviable  total\n\
             0/2    1       1       1        1         4\n\
             1/2    0       0       0        0         0\n\
             sum    1       1       1        1         4\n"
        );
    }

    #[test]
    fn a_mutant_without_a_verdict_is_an_error() {
        assert!(Outcome::parse(&json(&[("1:2: replace", "Failure")])).is_err());
    }
}
