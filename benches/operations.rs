//! Every operation on every backend: `cargo bench -p session-benches --bench operations`. Benchmarks are named
//! `op/concurrency/backend`; each iteration asserts its outcome.
//!
//! Criterion compares with the run before. To compare backends with each other and with their floors, use
//! `cargo xtask bench`.

#![allow(clippy::unwrap_used, reason = "a panic is how a benchmark fails")]

use std::time::Duration;

use criterion::{Criterion, Throughput};
use session_benches::{Case, Servers};
use tokio::runtime::Builder;

fn main() {
    let all_cores = Builder::new_multi_thread().enable_all().build().unwrap();
    let one_core = Builder::new_current_thread().enable_all().build().unwrap();
    let servers = all_cores.block_on(Servers::launch()).unwrap();
    let addresses = servers.addresses();
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(200));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).sample_size(10).configure_from_args();
    for case in Case::all() {
        let runtime = if case.operation.is_of_store() { &all_cores } else { &one_core };
        let name = case.name();
        let (group, backend) = name.rsplit_once('/').unwrap();
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(1));
        group.bench_function(backend, |bencher| {
            // In here, so that benchmarks that are filtered out cost nothing.
            let [_, benchmark] = runtime.block_on(case.open(&addresses)).unwrap();
            let benchmark = &*benchmark;
            bencher.to_async(runtime).iter_custom(|iterations| async move {
                let count = usize::try_from(iterations).unwrap().div_ceil(case.concurrency);
                let elapsed = benchmark.round(case.concurrency, count).await.unwrap().elapsed;
                // Scaled to the number of calls that criterion asked for, which is rounded up here.
                elapsed.mul_f64(iterations as f64 / (count * case.concurrency) as f64)
            });
            runtime.block_on(addresses.clear()).unwrap();
        });
        group.finish();
    }
    criterion.final_summary();
}
