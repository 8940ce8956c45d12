//! How cases ended: [`CaseResult`], and the table case × backend, [`Report`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::harness::Need;

/// How a case ended. As text, and in JSON: `pass`, `fail: …`, `n/a: …`, `waived: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseResult {
    /// The promise was kept.
    Pass,
    /// It was broken, or the backend could not be reached.
    Fail(String),
    /// The backend lacks a capability that the case needs.
    NotApplicable(String),
    /// The case fails, as a waiver with this reason says.
    Waived(String),
}

impl CaseResult {
    /// Whether this makes the run fail.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Fail(_) => true,
            Self::Pass | Self::NotApplicable(_) | Self::Waived(_) => false,
        }
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Fail(why) => write!(f, "fail: {why}"),
            Self::NotApplicable(why) => write!(f, "n/a: {why}"),
            Self::Waived(why) => write!(f, "waived: {why}"),
        }
    }
}

impl Serialize for CaseResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How one case ended on one backend.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The id of the case.
    pub id: &'static str,
    /// The promise, in words.
    pub summary: &'static str,
    /// What the case needs.
    pub needs: &'static [Need],
    /// How it ended.
    pub result: CaseResult,
}

/// The results of several backends. Its JSON:
///
/// ```json
/// {
///   "backends": ["moka"],
///   "cases": [
///     {"id": "update/never-resurrects", "summary": "…", "needs": [], "results": {"moka": "pass"}}
///   ],
///   "summary": {"moka": {"pass": 1, "fail": 0, "n/a": 0, "waived": 0}}
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The backends, in the order they were added.
    pub backends: Vec<String>,
    /// The cases, in the order of the table.
    pub cases: Vec<Row>,
    /// How many results of each kind a backend has.
    pub summary: BTreeMap<String, Tally>,
}

/// One case in a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The id of the case.
    pub id: String,
    /// The promise, in words.
    pub summary: String,
    /// What the case needs.
    pub needs: Vec<Need>,
    /// How it ended, by backend.
    pub results: BTreeMap<String, CaseResult>,
}

/// How many results of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Kept promises.
    pub pass: u32,
    /// Broken ones.
    pub fail: u32,
    /// Cases that do not apply.
    #[serde(rename = "n/a")]
    pub not_applicable: u32,
    /// Waived cases.
    pub waived: u32,
}

impl Report {
    /// Adds what [`run`](crate::run) returned for `backend`.
    pub fn add(&mut self, backend: &str, reports: &[CaseReport]) {
        self.backends.push(backend.to_owned());
        let tally = self.summary.entry(backend.to_owned()).or_default();
        for report in reports {
            *match report.result {
                CaseResult::Pass => &mut tally.pass,
                CaseResult::Fail(_) => &mut tally.fail,
                CaseResult::NotApplicable(_) => &mut tally.not_applicable,
                CaseResult::Waived(_) => &mut tally.waived,
            } += 1;
            let at = self.cases.iter().position(|row| row.id == report.id).unwrap_or_else(|| {
                self.cases.push(Row {
                    id: report.id.to_owned(),
                    summary: report.summary.to_owned(),
                    needs: report.needs.to_vec(),
                    results: BTreeMap::new(),
                });
                self.cases.len() - 1
            });
            self.cases[at].results.insert(backend.to_owned(), report.result.clone());
        }
    }

    /// Whether anything failed. A backend without any results counts as failed: nothing was proved.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.summary.is_empty() || self.summary.values().any(|tally| tally.fail > 0 || *tally == Tally::default())
    }
}
