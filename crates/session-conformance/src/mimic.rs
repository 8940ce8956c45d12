//! The suite as a test binary: [`main`].

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::{Builder, Handle};

use crate::catalog::cases;
use crate::harness::Harness;
use crate::report::{CaseReport, CaseResult};
use crate::runner::{Options, run_case, void_waivers};

/// The `main` of a test with `harness = false`: runs the suite and understands the arguments of `cargo test`.
///
/// A case is a test called `backend::case/id`. One that does not apply, or is waived, is shown as ignored, with the
/// reason.
#[must_use]
pub fn main(harness: impl Harness) -> ExitCode {
    let harness: Arc<dyn Harness> = Arc::new(harness);
    let options = Options::default();
    let mut arguments = Arguments::from_args();
    // Cases wait for a server more than they compute: more threads than cores.
    arguments.test_threads.get_or_insert(options.at_once);
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the tokio runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let void = void_waivers(harness.as_ref());
    let mut trials: Vec<Trial> = void.into_iter().map(|report| trial(&harness, report.id, move || report)).collect();
    trials.extend(cases().into_iter().map(|case| {
        let (runtime, subject): (Handle, _) = (runtime.handle().clone(), Arc::clone(&harness));
        trial(&harness, case.id, move || runtime.block_on(run_case(subject, case, options)))
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // A case that timed out may still block a thread.
    runtime.shutdown_background();
    conclusion.exit_code()
}

fn trial(harness: &Arc<dyn Harness>, id: &str, run: impl FnOnce() -> CaseReport + Send + 'static) -> Trial {
    Trial::ignorable_test(format!("{}::{id}", harness.backend()), move || match run().result {
        CaseResult::Pass => Ok(Completion::Completed),
        CaseResult::Fail(why) => Err(Failed::from(why)),
        CaseResult::NotApplicable(why) => Ok(Completion::ignored_with(format!("n/a: {why}"))),
        CaseResult::Waived(why) => Ok(Completion::ignored_with(format!("waived: {why}"))),
    })
}
