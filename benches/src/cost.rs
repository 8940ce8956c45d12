//! What a call costs the servers, whoever makes it.

use std::sync::Arc;

use crate::backend::Backend;
use crate::op::{Benchmark, Failure};
use crate::report::Cost;
use crate::servers::Addresses;
use crate::store::{StoreOp, StoreOpKind};

/// The operations whose preparation costs the same, however many calls follow.
const KINDS: [StoreOpKind; 5] =
    [StoreOpKind::Load, StoreOpKind::Touch, StoreOpKind::Update, StoreOpKind::Login, StoreOpKind::List];
/// Callers at once: a busy server, which finds several commands in each read of a connection.
const CALLERS: usize = 64;
/// Calls of each.
const CALLS: usize = 400;

/// Processor time of Redis, bytes on its connections, and the write-ahead log of PostgreSQL, each per call.
///
/// # Errors
/// If a store failed.
pub async fn cost(addresses: &Addresses) -> Result<Vec<Cost>, Failure> {
    let mut rows = Vec::new();
    for backend in [Backend::Redis, Backend::Postgres] {
        let store = backend.store(addresses).await?;
        for kind in KINDS {
            eprintln!("cost: {}, {} …", backend.name(), kind.name());
            let op = Arc::new(StoreOp::new(Arc::clone(&store), kind)?);
            let _ = op.round(CALLERS, CALLS).await?;
            // What many calls cost more than few: the preparation of both is the same.
            let few = spent(addresses, backend, &op, CALLS).await?;
            let many = spent(addresses, backend, &op, 3 * CALLS).await?;
            let of = |counter: usize| (many[counter] - few[counter]) / (2 * CALLS * CALLERS) as f64;
            rows.push(Cost {
                op: kind.name().to_owned(),
                backend: backend.name().to_owned(),
                server_us: (backend == Backend::Redis).then(|| of(0) * 1e6),
                sent_bytes: (backend == Backend::Redis).then(|| of(1)),
                received_bytes: (backend == Backend::Redis).then(|| of(2)),
                wal_bytes: (backend == Backend::Postgres).then(|| of(3)),
            });
        }
        drop(store);
        addresses.clear().await?;
    }
    Ok(rows)
}

/// What so many calls cost: seconds of the processor, bytes to the server and from it, bytes of the log.
async fn spent(addresses: &Addresses, backend: Backend, op: &Arc<StoreOp>, calls: usize) -> Result<[f64; 4], Failure> {
    let before = counters(addresses, backend).await?;
    let _ = op.round(CALLERS, calls).await?;
    let after = counters(addresses, backend).await?;
    Ok(std::array::from_fn(|counter| after[counter] - before[counter]))
}

async fn counters(addresses: &Addresses, backend: Backend) -> Result<[f64; 4], Failure> {
    if backend == Backend::Postgres {
        return Ok([0.0, 0.0, 0.0, addresses.wal_position().await? as f64]);
    }
    let field =
        async |section, name| -> Result<f64, Failure> { Ok(addresses.redis_info(section, name).await?.parse()?) };
    let cpu = field("cpu", "used_cpu_user").await? + field("cpu", "used_cpu_sys").await?;
    let sent = field("stats", "total_net_input_bytes").await?;
    Ok([cpu, sent, field("stats", "total_net_output_bytes").await?, 0.0])
}
