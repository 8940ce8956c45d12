//! `cargo xtask conformance`: runs the conformance suite on every backend. Prints progress to standard error and the
//! report to standard output.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use session_conformance::{CaseResult, Harness, Options, Report, Row, Tally, cases, matching, run};
use session_testbed::backends;
use session_testbed::table::{Format, Table};

/// Runs the conformance suite on every backend and prints the table case × backend.
#[derive(Parser)]
#[command(bin_name = "cargo xtask conformance")]
struct Arguments {
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

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printed = match report(&arguments).await {
        Ok(report) => print(&report, arguments.format).map(|()| report.has_failed()),
        Err(message) => Err(message),
    };
    match printed {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => {
            eprintln!("error: not every case passed");
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn report(arguments: &Arguments) -> Result<Report, String> {
    let cases = arguments.case.as_deref().map_or_else(cases, matching);
    if cases.is_empty() {
        return Err(format!("no case matches `{}`", arguments.case.as_deref().unwrap_or_default()));
    }
    let mut report = Report::default();
    for harness in select(&arguments.backend)? {
        let backend = harness.backend();
        let start = Instant::now();
        eprintln!("{backend}: {} cases …", cases.len());
        let results = run(harness, &cases, Options::default()).await;
        for result in &results {
            if let CaseResult::Fail(why) = &result.result {
                eprintln!("{backend}: {} failed: {why}", result.id);
            }
        }
        report.add(backend, &results);
        eprintln!("{backend}: done in {:.1} s", start.elapsed().as_secs_f64());
    }
    Ok(report)
}

/// The backends with these names, or all if there are no names.
fn select(names: &[String]) -> Result<Vec<Arc<dyn Harness>>, String> {
    let mut backends = backends();
    let known: Vec<&str> = backends.iter().map(|harness| harness.backend()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no backend `{unknown}`; there are: {}", known.join(", ")));
    }
    backends.retain(|harness| names.is_empty() || names.iter().any(|name| name == harness.backend()));
    Ok(backends)
}

fn print(report: &Report, format: Format) -> Result<(), String> {
    match format {
        Format::Text => print!("{}", text(report)),
        Format::Md => print!("{}", markdown(report)),
        Format::Json => {
            let json = serde_json::to_string(report);
            println!("{}", json.map_err(|error| format!("the report cannot be encoded: {error}"))?);
        }
    }
    Ok(())
}

/// The table case × backend, the reason for every result other than `pass`, and totals by backend.
fn text(report: &Report) -> String {
    let mut table = Table::new(header(&["case"], report));
    for case in &report.cases {
        table.row(row(vec![case.id.clone()], case, report));
    }
    let mut text = table.text();
    text.push('\n');
    for case in &report.cases {
        for (backend, result) in &case.results {
            let (CaseResult::Fail(why) | CaseResult::NotApplicable(why) | CaseResult::Waived(why)) = result else {
                continue;
            };
            text.push_str(&format!("{}  {backend}: {}: {why}\n", kind(result), case.id));
        }
    }
    for (backend, tally) in &report.summary {
        let Tally { pass, fail, not_applicable, waived } = tally;
        text.push_str(&format!("{backend}: {pass} pass, {fail} fail, {not_applicable} n/a, {waived} waived\n"));
    }
    text
}

/// The table with the promise of each case.
fn markdown(report: &Report) -> String {
    let mut table = Table::new(header(&["case", "what must hold", "needs"], report));
    for case in &report.cases {
        let needs: Vec<String> = case.needs.iter().map(ToString::to_string).collect();
        table.row(row(vec![format!("`{}`", case.id), case.summary.clone(), needs.join(", ")], case, report));
    }
    table.markdown()
}

fn header(columns: &[&str], report: &Report) -> Vec<String> {
    columns.iter().map(|column| (*column).to_owned()).chain(report.backends.iter().cloned()).collect()
}

fn row(mut cells: Vec<String>, case: &Row, report: &Report) -> Vec<String> {
    // A case without a result did not run, which is no success.
    let cell = |backend| case.results.get(backend).map_or("missing", kind).to_owned();
    cells.extend(report.backends.iter().map(cell));
    cells
}

fn kind(result: &CaseResult) -> &'static str {
    match result {
        CaseResult::Pass => "pass",
        CaseResult::Fail(_) => "fail",
        CaseResult::NotApplicable(_) => "n/a",
        CaseResult::Waived(_) => "waived",
    }
}

#[cfg(test)]
mod tests {
    use session_conformance::{CaseResult, Need, Report, Row, Tally};

    use super::{markdown, text};

    fn example() -> Report {
        let row = |id: &str, summary: &str, needs: &[Need], results: [(&str, CaseResult); 2]| Row {
            id: id.to_owned(),
            summary: summary.to_owned(),
            needs: needs.to_vec(),
            results: results.map(|(backend, result)| (backend.to_owned(), result)).into(),
        };
        let (fail, inapplicable) = ("expected one".to_owned(), "needs Durable".to_owned());
        let first = [("moka", CaseResult::Pass), ("redis", CaseResult::Fail(fail))];
        let again = [("moka", CaseResult::NotApplicable(inapplicable)), ("redis", CaseResult::Pass)];
        Report {
            backends: ["moka", "redis"].map(str::to_owned).to_vec(),
            cases: vec![
                row("create/first", "A record is stored.", &[], first),
                row("open/again", "Survives.", &[Need::Durable], again),
            ],
            summary: [
                ("moka".to_owned(), Tally { pass: 1, fail: 0, not_applicable: 1, waived: 0 }),
                ("redis".to_owned(), Tally { pass: 1, fail: 1, not_applicable: 0, waived: 0 }),
            ]
            .into(),
        }
    }

    #[test]
    fn text_shows_every_result_and_every_reason() {
        assert_eq!(
            text(&example()),
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
        let table = markdown(&example());
        for row in [
            "| `create/first` | A record is stored. |         | pass | fail  |",
            "| `open/again`   | Survives.           | Durable | n/a  | pass  |",
        ] {
            assert!(table.contains(row), "{table}");
        }
    }
}
