//! Mutants that no test can catch, or that none should: a file with one per line, and the reason.

use std::fmt;

use super::outcome::Mutant;
use crate::command::root;
use crate::workspace::read;

/// From the root of the repository.
pub(crate) const FILE: &str = "xtask/mutants-accepted.txt";

/// A line of [`FILE`]: `<mutant without line and column> # <reason>`.
#[derive(Debug)]
pub(crate) struct Accepted {
    mutant: String,
    reason: String,
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mutant)
    }
}

/// Missed mutants, compared with the list.
#[derive(Debug)]
pub(crate) struct Survivors {
    pub(crate) unexplained: Vec<Mutant>,
    /// With the reason.
    pub(crate) accepted: Vec<(Mutant, String)>,
    /// In the list, but not missed.
    pub(crate) unmatched: Vec<Accepted>,
}

pub(crate) fn read_list() -> Result<Vec<Accepted>, String> {
    parse(&read(&root().join(FILE))?)
}

/// Each line accepts one mutant: two operators of a function may have the same name, and one of them be tested.
pub(crate) fn compare(missed: Vec<Mutant>, mut list: Vec<Accepted>) -> Survivors {
    let (mut unexplained, mut accepted) = (Vec::new(), Vec::new());
    for mutant in missed {
        let place = mutant.place();
        match list.iter().position(|line| line.mutant == place) {
            Some(index) => accepted.push((mutant, list.remove(index).reason)),
            None => unexplained.push(mutant),
        }
    }
    Survivors { unexplained, accepted, unmatched: list }
}

pub(crate) fn parse(text: &str) -> Result<Vec<Accepted>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| match line.rsplit_once(" # ").map(|(mutant, reason)| (mutant.trim(), reason.trim())) {
            Some((mutant, reason)) if !mutant.is_empty() && !reason.is_empty() => {
                Ok(Accepted { mutant: mutant.to_owned(), reason: reason.to_owned() })
            }
            Some(_) | None => Err(format!("{FILE}:{number}: a line is `<mutant> # <reason>`")),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::super::outcome::Mutant;
    use super::{compare, parse, read_list};

    #[test]
    fn the_list_can_be_read() {
        read_list().unwrap();
    }

    #[test]
    fn a_mutant_needs_a_reason() {
        assert!(parse("# comment\n\nsrc/a.rs: replace f with 0 # equal\n").is_ok_and(|list| list.len() == 1));
        for wrong in ["src/a.rs: replace f with 0", "src/a.rs: replace f with 0 # ", " # reason"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_accepts_one_mutant_wherever_it_is_in_the_file() {
        let list = "src/a.rs: replace < with > in f # equal\nsrc/a.rs: replace g with () # log\n";
        let missed = vec![
            Mutant::new("src/a.rs", "src/a.rs:1:2: replace < with > in f"),
            Mutant::new("src/a.rs", "src/a.rs:9:2: replace < with > in f"),
            Mutant::new("src/a.rs", "src/a.rs:5:2: replace h with ()"),
        ];
        let survivors = compare(missed, parse(list).unwrap());
        assert_eq!(survivors.accepted.len(), 1);
        assert_eq!(survivors.accepted[0].1, "equal");
        let names: Vec<&str> = survivors.unexplained.iter().map(|mutant| mutant.name.as_str()).collect();
        assert_eq!(names, ["src/a.rs:9:2: replace < with > in f", "src/a.rs:5:2: replace h with ()"]);
        assert_eq!(survivors.unmatched[0].to_string(), "src/a.rs: replace g with ()");
    }
}
