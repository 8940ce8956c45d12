//! How latency grows with the number of sessions.

use std::sync::Arc;

use session_core::SessionId;
use session_core::store::{Freshness, SessionStore};

use crate::fill::{Whose, fill};
use crate::measure::{Effort, quantile};
use crate::op::{Failure, Measured, Op, Subject as _};
use crate::report::Growth;
use crate::servers::{Addresses, Backend};
use crate::store::{StoreOp, StoreOpKind};

/// A load among each of these numbers of sessions, and listing and limiting for a user with 1, 10 and 100, on every backend.
///
/// # Errors
/// If an outcome was wrong.
pub async fn growth(addresses: &Addresses, sizes: &[usize], effort: Effort) -> Result<Vec<Growth>, Failure> {
    let mut rows = Vec::new();
    for backend in [Backend::Moka, Backend::Redis, Backend::Postgres] {
        let store = backend.store(addresses).await?;
        let mut ids = Vec::new();
        for size in sizes {
            eprintln!("growth: {}, {size} sessions …", backend.name());
            let missing = size.saturating_sub(ids.len());
            ids.append(&mut fill(&store, Whose::Visitors, missing, ids.len()).await?);
            let loads = Measured::new(LoadAny { store: Arc::clone(&store), ids: ids.clone() });
            rows.push(row("store-load", backend, *size, &latencies(&loads, effort).await?));
        }
        for kind in [StoreOpKind::List, StoreOpKind::Login] {
            for of_user in [1, 10, 100] {
                let op = StoreOp::new(Arc::clone(&store), kind)?.with_others(of_user - 1);
                rows.push(row(kind.name(), backend, of_user, &latencies(&Measured::new(op), effort).await?));
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
async fn latencies<O: Op>(op: &Measured<O>, effort: Effort) -> Result<Vec<u32>, Failure> {
    let probe = op.round(1, 50).await?.elapsed;
    let count = (50.0 * effort.round.as_secs_f64() / probe.as_secs_f64().max(1e-6)) as usize;
    let mut latencies = Vec::new();
    for _ in 0..effort.rounds {
        latencies.append(&mut op.round(1, count.clamp(50, 100_000)).await?.latencies);
    }
    latencies.sort_unstable();
    Ok(latencies)
}

/// Loads of any of many sessions.
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
        // A stride that has no factor in common with the number of sessions: all in turn, in no order of storage.
        *at = (*at + 7_368_787) % self.ids.len();
        self.store.load(&self.ids[*at], Freshness::Latest).await?.ok_or("load: it is not there")?;
        Ok(())
    }
}
