//! The suite is tested: each case fails under exactly the faults it names. (That it passes without one, `conformance.rs`
//! shows.) Each store case names at least one. What request cases catch, mutation testing of session-core shows.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use session_conformance::{Case, CaseResult, Fault, Harness, Options, ReferenceHarness, cases, run_case};

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_fails_exactly_the_cases_that_name_it() {
    let harness: Arc<dyn Harness> = Arc::new(ReferenceHarness::default());
    let pairs = Fault::ALL.iter().flat_map(|fault| cases().into_iter().map(move |case| (*fault, case)));
    // A case that makes random calls may catch faults that it does not name.
    let pairs = pairs.filter(|(fault, case)| !case.random || case.catches.contains(fault));
    let runs = pairs.map(|(fault, case)| {
        let harness = Arc::clone(&harness);
        async move {
            // Many cases at once: a slow machine is not a fault.
            let options = Options { fault: Some(fault), timeout: Duration::from_secs(120), ..Options::default() };
            (fault, case, run_case(harness, case, options).await.result)
        }
    });
    let results: Vec<(Fault, &Case, CaseResult)> = stream::iter(runs).buffer_unordered(16).collect().await;

    let mut wrong = Vec::new();
    for (fault, case, result) in results {
        let what = match (case.catches.contains(&fault), result) {
            (true, CaseResult::Fail(_)) | (false, CaseResult::Pass) => continue,
            (false, CaseResult::Fail(why)) => format!("fails, but does not name it ({why})"),
            (true, CaseResult::Pass) => "names it, but passes".to_owned(),
            (_, other @ (CaseResult::NotApplicable(_) | CaseResult::Waived(_))) => format!("was not run ({other})"),
        };
        wrong.push(format!("{fault:?}: {} {what}", case.id));
    }
    wrong.sort();
    assert!(wrong.is_empty(), "faults are not caught as declared:\n{}", wrong.join("\n"));
}

#[test]
fn each_store_case_catches_a_fault_and_each_fault_is_caught() {
    let is_request = |case: &Case| case.id.starts_with("request/") || case.id.starts_with("refresh/");
    let blind = cases().into_iter().filter(|case| case.catches.is_empty() && !is_request(case));
    let blind: Vec<&str> = blind.map(|case| case.id).collect();
    assert!(blind.is_empty(), "store cases that catch no fault: {blind:?}");
    let caught: HashSet<Fault> = cases().iter().flat_map(|case| case.catches.iter().copied()).collect();
    let free: Vec<&Fault> = Fault::ALL.iter().filter(|fault| !caught.contains(fault)).collect();
    assert!(free.is_empty(), "faults that no case catches: {free:?}");
}

#[test]
fn ids_are_unique_and_speak() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        assert!(seen.insert(case.id), "two cases are called {}", case.id);
        let (verb, promise) = case.id.split_once('/').expect("verb/what-must-hold");
        for part in [verb, promise] {
            let words = part.split('-').all(|word| {
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            });
            assert!(words, "{} is not kebab-case", case.id);
        }
        assert!(case.summary.len() > 12 && case.summary.ends_with('.'), "{} needs a sentence", case.id);
        let once: HashSet<&Fault> = case.catches.iter().collect();
        assert_eq!(once.len(), case.catches.len(), "{} names a fault twice", case.id);
    }
}
