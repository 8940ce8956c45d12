//! The runner: what it makes of cases that hang, panic or do not apply, and the report.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use session_conformance::{
    Capabilities, Case, CaseResult, Env, Failure, Harness, Need, Options, Outcome, ReferenceStore, Report, Waiver,
    cases, matching, run,
};
use session_core::Namespace;
use session_core::store::SessionStore;

/// The reference store without capabilities. Records the namespaces that it opens.
#[derive(Debug, Default)]
struct Plain {
    waivers: &'static [Waiver],
    down: bool,
    opened: Mutex<Vec<Namespace>>,
}

#[async_trait]
impl Harness for Plain {
    fn backend(&self) -> &'static str {
        "plain"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: false, shared: false, disruptions: &[] }
    }

    fn waivers(&self) -> &'static [Waiver] {
        self.waivers
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn SessionStore>, Failure> {
        self.opened.lock().unwrap().push(namespace.clone());
        if self.down { Err("connection refused".into()) } else { Ok(Arc::new(ReferenceStore::new())) }
    }
}

async fn opens(env: Env) -> Outcome {
    env.store().await.map(drop)
}

async fn panics(env: Env) -> Outcome {
    assert!(env.fault().is_some(), "on purpose");
    Ok(())
}

async fn hangs(_: Env) -> Outcome {
    pending().await
}

async fn fails(_: Env) -> Outcome {
    Err("expected a, got b".into())
}

macro_rules! case {
    ($id:literal, [$($need:ident),*], $run:ident) => {
        Case { id: $id, summary: "A case.", needs: &[$(Need::$need),*], catches: &[], random: false, run: |env| Box::pin($run(env)) }
    };
}

static OPENS: Case = case!("test/opens", [], opens);
static PANICS: Case = case!("test/panics", [], panics);
static HANGS: Case = case!("test/hangs", [], hangs);
static FAILS: Case = case!("test/fails", [], fails);
static NEEDS: Case = case!("test/needs", [Shared], opens);

async fn results(harness: Plain, cases: &[&'static Case]) -> Vec<String> {
    let options = Options { timeout: Duration::from_secs(5), ..Options::default() };
    let reports = run(Arc::new(harness), cases, options).await;
    reports.iter().map(|report| format!("{} {}", report.id, report.result)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_case_does_not_affect_the_others() {
    let results = results(Plain::default(), &[&PANICS, &HANGS, &FAILS, &NEEDS, &OPENS]).await;
    let expected = [
        "test/panics fail: panicked: on purpose",
        "test/hangs fail: was not finished after 5s",
        "test/fails fail: expected a, got b",
        "test/needs n/a: needs Shared",
        "test/opens pass",
    ];
    assert_eq!(results, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_backend_fails() {
    let down = Plain { down: true, ..Plain::default() };
    assert_eq!(results(down, &[&OPENS]).await, ["test/opens fail: connection refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_covers_failures_only() {
    const WAIVERS: &[Waiver] = &[
        Waiver { case: "create/race-has-one-winner", reason: "no locks" },
        Waiver { case: "create/renamed", reason: "no locks" },
    ];
    static UNDER_ITS_NAME: Case = case!("create/race-has-one-winner", [], fails);
    let harness = || Plain { waivers: WAIVERS, ..Plain::default() };
    let void = "create/renamed fail: is waived, but there is no such case";
    assert_eq!(results(harness(), &[&UNDER_ITS_NAME]).await, ["create/race-has-one-winner waived: no locks", void]);
    let [passes] = matching("create/race-has-one-winner")[..] else { panic!("one case") };
    let why = "create/race-has-one-winner fail: is waived, but passes: remove the waiver";
    assert_eq!(results(harness(), &[passes]).await, [why, void]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_has_a_namespace_of_its_own() {
    let harness = Arc::new(Plain::default());
    let all = cases();
    for _ in 0..2 {
        run(Arc::clone(&harness) as Arc<dyn Harness>, &all, Options::default()).await;
    }
    let opened = harness.opened.lock().unwrap();
    let distinct: BTreeSet<&str> = opened.iter().map(Namespace::as_str).collect();
    assert_eq!(distinct.len(), opened.len(), "a backend that is not shared opens a namespace once");
    for namespace in distinct {
        assert!(namespace.len() <= 40 && namespace.starts_with('c'), "{namespace}");
    }
}

fn row(id: &str, needs: Value, results: Value) -> Value {
    json!({ "id": id, "summary": "A case.", "needs": needs, "results": results })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_a_table() {
    let mut report = Report::default();
    assert!(report.has_failed(), "nothing was proved");
    let reports = run(Arc::new(Plain::default()), &[&OPENS, &NEEDS], Options::default()).await;
    report.add("plain", &reports);
    assert!(!report.has_failed());
    report.add("other", &run(Arc::new(Plain::default()), &[&FAILS, &OPENS], Options::default()).await);
    assert!(report.has_failed());
    let expected = json!({
        "backends": ["plain", "other"],
        "cases": [
            row("test/opens", json!([]), json!({ "plain": "pass", "other": "pass" })),
            row("test/needs", json!(["Shared"]), json!({ "plain": "n/a: needs Shared" })),
            row("test/fails", json!([]), json!({ "other": "fail: expected a, got b" })),
        ],
        "summary": {
            "plain": { "pass": 1, "fail": 0, "n/a": 1, "waived": 0 },
            "other": { "pass": 1, "fail": 1, "n/a": 0, "waived": 0 },
        },
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    let waived = CaseResult::Waived("no locks".to_owned());
    assert_eq!((waived.to_string().as_str(), waived.is_failure()), ("waived: no locks", false));
}

#[test]
fn a_glob_selects_cases() {
    let ids = |glob: &str| matching(glob).iter().map(|case| case.id).collect::<Vec<_>>();
    assert_eq!(ids("*").len(), cases().len());
    assert_eq!(ids("load/binary-values"), ["load/binary-values"]);
    assert!(ids("update/*").iter().all(|id| id.starts_with("update/")) && ids("update/*").len() > 5);
    assert!(ids("*race*one*").contains(&"create/race-has-one-winner"));
    assert!(ids("load").is_empty() && ids("*/nothing").is_empty());
}
