//! Every operation on every backend: `cargo bench -p session-benches --bench operations`. Named `op/scenario/backend`,
//! where the scenario is how many do it at once; each iteration asserts its outcome.
//!
//! Criterion remembers the last run and says what changed. To compare backends with each other and with what is
//! physically possible, use `cargo xtask bench`.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

use std::time::Duration;

use criterion::{Criterion, Throughput};
use session_benches::{Case, Servers, What};
use tokio::runtime::Builder;

fn main() {
    let cores = Builder::new_multi_thread().enable_all().build().unwrap();
    let one = Builder::new_current_thread().enable_all().build().unwrap();
    let servers = cores.block_on(Servers::launch()).unwrap();
    let addresses = servers.addresses();
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(200));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).sample_size(10).configure_from_args();
    for case in Case::all() {
        let runtime = if matches!(case.what, What::Store(_)) { &cores } else { &one };
        let name = case.name();
        let (group, backend) = name.rsplit_once('/').unwrap();
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(1));
        group.bench_function(backend, |bencher| {
            // Inside, so that a filter costs nothing.
            let [_, subject] = runtime.block_on(case.open(&addresses)).unwrap();
            let subject = &*subject;
            bencher.to_async(runtime).iter_custom(|iterations| async move {
                let count = usize::try_from(iterations).unwrap().div_ceil(case.concurrency);
                let elapsed = subject.round(case.concurrency, count).await.unwrap().elapsed;
                // Of as many calls as were asked for, not of as many as were rounded up to.
                elapsed.mul_f64(iterations as f64 / (count * case.concurrency) as f64)
            });
            runtime.block_on(addresses.clear()).unwrap();
        });
        group.finish();
    }
    criterion.final_summary();
}
