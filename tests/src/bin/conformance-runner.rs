//! `cargo xtask conformance`: runs the conformance suite on every backend, and its cases of whole requests through every
//! adapter. Prints progress to standard error and the reports to standard output.
//!
//! With `--servers all`, it runs on every release of the servers that README.md names, which are downloaded.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde_json::{Map, Value};
use session_conformance::{
    AdapterHarness, CaseReport, CaseResult, Harness, Options, Report, Row, Tally, cases, is_request, matching, run,
    run_adapter,
};
use session_redis::RedisStore;
use session_testbed::servers::{REFUSED_RELEASE, Redis, Release, namespace};
use session_testbed::table::{Format, Table};
use session_testbed::{adapters, backends, backends_by_release, cached_backends};

/// Runs the conformance suite on every backend and through every adapter, and prints the tables case × backend and case × adapter.
#[derive(Parser)]
#[command(bin_name = "cargo xtask conformance")]
struct Arguments {
    /// Only this backend; may be given several times. Without it, all, unless only adapters are named.
    #[arg(long, value_name = "NAME")]
    backend: Vec<String>,
    /// Only this adapter; may be given several times. Without it, all, unless only backends are named.
    #[arg(long, value_name = "NAME")]
    adapter: Vec<String>,
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
    /// Those that are installed, each with a cache in front.
    Cached,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let printed = match reports(&arguments).await {
        Ok(reports) => {
            print(&reports, arguments.format).map(|()| reports.iter().any(|(_, report)| report.has_failed()))
        }
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

/// What the columns of a report are.
#[derive(Clone, Copy)]
enum Columns {
    Backends,
    Adapters,
}

/// Those that are asked for; none is empty.
async fn reports(arguments: &Arguments) -> Result<Vec<(Columns, Report)>, String> {
    let cases = arguments.case.as_deref().map_or_else(cases, matching);
    if cases.is_empty() {
        return Err(format!("no case matches `{}`", arguments.case.as_deref().unwrap_or_default()));
    }
    let (backends, adapters) = (backends_of(arguments)?, adapters_of(arguments)?);
    if arguments.servers == Servers::All && arguments.backend.is_empty() && !backends.is_empty() {
        eprintln!("{}: refused at connect: {}", REFUSED_RELEASE.name(), refusal().await?);
    }
    let mut reports = Vec::new();
    let mut report = Report::default();
    for harness in backends {
        let backend = harness.backend();
        add(&mut report, backend, cases.len(), run(harness, &cases, Options::default())).await;
    }
    if !report.backends.is_empty() {
        reports.push((Columns::Backends, report));
    }
    let requests: Vec<_> = cases.into_iter().filter(|case| is_request(case)).collect();
    let mut report = Report::default();
    for harness in adapters.into_iter().filter(|_| !requests.is_empty()) {
        let adapter = harness.adapter();
        add(&mut report, adapter, requests.len(), run_adapter(harness, &requests, Options::default())).await;
    }
    if !report.backends.is_empty() {
        reports.push((Columns::Adapters, report));
    }
    if reports.is_empty() { Err("no case that was asked for sends a request".to_owned()) } else { Ok(reports) }
}

/// Runs one column, and shows how it goes.
async fn add(report: &mut Report, name: &str, cases: usize, run: impl Future<Output = Vec<CaseReport>>) {
    let start = Instant::now();
    eprintln!("{name}: {cases} cases …");
    let results = run.await;
    for result in &results {
        if let CaseResult::Fail(why) = &result.result {
            eprintln!("{name}: {} failed: {why}", result.id);
        }
    }
    report.add(name, &results);
    eprintln!("{name}: done in {:.1} s", start.elapsed().as_secs_f64());
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

/// The backends that are asked for, or all if nothing is named.
fn backends_of(arguments: &Arguments) -> Result<Vec<Arc<dyn Harness>>, String> {
    let backends = match arguments.servers {
        // Of those with a cache, whichever is named.
        Servers::Installed if !arguments.backend.is_empty() => [backends(), cached_backends()].concat(),
        Servers::Installed => backends(),
        Servers::All => backends_by_release(),
        Servers::Cached => cached_backends(),
    };
    select("backend", backends, &arguments.backend, &arguments.adapter, |harness| harness.backend())
}

/// The adapters that are asked for, or all if nothing is named.
fn adapters_of(arguments: &Arguments) -> Result<Vec<Arc<dyn AdapterHarness>>, String> {
    select("adapter", adapters(), &arguments.adapter, &arguments.backend, |harness| harness.adapter())
}

/// Those of `all` that are among `names`; without names all, unless there are names of the other kind.
fn select<T>(
    kind: &str,
    mut all: Vec<T>,
    names: &[String],
    others: &[String],
    name_of: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, String> {
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|one| is_named(name_of(one), name))) {
        let known: Vec<&str> = all.iter().map(name_of).collect();
        return Err(format!("there is no {kind} `{unknown}`; there are: {}", known.join(", ")));
    }
    match names {
        [] if others.is_empty() => {}
        names => all.retain(|one| names.iter().any(|name| is_named(name_of(one), name))),
    }
    Ok(all)
}

/// By its whole name, or by that without the version.
fn is_named(full: &str, name: &str) -> bool {
    full == name || full.split(' ').next() == Some(name)
}

fn print(reports: &[(Columns, Report)], format: Format) -> Result<(), String> {
    match format {
        Format::Text => print!("{}", joined(reports, text)),
        Format::Md => print!("{}", joined(reports, markdown)),
        Format::Json => {
            println!("{}", json(reports).map_err(|error| format!("the report cannot be encoded: {error}"))?)
        }
    }
    Ok(())
}

fn joined(reports: &[(Columns, Report)], show: fn(&Report) -> String) -> String {
    reports.iter().map(|(_, report)| show(report)).collect::<Vec<_>>().join("\n")
}

/// The report of the backends; in it, as `adapters`, that of the adapters.
fn json(reports: &[(Columns, Report)]) -> serde_json::Result<Value> {
    let mut json = Map::new();
    for (columns, report) in reports {
        match (columns, serde_json::to_value(report)?) {
            (Columns::Backends, Value::Object(report)) => json.extend(report),
            (Columns::Adapters, Value::Object(mut report)) => {
                // Its columns.
                let names = report.remove("backends").unwrap_or_default();
                report.insert("adapters".to_owned(), names);
                json.insert("adapters".to_owned(), Value::Object(report));
            }
            (_, other) => return Ok(other),
        }
    }
    Ok(Value::Object(json))
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
