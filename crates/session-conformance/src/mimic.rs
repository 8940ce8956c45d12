//! The suite as a test binary: [`main`] for a backend, [`adapter_main`] for an HTTP adapter.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::{Builder, Handle};

use crate::adapter::AdapterHarness;
use crate::case::Case;
use crate::catalog::cases;
use crate::harness::Harness;
use crate::report::CaseResult;
use crate::request::REQUEST_CASES;
use crate::runner::{Options, run_adapter_case, run_case, void_waivers};

/// The `main` of a test with `harness = false`: runs the suite and understands the arguments of `cargo test`.
///
/// A case is a test called `backend::case/id`. One that does not apply, or is waived, is shown as ignored, with the
/// reason.
#[must_use]
pub fn main(harness: impl Harness) -> ExitCode {
    let harness: Arc<dyn Harness> = Arc::new(harness);
    run_trials(|runtime| {
        let name = |id: &str| format!("{}::{id}", harness.backend());
        let void = void_waivers(harness.as_ref());
        let void = void.into_iter().map(|report| trial(name(report.id), runtime, async move { report.result }));
        let run = |case: &'static Case| {
            let harness = Arc::clone(&harness);
            trial(name(case.id), runtime, async move { run_case(harness, case, Options::default()).await.result })
        };
        void.chain(cases().into_iter().map(run)).collect()
    })
}

/// [`main`] for an HTTP adapter: runs the cases of whole requests through it, over
/// [`ReferenceStore`](crate::ReferenceStore).
///
/// A case is a test called `adapter::case/id`. One that does not apply, as [`run_adapter`](crate::run_adapter) says, is shown
/// as ignored.
#[must_use]
pub fn adapter_main(adapter: impl AdapterHarness) -> ExitCode {
    let adapter: Arc<dyn AdapterHarness> = Arc::new(adapter);
    run_trials(|runtime| {
        let run = |case: &'static Case| {
            let name = format!("{}::{}", adapter.adapter(), case.id);
            let adapter = Arc::clone(&adapter);
            trial(name, runtime, async move { run_adapter_case(adapter, case, Options::default()).await.result })
        };
        REQUEST_CASES.into_iter().flatten().map(run).collect()
    })
}

fn run_trials(trials: impl FnOnce(&Handle) -> Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Cases wait for a server more than they compute: more threads than cores.
    arguments.test_threads.get_or_insert(Options::default().at_once);
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the tokio runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials(runtime.handle()));
    // A case that timed out may still block a thread.
    runtime.shutdown_background();
    conclusion.exit_code()
}

fn trial(name: String, runtime: &Handle, result: impl Future<Output = CaseResult> + Send + 'static) -> Trial {
    let runtime = runtime.clone();
    Trial::ignorable_test(name, move || match runtime.block_on(result) {
        CaseResult::Pass => Ok(Completion::Completed),
        CaseResult::Fail(why) => Err(Failed::from(why)),
        CaseResult::NotApplicable(why) => Ok(Completion::ignored_with(format!("n/a: {why}"))),
        CaseResult::Waived(why) => Ok(Completion::ignored_with(format!("waived: {why}"))),
    })
}
