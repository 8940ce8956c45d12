//! Operations of every store, one at a time: `cargo bench -p session-benches`. Named `op/scenario/backend`; each iteration
//! asserts its outcome.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails stops")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use criterion::Criterion;
use session_benches::{NOW, session};
use session_core::{Admission, Admitted, Deleted, OsEntropy, Record, SessionStore, Touched, Updated, UserId};
use session_testbed::backends;
use tokio::runtime::Runtime;

/// How many sessions the store holds while it is measured.
const SESSIONS: usize = 1000;

fn main() {
    let runtime = Runtime::new().unwrap();
    let mut criterion = Criterion::default().configure_from_args();
    for backend in backends() {
        let store = runtime.block_on(backend.open("benches")).unwrap_or_else(|error| panic!("{error}"));
        let bench = Bench { runtime: &runtime, backend: backend.backend(), records: filled(&runtime, &store), store };
        bench.load(&mut criterion);
        bench.touch(&mut criterion);
        bench.update(&mut criterion);
        bench.create_and_delete(&mut criterion);
        bench.list(&mut criterion);
    }
    criterion.final_summary();
}

struct Bench<'r> {
    runtime: &'r Runtime,
    backend: &'static str,
    store: Arc<dyn SessionStore>,
    records: Vec<Record>,
}

fn filled(runtime: &Runtime, store: &Arc<dyn SessionStore>) -> Vec<Record> {
    let records: Vec<Record> = (0..SESSIONS).map(|n| session(&user(n)).unwrap()).collect();
    for record in &records {
        let admission = Admission { record, replaces: None, limit: None };
        assert!(matches!(runtime.block_on(store.create(admission, NOW)).unwrap(), Admitted::Created { .. }));
    }
    records
}

fn user(number: usize) -> UserId {
    UserId::new(format!("user-{number}")).unwrap()
}

impl Bench<'_> {
    fn name(&self, case: &str) -> String {
        format!("{case}/{}", self.backend)
    }

    fn load(&self, criterion: &mut Criterion) {
        let mut ids = self.records.iter().map(|record| record.id).cycle();
        criterion.bench_function(&self.name("load/hit"), |bencher| {
            bencher.to_async(self.runtime).iter(|| {
                let id = ids.next().unwrap();
                async move { assert!(black_box(self.store.load(&id).await.unwrap()).is_some()) }
            });
        });
    }

    fn touch(&self, criterion: &mut Criterion) {
        let clock = AtomicI64::new(0);
        let mut records = self.records.iter().cycle();
        criterion.bench_function(&self.name("touch/applied"), |bencher| {
            bencher.to_async(self.runtime).iter(|| {
                let record = records.next().unwrap();
                let seen = NOW + Duration::from_millis(clock.fetch_add(1, Ordering::Relaxed).unsigned_abs() / 1000);
                async move {
                    let touched = self.store.touch(&record.id, record.user(), seen, NOW).await.unwrap();
                    assert_eq!(touched, Touched::Applied);
                }
            });
        });
    }

    fn update(&self, criterion: &mut Criterion) {
        // A session of its own: the others keep the version they were filled with.
        let mut record = session(&user(SESSIONS)).unwrap();
        let admission = Admission { record: &record, replaces: None, limit: None };
        assert!(matches!(self.runtime.block_on(self.store.create(admission, NOW)).unwrap(), Admitted::Created { .. }));
        criterion.bench_function(&self.name("update/applied"), |bencher| {
            bencher.to_async(self.runtime).iter(|| {
                let expected = record.version;
                record.version = expected.next(&OsEntropy).unwrap();
                let record = record.clone();
                async move {
                    assert_eq!(self.store.update(&record, expected, NOW).await.unwrap(), Updated::Applied);
                }
            });
        });
    }

    fn create_and_delete(&self, criterion: &mut Criterion) {
        let mut number = SESSIONS;
        criterion.bench_function(&self.name("create-delete/login"), |bencher| {
            bencher.to_async(self.runtime).iter(|| {
                number += 1;
                let record = session(&user(number)).unwrap();
                async move {
                    let admission = Admission { record: &record, replaces: None, limit: None };
                    let admitted = self.store.create(admission, NOW).await.unwrap();
                    assert!(matches!(admitted, Admitted::Created { .. }));
                    assert_eq!(self.store.delete(&record.id, record.user()).await.unwrap(), Deleted::Deleted);
                }
            });
        });
    }

    fn list(&self, criterion: &mut Criterion) {
        let mut users = self.records.iter().filter_map(Record::user).cycle();
        criterion.bench_function(&self.name("list/one"), |bencher| {
            bencher.to_async(self.runtime).iter(|| {
                let user = users.next().unwrap();
                async move { assert_eq!(self.store.list_by_user(user, NOW).await.unwrap().len(), 1) }
            });
        });
    }
}
