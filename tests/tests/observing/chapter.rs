//! The manual's chapter says what the code does: no metric, label, span, field or line more or less.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics_util::MetricKind;
use session_cache::CachedStore;
use session_conformance::ReferenceStore;
use session_core::{Key, SessionManager};
use tracing::level_filters::LevelFilter;

use crate::bed::{Bed, Metrics};
use crate::spans::Spans;

const CHAPTER: &str = include_str!("../../../crates/session-core/src/manual/observing.md");

/// The rows of the tables whose first column is called so.
fn rows(first: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut is_in = false;
    for line in CHAPTER.lines() {
        if !line.starts_with('|') {
            is_in = false;
        } else if line.starts_with(&format!("| {first} |")) {
            is_in = true;
        } else if is_in && !line.starts_with("|--") {
            rows.push(line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

/// What is in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Type, and the values of each label.
type Described = (String, BTreeMap<String, BTreeSet<String>>);

/// What the code registers, without the names of stores.
fn registered() -> BTreeMap<String, Described> {
    let (metrics, _) = Metrics::of(|| {
        let store = CachedStore::builder(ReferenceStore::new(), Duration::from_secs(1)).build();
        store.stats().publish();
        SessionManager::builder(Arc::new(store)).metrics().build()
    });
    let mut described: BTreeMap<String, Described> = BTreeMap::new();
    for (key, help, _) in metrics.snapshot() {
        assert!(!help.is_empty());
        let kind = match key.kind() {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let entry = described.entry(key.key().name().to_owned()).or_insert_with(|| (kind.to_owned(), BTreeMap::new()));
        for label in key.key().labels() {
            let values = entry.1.entry(label.key().to_owned()).or_default();
            values.insert(label.value().to_owned());
        }
    }
    for (_, labels) in described.values_mut() {
        if let Some(stores) = labels.get_mut("store") {
            assert_eq!(*stores, BTreeSet::from(["reference".to_owned()]));
            stores.clear();
        }
    }
    described
}

/// What the chapter says.
fn written() -> BTreeMap<String, Described> {
    let mut operations = BTreeSet::new();
    let mut described = BTreeMap::new();
    for row in rows("metric") {
        let [name, kind, labels, ..] = &row[..] else { panic!("{row:?}") };
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut label = None;
        // A name is what a colon follows; `store` is of no fixed list.
        for (index, part) in labels.split('`').enumerate().filter(|(index, _)| index % 2 == 1) {
            let after = labels.split('`').nth(index + 1).unwrap_or_default();
            if after.starts_with(':') || part == "store" {
                label = Some(part.to_owned());
                values.insert(part.to_owned(), BTreeSet::new());
            } else if let Some(label) = &label {
                values.get_mut(label).unwrap().insert(part.to_owned());
            }
        }
        if name.contains("duration") {
            operations = values["operation"].clone();
        }
        described.insert(quoted(name)[0].to_owned(), (kind.clone(), values));
    }
    // "As below".
    described.get_mut("session_store_errors_total").unwrap().1.get_mut("operation").unwrap().extend(operations);
    described
}

#[test]
fn metrics_are_those_of_the_chapter() {
    assert_eq!(registered(), written());
}

/// Units are at the end, as Prometheus has it.
#[test]
fn names_have_their_unit() {
    for (name, (kind, _)) in registered() {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert_eq!(name.ends_with("_seconds"), name.contains("duration") || name.contains("lag"), "{name}");
    }
}

#[tokio::test]
async fn spans_are_those_of_the_chapter() {
    let bed = Bed::new();
    let (spans, guard) = Spans::keep(LevelFilter::TRACE);
    let mut client = bed.logged_in().await;
    client.request(async |session| session.insert(Key::<u32>::new("count"), &1)).await.unwrap();
    drop(guard);
    let seen = spans.take().into_iter().map(|seen| (seen.name.to_owned(), seen.fields.into_iter().collect()));
    let rows = rows("span");
    let written = rows.iter().map(|row| (quoted(&row[0])[0].to_owned(), quoted(&row[1]).into_iter().collect()));
    assert_eq!(seen.collect::<BTreeMap<String, BTreeSet<&str>>>(), written.collect());
}

/// Every line that is logged at info or above, in the libraries: its text, and its level.
fn lines() -> BTreeSet<(String, &'static str)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = Vec::new();
    for package in std::fs::read_dir(crates).unwrap() {
        let package = package.unwrap().path();
        if !["session-demo", "session-conformance"].iter().any(|name| package.ends_with(name)) {
            collect(&package.join("src"), &mut files);
        }
    }
    assert!(files.len() > 100, "{}", files.len());
    let mut lines = BTreeSet::new();
    for text in files.iter().map(|file| std::fs::read_to_string(file).unwrap()) {
        for level in ["error", "warn", "info"] {
            for call in text.split(&format!("tracing::{level}!(")).skip(1) {
                let call = call.split_once(')').map(|_| &call[..end_of_call(call)]).unwrap();
                // The last string, up to where it goes on in another line or with advice.
                let message = call.rsplit('"').nth(1).unwrap();
                lines.insert((message.to_owned(), level));
            }
        }
    }
    lines
}

/// Where the arguments of a macro end.
fn end_of_call(call: &str) -> usize {
    let (mut depth, mut is_text) = (0, false);
    for (at, character) in call.char_indices() {
        match character {
            '"' => is_text = !is_text,
            '(' if !is_text => depth += 1,
            ')' if !is_text && depth == 0 => return at,
            ')' if !is_text => depth -= 1,
            _ => {}
        }
    }
    panic!("no end: {call}")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn log_lines_are_those_of_the_chapter() {
    let rows = rows("level");
    let written: Vec<(String, &str)> = rows.iter().map(|row| (row[0].clone(), quoted(&row[1])[0])).collect();
    let lines = lines();
    for (message, level) in &lines {
        let is_written = |(levels, line): &(String, &str)| levels.contains(level) && message.starts_with(line);
        assert!(written.iter().any(is_written), "not in the chapter: {level}: {message}");
    }
    for (levels, line) in &written {
        let is_logged = |(message, level): &(String, &str)| levels.contains(level) && message.starts_with(line);
        assert!(lines.iter().any(is_logged), "nowhere logged: {levels}: {line}");
    }
}
