//! How often a request allocates: a number that no noise changes, so that it can be tested.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and the numbers are of interest"
)]

use session_benches::{Addresses, Backend, Case, RequestOpKind, Subject, What};
use tokio::runtime::{Builder, Runtime};

/// Allocations of one call: the difference between many calls and a few, so that what they begin with does not count.
/// In whole numbers: a cache tidies up now and then, on both sides, which is a tenth of an allocation for each call.
fn allocations(runtime: &Runtime, subject: &dyn Subject) -> f64 {
    let count = |calls: usize| {
        let run = || runtime.block_on(subject.alone(calls, &|| {})).unwrap();
        allocation_counter::measure(run).count_total as f64
    };
    count(10);
    ((count(1100) - count(100)) / 1000.0).round()
}

/// Of the floor, and of a request to an application with sessions in this process.
fn of(kind: RequestOpKind) -> [f64; 2] {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let case = Case { what: What::Request(kind), backend: Backend::Moka, concurrency: 1 };
    let subjects = runtime.block_on(case.open(&Addresses::nowhere())).unwrap();
    let counts = subjects.map(|subject| allocations(&runtime, &*subject));
    println!("{:20} floor {:5.1}   with sessions {:5.1}", kind.name(), counts[0], counts[1]);
    counts
}

/// The session's place, and the box around it in the request's extensions, whose table has room for it from the start.
#[test]
fn a_request_that_leaves_its_session_alone_costs_two_allocations() {
    let [floor, ours] = of(RequestOpKind::Untouched);
    assert!(ours - floor <= 2.0, "{} allocations more than axum alone", ours - floor);
}

#[test]
fn a_request_that_uses_its_session_allocates_no_more_than_one_that_parses_json() {
    for kind in [RequestOpKind::Read, RequestOpKind::Write] {
        let [floor, ours] = of(kind);
        assert!(ours <= floor, "{}: {ours} allocations, {floor} of the floor", kind.name());
    }
    let _ = [RequestOpKind::Anonymous, RequestOpKind::Login, RequestOpKind::Logout].map(of);
}
