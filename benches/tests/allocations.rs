//! Allocations per request: a number free of noise, so that it can be tested.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and the numbers are worth seeing"
)]

use session_benches::{Addresses, Backend, Benchmark, Case, Operation, RequestOpKind};
use tokio::runtime::{Builder, Runtime};

/// Allocations per call: the difference between many calls and few, so that the setup does not count. Rounded: the
/// housekeeping of the cache, on both sides, adds a tenth of an allocation per call.
fn allocations(runtime: &Runtime, benchmark: &dyn Benchmark) -> f64 {
    let count = |calls: usize| {
        let run = || runtime.block_on(benchmark.single(calls, &|| {})).unwrap();
        allocation_counter::measure(run).count_total as f64
    };
    count(10);
    ((count(1100) - count(100)) / 1000.0).round()
}

/// Allocations of the floor, and of the same request with an in-process session store.
fn of(kind: RequestOpKind) -> [f64; 2] {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let case = Case { operation: Operation::Request(kind), backend: Backend::Moka, concurrency: 1 };
    let benchmarks = runtime.block_on(case.open(&Addresses::nowhere())).unwrap();
    let counts = benchmarks.map(|benchmark| allocations(&runtime, &*benchmark));
    println!("{:20} floor {:5.1}   with sessions {:5.1}", kind.name(), counts[0], counts[1]);
    counts
}

/// The shared slot of the session, and its box in the request's extensions, whose table is large enough from the start.
#[test]
fn a_request_that_leaves_its_session_alone_costs_two_allocations() {
    let [floor, ours] = of(RequestOpKind::Untouched);
    assert!(ours - floor <= 2.0, "{} more allocations than axum alone", ours - floor);
}

/// The floor decodes only what the handler needs: for a read, one number; for a write, all values.
#[test]
fn a_request_that_uses_its_session_allocates_little_more_than_one_that_decodes_what_it_needs() {
    for (kind, more) in [(RequestOpKind::Read, 2.0), (RequestOpKind::Write, 0.0)] {
        let [floor, ours] = of(kind);
        assert!(ours <= floor + more, "{}: {ours} allocations, floor {floor}", kind.name());
    }
    let _ = [RequestOpKind::Anonymous, RequestOpKind::Login, RequestOpKind::Logout].map(of);
}
