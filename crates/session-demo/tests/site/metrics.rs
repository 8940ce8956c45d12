//! `GET /metrics`, and the dashboard that is made of it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::Demo;

async fn scrape(demo: &Demo) -> String {
    let answer = demo.browser().get("/metrics").await;
    answer.assert(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.header("set-cookie"), None);
    answer.text().to_owned()
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// A visitor, a login, a read, a failed login, a logout.
async fn visit(demo: &Demo) -> Vec<String> {
    let browser = demo.browser();
    browser.put("/api/data/color", &json!("petrol-51c0d2")).await.assert(204);
    let mut secrets: Vec<String> = browser.cookie().into_iter().collect();
    browser.login("alice").await.assert(200);
    secrets.extend(browser.cookie());
    secrets.push(browser.session_id().await);
    let wrong = json!({ "username": "alice", "password": "wrong-horse" });
    demo.browser().post("/api/login", &wrong).await.assert(401);
    browser.post("/api/logout", &Value::Null).await.assert(204);
    secrets
}

#[tokio::test]
async fn what_happened_is_counted() {
    let demo = Demo::start(&[]);
    let secrets = visit(&demo).await;
    let text = scrape(&demo).await;
    for (series, expected) in [
        ("session_begun_total{kind=\"visitor\"}", 1.0),
        ("session_begun_total{kind=\"user\"}", 1.0),
        ("session_ended_total{reason=\"replaced\"}", 1.0),
        ("session_ended_total{reason=\"logout\"}", 1.0),
        ("session_ended_total{reason=\"revoked\"}", 0.0),
        ("session_opened_total{found=\"failed\"}", 0.0),
        ("session_live", 0.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}: {text}");
    }
    let creates = "session_store_operation_duration_seconds_count{store=\"moka\",operation=\"create\",outcome=\"ok\"}";
    assert_eq!(value(&text, creates), Some(2.0), "{text}");
    assert!(text.contains("_bucket{store=\"moka\",operation=\"load\",outcome=\"ok\",le=\"0.005\"}"), "{text}");
    for secret in secrets.iter().map(|secret| secret.split_once('=').map_or(&**secret, |(_, value)| value)) {
        assert!(secret.len() > 20 && !text.contains(secret), "{secret}: {text}");
    }
    for secret in ["alice", "correct-horse", "wrong-horse", "petrol", "color", "/api"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(!text.contains("session_cache_"), "there is no cache: {text}");
}

/// Of sessions that only their clients have, nobody knows how many there are; the rest is counted.
#[tokio::test]
async fn every_mode_has_metrics() {
    for (mode, store, live) in [("hybrid", "moka", "1"), ("client", "client-side", "NaN")] {
        let demo = Demo::start(&["--mode", mode]);
        demo.logged_in("alice").await;
        let text = scrape(&demo).await;
        assert_eq!(value(&text, "session_begun_total{kind=\"user\"}"), Some(1.0), "{mode}: {text}");
        let counted =
            format!("session_store_errors_total{{store=\"{store}\",operation=\"count\",kind=\"unsupported\"}}");
        assert_eq!(value(&text, &counted), Some(0.0), "{mode}: {text}");
        assert!(text.contains(&format!("\nsession_live {live}\n")), "{mode}: {text}");
    }
}

/// The names that begin with `session_` in a query, each with what stands in braces behind it.
fn selectors(query: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find("session_") {
        rest = &rest[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let matchers = behind.strip_prefix('{').and_then(|matchers| matchers.split_once('}')).map_or("", |(it, _)| it);
        found.push((name, matchers));
        rest = behind;
    }
    found
}

/// What a query groups by.
fn grouped(query: &str) -> impl Iterator<Item = &str> {
    query.split("by (").skip(1).filter_map(|rest| rest.split_once(')')).flat_map(|(labels, _)| labels.split(", "))
}

#[tokio::test]
async fn the_dashboard_asks_for_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/grafana/session.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let demo = Demo::start(&["--cache", "5s"]);
    visit(&demo).await;
    let text = scrape(&demo).await;
    let mut asked = BTreeSet::new();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for query in targets.iter().map(|target| target["expr"].as_str().unwrap()) {
            let selectors = selectors(query);
            assert!(!selectors.is_empty(), "{query}");
            for (name, matchers) in &selectors {
                asked.insert((*name).to_owned());
                let mut series = text
                    .lines()
                    .filter(|line| line.strip_prefix(name).is_some_and(|behind| behind.starts_with([' ', '{'])));
                // The job is what Prometheus adds.
                let matchers: Vec<&str> = matchers.split(',').filter(|it| !it.starts_with("job=~")).collect();
                assert!(series.any(|line| matchers.iter().all(|it| line.contains(it))), "{name} {matchers:?}: {text}");
                for label in grouped(query) {
                    let has_label = |line: &str| line.starts_with(name) && line.contains(&format!("{label}=\""));
                    assert!(text.lines().any(has_label), "{query}: {label}");
                }
            }
        }
    }
    // And it leaves out little: what is for a look at a single series.
    let without: BTreeSet<&str> = [
        "session_ambiguous_cookies_total",
        "session_cache_size_bytes",
        "session_new_devices_total",
        "session_tokens_changed_total",
        "session_tokens_replayed_total",
    ]
    .into();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let is_asked = |name: &str| asked.iter().any(|asked| asked.starts_with(name));
    let missing: BTreeSet<&str> = names.map(|(name, _)| name).filter(|name| !is_asked(name)).collect();
    assert_eq!(missing, without);
}
