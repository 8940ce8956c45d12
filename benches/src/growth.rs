//! How latency grows with the number of sessions.

use std::sync::Arc;

use session_core::SessionId;
use session_core::store::{Freshness, SessionStore};

use crate::backend::Backend;
use crate::measure::{RunLength, quantile};
use crate::op::{Benchmark, Failure, Op};
use crate::populate::{Population, populate};
use crate::report::Growth;
use crate::servers::Addresses;
use crate::store::{StoreOp, StoreOpKind};

/// On every backend: a load from stores of each of these `sizes`, and a list and a login for a user with 1, 10 and 100
/// sessions.
///
/// # Errors
/// If an outcome was wrong.
pub async fn growth(addresses: &Addresses, sizes: &[usize], length: RunLength) -> Result<Vec<Growth>, Failure> {
    let mut rows = Vec::new();
    for backend in [Backend::Moka, Backend::Redis, Backend::Postgres, Backend::Sqlite] {
        let store = backend.store(addresses).await?;
        let mut ids = Vec::new();
        for size in sizes {
            eprintln!("growth: {}, {size} sessions …", backend.name());
            let missing = size.saturating_sub(ids.len());
            ids.append(&mut populate(&store, Population::Anonymous, missing, ids.len()).await?);
            let loads = Arc::new(LoadAny { store: Arc::clone(&store), ids: ids.clone() });
            rows.push(row("store-load", backend, *size, &latencies(&loads, length).await?));
        }
        for kind in [StoreOpKind::List, StoreOpKind::Login] {
            for of_user in [1, 10, 100] {
                let op = Arc::new(StoreOp::new(Arc::clone(&store), kind)?.with_others(of_user - 1));
                rows.push(row(kind.name(), backend, of_user, &latencies(&op, length).await?));
            }
        }
        drop(store);
        addresses.clear().await?;
    }
    Ok(rows)
}

fn row(op: &str, backend: Backend, sessions: usize, latencies: &[u32]) -> Growth {
    Growth {
        op: op.to_owned(),
        backend: backend.name().to_owned(),
        sessions,
        p50_us: quantile(latencies, 0.50),
        p99_us: quantile(latencies, 0.99),
    }
}

/// Latencies at concurrency 1, sorted.
async fn latencies(benchmark: &dyn Benchmark, length: RunLength) -> Result<Vec<u32>, Failure> {
    let probe = benchmark.round(1, 50).await?.elapsed;
    let count = (50.0 * length.round.as_secs_f64() / probe.as_secs_f64().max(1e-6)) as usize;
    let mut latencies = Vec::new();
    for _ in 0..length.rounds {
        latencies.append(&mut benchmark.round(1, count.clamp(50, 100_000)).await?.latencies);
    }
    latencies.sort_unstable();
    Ok(latencies)
}

/// Loads of many different sessions.
#[derive(Debug)]
struct LoadAny {
    store: Arc<dyn SessionStore>,
    ids: Vec<SessionId>,
}

impl Op for LoadAny {
    type Worker = usize;

    async fn worker(&self, number: usize, _count: usize) -> Result<usize, Failure> {
        Ok(number)
    }

    async fn once(&self, at: &mut usize) -> Result<(), Failure> {
        // The stride is coprime with the number of sessions: it visits them all, in no order of storage.
        *at = (*at + 7_368_787) % self.ids.len();
        self.store.load(&self.ids[*at], Freshness::Latest).await?.ok_or("load: absent")?;
        Ok(())
    }
}
