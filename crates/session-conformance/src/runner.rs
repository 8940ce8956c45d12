//! Runs cases in parallel, each in its own namespace, with a time limit.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};

use crate::adapter::AdapterHarness;
use crate::case::Case;
use crate::catalog::{cases, is_request};
use crate::env::Env;
use crate::faults::Fault;
use crate::harness::{Harness, Need};
use crate::outcome::{Failure, Outcome};
use crate::reference_harness::ReferenceHarness;
use crate::report::{CaseReport, CaseResult};

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long one case may take before it fails.
    pub timeout: Duration,
    /// How many cases run at once.
    pub at_once: usize,
    /// The fault to seed, to test the suite itself.
    pub fault: Option<Fault>,
}

impl Default for Options {
    /// Two minutes for a case, which is many times what any takes on a quiet machine; 8 cases at once, no fault.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), at_once: 8, fault: None }
    }
}

/// Runs `cases` on the backend of `harness`, and reports in the same order. Needs a multi-threaded tokio runtime, or the
/// cases about concurrency prove nothing.
///
/// A waiver that names no case is reported as a failure of its own.
pub async fn run(harness: Arc<dyn Harness>, cases: &[&'static Case], options: Options) -> Vec<CaseReport> {
    let runs = cases.iter().map(|case| run_case(Arc::clone(&harness), case, options));
    let mut reports: Vec<CaseReport> = stream::iter(runs).buffered(options.at_once.max(1)).collect().await;
    reports.extend(void_waivers(harness.as_ref()));
    reports
}

/// Runs one case.
pub async fn run_case(harness: Arc<dyn Harness>, case: &'static Case, options: Options) -> CaseReport {
    let result = judge(harness, case, options).await;
    CaseReport { id: case.id, summary: case.summary, needs: case.needs, result }
}

/// Runs those of `cases` that are about whole requests through `adapter`, over [`ReferenceStore`](crate::ReferenceStore), and
/// reports in the same order. As for [`run`], the runtime must be multi-threaded.
///
/// A case that is about refresh tokens alone does not apply to an adapter without token routes; nor does one that needs the two
/// halves of a refresh apart, which no route has.
pub async fn run_adapter(
    adapter: Arc<dyn AdapterHarness>,
    cases: &[&'static Case],
    options: Options,
) -> Vec<CaseReport> {
    let cases = cases.iter().filter(|case| is_request(case));
    let runs = cases.map(|case| run_adapter_case(Arc::clone(&adapter), case, options));
    stream::iter(runs).buffered(options.at_once.max(1)).collect().await
}

pub(crate) async fn run_adapter_case(
    adapter: Arc<dyn AdapterHarness>,
    case: &'static Case,
    options: Options,
) -> CaseReport {
    let harness = Arc::new(ReferenceHarness::through(adapter));
    let report = run_case(Arc::clone(&harness) as Arc<dyn Harness>, case, options).await;
    if report.result == CaseResult::Pass && !harness.adapter_is_used() {
        let why = "is about refresh tokens, and sends no request through the adapter".to_owned();
        return CaseReport { result: CaseResult::NotApplicable(why), ..report };
    }
    report
}

async fn judge(harness: Arc<dyn Harness>, case: &'static Case, options: Options) -> CaseResult {
    let capabilities = harness.capabilities();
    if let Some(missing) = case.needs.iter().find(|need| !capabilities.have(**need)) {
        let why = match missing {
            Need::Durable | Need::Shared => "",
            Need::Disruption(_) => ", and has no servers that the harness can do that to",
        };
        return CaseResult::NotApplicable(format!("needs {missing}{why}"));
    }
    let waiver = harness.waivers().iter().find(|waiver| waiver.case == case.id);
    match (attempt(harness, case, options).await, waiver) {
        (Ok(()), None) => CaseResult::Pass,
        (Ok(()), Some(_)) => CaseResult::Fail("is waived, but passes: remove the waiver".to_owned()),
        (Err(failure), None) => CaseResult::Fail(failure.as_str().to_owned()),
        (Err(_), Some(waiver)) => CaseResult::Waived(waiver.reason.to_owned()),
    }
}

async fn attempt(harness: Arc<dyn Harness>, case: &'static Case, options: Options) -> Outcome {
    let env = Env::new(harness, case.id, options.fault)?;
    // In its own task: a panic fails the case, and only that.
    let mut task = tokio::spawn((case.run)(env));
    match tokio::time::timeout(options.timeout, &mut task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => Err(Failure::new(format!("panicked: {}", panic_text(panic.as_ref())))),
            Err(_) => Err(Failure::new("was cancelled")),
        },
        Err(_) => {
            task.abort();
            Err(Failure::new(format!("was not finished after {:?}", options.timeout)))
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Waivers that name no case: left over from one that was renamed.
pub(crate) fn void_waivers(harness: &dyn Harness) -> Vec<CaseReport> {
    let cases = cases();
    let void = harness.waivers().iter().filter(|waiver| !cases.iter().any(|case| case.id == waiver.case));
    void.map(|waiver| CaseReport {
        id: waiver.case,
        summary: "Every waiver names a case.",
        needs: &[],
        result: CaseResult::Fail("is waived, but there is no such case".to_owned()),
    })
    .collect()
}
