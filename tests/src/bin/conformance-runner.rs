//! `cargo xtask conformance`: runs the conformance suite on every backend. Prints progress to standard error and the
//! report to standard output.
//!
//! With `--servers all`, it runs on every release of the servers that README.md names, which are downloaded.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use session_conformance::{CaseResult, Harness, Options, Report, Row, Tally, cases, matching, run};
use session_redis::RedisStore;
use session_testbed::servers::{REFUSED_RELEASE, Redis, Release, namespace};
use session_testbed::table::{Format, Table};
use session_testbed::{backends, backends_by_release};

/// Runs the conformance suite on every backend and prints the table case × backend.
#[derive(Parser)]
#[command(bin_name = "cargo xtask conformance")]
struct Arguments {
    /// Only this backend; may be given several times. Without it, all.
    #[arg(long, value_name = "NAME")]
    backend: Vec<String>,
    /// The servers that backends run on.
    #[arg(long, value_enum, default_value_t)]
    servers: Servers,
    /// Only cases whose id matches, for example `update/*`.
    #[arg(long, value_name = "GLOB")]
    case: Option<String>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Servers {
    /// Those that are installed; backends without servers, too.
    #[default]
    Installed,
    /// Every release that README.md names, and one of Redis that must be refused.
    All,
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
    let selected = select(arguments)?;
    if arguments.servers == Servers::All && arguments.backend.is_empty() {
        eprintln!("{}: refused at connect: {}", REFUSED_RELEASE.name(), refusal().await?);
    }
    for harness in selected {
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

/// What session-redis says of a release that is too old: which it is, and which it needs.
async fn refusal() -> Result<String, String> {
    let name = REFUSED_RELEASE.name();
    let server =
        Redis::launch_release(Release::Pinned(REFUSED_RELEASE), &[]).await.map_err(|error| error.to_string())?;
    let Err(error) = RedisStore::connect(&server.url(), namespace()).await else {
        return Err(format!("{name} is too old, and was not refused at connect"));
    };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    if text.contains(REFUSED_RELEASE.version) && text.contains("7.0") {
        Ok(text)
    } else {
        Err(format!("{name} was refused at connect, but the text names neither it nor Redis 7.0: {text}"))
    }
}

/// The backends that are asked for, or all if none is named.
fn select(arguments: &Arguments) -> Result<Vec<Arc<dyn Harness>>, String> {
    let names = &arguments.backend;
    let mut backends = match arguments.servers {
        Servers::Installed => backends(),
        Servers::All => backends_by_release(),
    };
    let known: Vec<&str> = backends.iter().map(|harness| harness.backend()).collect();
    if let Some(unknown) = names.iter().find(|name| !backends.iter().any(|harness| is_named(harness.as_ref(), name))) {
        return Err(format!("there is no backend `{unknown}`; there are: {}", known.join(", ")));
    }
    backends.retain(|harness| names.is_empty() || names.iter().any(|name| is_named(harness.as_ref(), name)));
    Ok(backends)
}

/// By its whole name, or by that without the version.
fn is_named(harness: &dyn Harness, name: &str) -> bool {
    harness.backend() == name || harness.backend().split(' ').next() == Some(name)
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
