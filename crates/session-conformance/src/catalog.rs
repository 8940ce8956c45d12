//! The list of all cases.

use crate::case::Case;
use crate::cases::STORE_CASES;
use crate::request::REQUEST_CASES;

/// Every case: of stores, then of whole requests. The order of the table in reports.
#[must_use]
pub fn cases() -> Vec<&'static Case> {
    STORE_CASES.into_iter().flatten().chain(REQUEST_CASES.into_iter().flatten()).collect()
}

/// The cases whose id matches `glob`, in which `*` stands for any text: `update/*`, `*race*`, `load/binary-values`.
#[must_use]
pub fn matching(glob: &str) -> Vec<&'static Case> {
    cases().into_iter().filter(|case| glob_matches(glob, case.id)).collect()
}

/// Whether the case sends whole requests, or is about refresh tokens: whether it is one for adapters.
#[must_use]
pub fn is_request(case: &Case) -> bool {
    REQUEST_CASES.into_iter().flatten().any(|request| request.id == case.id)
}

fn glob_matches(glob: &str, id: &str) -> bool {
    match glob.split_once('*') {
        None => glob == id,
        Some((start, rest)) => id.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.is_char_boundary(at) && glob_matches(rest, &tail[at..]))
        }),
    }
}
