//! `check`

use std::time::{Duration, Instant};

use serde::Serialize;
use session_core::store::{Count, Freshness, Inspection, SchemaState, ServerInfo, SessionStore};
use session_core::{OsEntropy, SessionId};

use crate::error::{EMPTY, Error};
use crate::output::Output;
use crate::pages::again;
use crate::target::{Target, now};

/// How many loads are timed.
const LOADS: usize = 100;

#[derive(Serialize)]
struct Checked {
    store: &'static str,
    /// Without user, password and settings.
    location: String,
    namespace: String,
    servers: Vec<Server>,
    schema: &'static str,
    missing_migrations: Vec<String>,
    round_trip_p50_us: u64,
    round_trip_p99_us: u64,
    sessions: u64,
    is_exact: bool,
    /// `null` where the server drops them by itself.
    expired: Option<u64>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Server {
    software: String,
    version: String,
    facts: serde_json::Map<String, serde_json::Value>,
}

impl Server {
    fn new(server: ServerInfo) -> Self {
        let facts = server.facts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Self { software: server.software, version: server.version, facts }
    }
}

pub(crate) async fn run(target: &Target, output: &mut Output) -> Result<(), Error> {
    let opened = target.open().await?;
    let inspection = again(|| opened.inspect()).await.map_err(Error::at("ask the server about itself"))?;
    let Inspection { servers, schema, mut warnings, .. } = inspection;
    let (schema, missing_migrations) = name_of(schema);
    if !missing_migrations.is_empty() {
        warnings.push(format!(
            "migrations are missing ({}): start the application of this release, or run them",
            missing_migrations.join(", ")
        ));
    }
    let expired = match again(|| opened.count_expired(now())).await {
        Ok(expired) => expired.map(|count| count.sessions),
        Err(error) => {
            warnings.push(format!("what has expired cannot be counted: {error}"));
            None
        }
    };
    let store = opened.into_shared();
    let (p50, p99) = time_loads(&*store).await?;
    let count = again(|| store.count(now())).await.map_err(Error::at("count the sessions"))?;
    if count == Count::exact(0) {
        warnings.push(EMPTY.to_owned());
    }
    let checked = Checked {
        store: store.name(),
        location: target.location(),
        namespace: target.namespace.to_string(),
        servers: servers.into_iter().map(Server::new).collect(),
        schema,
        missing_migrations,
        round_trip_p50_us: micros(p50),
        round_trip_p99_us: micros(p99),
        sessions: count.sessions,
        is_exact: count.is_exact,
        expired,
        warnings,
    };
    output.either(&checked, lines(&checked))
}

fn name_of(schema: SchemaState) -> (&'static str, Vec<String>) {
    match schema {
        SchemaState::Unneeded => ("not needed", Vec::new()),
        SchemaState::Missing => ("missing", Vec::new()),
        SchemaState::Outdated(steps) => ("outdated", steps),
        SchemaState::Current => ("current", Vec::new()),
        // And what a later release says.
        SchemaState::Unknown | _ => ("not noted: applied with a tool of yours", Vec::new()),
    }
}

/// The median and the 99th percentile of loads of sessions that there are none of.
async fn time_loads(store: &dyn SessionStore) -> Result<(Duration, Duration), Error> {
    let mut times = Vec::with_capacity(LOADS);
    for _ in 0..LOADS {
        let id = SessionId::generate(None, &OsEntropy).map_err(|error| Error::Runtime(std::io::Error::other(error)))?;
        let began = Instant::now();
        // Not repeated: its pauses are no round trips.
        store.load(&id, Freshness::Latest).await.map_err(Error::at("load a session"))?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((times[LOADS / 2], times[LOADS * 99 / 100]))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn lines(checked: &Checked) -> Vec<String> {
    let mut lines = vec![
        format!("store        {} at {}", checked.store, checked.location),
        format!("namespace    {}", checked.namespace),
    ];
    for server in &checked.servers {
        let facts = server.facts.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_str()?)));
        let facts = facts.collect::<Vec<_>>().join(", ");
        lines.push(format!("server       {} {}; {facts}", server.software, server.version));
    }
    lines.push(format!("migrations   {}", checked.schema));
    lines.push(format!(
        "round trip   {:.3} ms half of the time, {:.3} ms in 99 of 100",
        checked.round_trip_p50_us as f64 / 1000.0,
        checked.round_trip_p99_us as f64 / 1000.0
    ));
    lines.push(format!(
        "sessions     {} ({})",
        checked.sessions,
        if checked.is_exact { "exact" } else { "an estimate" }
    ));
    lines.push(match checked.expired {
        Some(expired) => format!("expired      {expired} records wait to be deleted"),
        None => "expired      the server drops them by itself".to_owned(),
    });
    lines.extend(checked.warnings.iter().map(|warning| format!("warning      {warning}")));
    lines
}
