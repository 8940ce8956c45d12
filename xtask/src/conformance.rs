//! `cargo xtask conformance`: starts the runner and prints its report as tables.

use std::collections::BTreeMap;

use clap::Args;
use serde::Deserialize;

use crate::command::Cargo;
use crate::table::{Format, Table};

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only this backend; may be given several times. Without it, all.
    #[arg(long, value_name = "NAME")]
    backend: Vec<String>,
    /// Only cases whose id matches, for example `update/*`.
    #[arg(long, value_name = "GLOB")]
    case: Option<String>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The runner's report; see `session_conformance::Report`.
#[derive(Deserialize)]
struct Report {
    backends: Vec<String>,
    cases: Vec<Case>,
    summary: BTreeMap<String, Counts>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    summary: String,
    needs: Vec<String>,
    /// By backend: `pass`, or `fail`, `n/a` or `waived` with a reason after a colon.
    results: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Counts {
    pass: u32,
    fail: u32,
    #[serde(rename = "n/a")]
    not_applicable: u32,
    waived: u32,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut runner = Cargo::new("run").args(["--package", "session-testbed", "--bin", "conformance-runner", "--"]);
    for backend in &options.backend {
        runner = runner.args(["--backend", backend]);
    }
    if let Some(case) = &options.case {
        runner = runner.args(["--case", case]);
    }
    let (passed, output) = runner.read()?;
    if output.is_empty() {
        // The reason is on standard error: an unknown backend, a glob without a match, a compile error.
        return Err("the conformance suite did not run".to_owned());
    }
    let report: Report =
        serde_json::from_str(&output).map_err(|error| format!("the report of the runner cannot be read: {error}"))?;
    match options.format {
        Format::Text => print!("{}", text(&report)),
        Format::Md => print!("{}", markdown(&report)),
        Format::Json => print!("{output}"),
    }
    if passed { Ok(()) } else { Err("conformance: not every case passed".to_owned()) }
}

/// The table case × backend, the reason for each case that did not pass, and a line per backend.
fn text(report: &Report) -> String {
    let mut table = Table::new(header(&["case"], report));
    for case in &report.cases {
        table.row(row(vec![case.id.clone()], case, report));
    }
    let mut text = table.text();
    text.push('\n');
    for case in &report.cases {
        for (backend, result) in &case.results {
            if let Some((kind, reason)) = result.split_once(": ") {
                text.push_str(&format!("{kind}  {backend}: {}: {reason}\n", case.id));
            }
        }
    }
    for (backend, counts) in &report.summary {
        let Counts { pass, fail, not_applicable, waived } = counts;
        text.push_str(&format!("{backend}: {pass} pass, {fail} fail, {not_applicable} n/a, {waived} waived\n"));
    }
    text
}

/// The table, with the promise that each case checks.
fn markdown(report: &Report) -> String {
    let mut table = Table::new(header(&["case", "what must hold", "needs"], report));
    for case in &report.cases {
        table.row(row(vec![format!("`{}`", case.id), case.summary.clone(), case.needs.join(", ")], case, report));
    }
    table.markdown()
}

fn header(columns: &[&str], report: &Report) -> Vec<String> {
    columns.iter().map(|column| (*column).to_owned()).chain(report.backends.iter().cloned()).collect()
}

fn row(mut cells: Vec<String>, case: &Case, report: &Report) -> Vec<String> {
    let kind = |result: &String| result.split(':').next().unwrap_or_default().to_owned();
    // A case without a result was not run: no success.
    let cell = |backend| case.results.get(backend).map_or_else(|| "missing".to_owned(), kind);
    cells.extend(report.backends.iter().map(cell));
    cells
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{Report, markdown, text};

    const REPORT: &str = r#"{
        "backends": ["moka", "redis"],
        "cases": [
            {"id": "create/first", "summary": "A record is stored.", "needs": [], "results": {"moka": "pass", "redis": "fail: expected one"}},
            {"id": "open/again", "summary": "Survives.", "needs": ["Durable"], "results": {"moka": "n/a: needs Durable", "redis": "pass"}}
        ],
        "summary": {
            "moka": {"pass": 1, "fail": 0, "n/a": 1, "waived": 0},
            "redis": {"pass": 1, "fail": 1, "n/a": 0, "waived": 0}
        }
    }"#;

    #[test]
    fn text_shows_every_result_and_its_reason() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        assert_eq!(
            text(&report),
            "case          moka  redis\n\
             create/first  pass  fail\n\
             open/again    n/a   pass\n\
             \n\
             fail  redis: create/first: expected one\n\
             n/a  moka: open/again: needs Durable\n\
             moka: 1 pass, 0 fail, 1 n/a, 0 waived\n\
             redis: 1 pass, 1 fail, 0 n/a, 0 waived\n"
        );
    }

    #[test]
    fn markdown_explains_each_case() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        let table = markdown(&report);
        assert!(table.contains("| `create/first` | A record is stored. |         | pass | fail  |"), "{table}");
    }
}
