//! How a case is declared: [`Case`], and the list of all of them.

use std::fmt;

use futures::future::BoxFuture;

use crate::env::Env;
use crate::fault::Fault;
use crate::harness::Need;
use crate::outcome::Outcome;

/// One promise of the contract, and how to see whether a backend keeps it.
pub struct Case {
    /// `verb/what-must-hold`, in kebab-case; unique and never reused.
    pub id: &'static str,
    /// The promise, in words.
    pub summary: &'static str,
    /// What a backend must be capable of for the promise to apply.
    pub needs: &'static [Need],
    /// The seeded faults that make this case fail, and no other fault does.
    pub catches: &'static [Fault],
    /// Runs the case.
    pub run: fn(Env) -> BoxFuture<'static, Outcome>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Every case: of stores, then of whole requests. The order of the table in reports.
#[must_use]
pub fn cases() -> Vec<&'static Case> {
    let store = crate::cases::STORE_CASES.into_iter().flatten();
    store.chain(crate::request::REQUEST_CASES.into_iter().flatten()).collect()
}

/// The cases whose id matches `glob`, in which `*` stands for any text: `update/*`, `*race*`, `load/binary-values`.
#[must_use]
pub fn matching(glob: &str) -> Vec<&'static Case> {
    cases().into_iter().filter(|case| glob_matches(glob, case.id)).collect()
}

fn glob_matches(glob: &str, id: &str) -> bool {
    match glob.split_once('*') {
        None => glob == id,
        Some((start, rest)) => id.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.is_char_boundary(at) && glob_matches(rest, &tail[at..]))
        }),
    }
}
