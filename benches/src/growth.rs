//! How a call grows with the number of sessions.

use std::sync::Arc;

use session_core::store::{Freshness, SessionStore};
use session_core::{OsEntropy, SessionId};
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::floor::{FloorOp, FloorStore};
use crate::measure::{RunLength, compare};
use crate::op::{Benchmark, Failure, Op};
use crate::payload::JSON;
use crate::populate::{Population, WRITERS, populate};
use crate::report::Growth;
use crate::servers::Addresses;
use crate::store::{StoreOp, StoreOpKind};

/// What is asked of a store of each size, beside a load.
const IN_STORE: [StoreOpKind; 2] = [StoreOpKind::Update, StoreOpKind::Login];
/// What is asked about a user with many sessions.
const OF_USER: [StoreOpKind; 2] = [StoreOpKind::List, StoreOpKind::Login];
/// Beyond as many, only stores in memory grow: to fill a disk takes hours.
const MOST_ON_DISK: usize = 1_000_000;

/// On every backend, one call at a time, beside a floor that has as many values: a load, an update and a login in stores of each
/// of these `sizes`, and a list and a login of a user with 1, 10 and 100 sessions.
///
/// # Errors
/// If an outcome was wrong.
pub async fn growth(addresses: &Addresses, sizes: &[usize], length: RunLength) -> Result<Vec<Growth>, Failure> {
    let mut rows = Vec::new();
    for backend in [Backend::Moka, Backend::Redis, Backend::Postgres, Backend::Sqlite] {
        let growing =
            Growing { backend, length, floor: backend.floor(addresses).await?, store: backend.store(addresses).await? };
        let mut keys = Keys::default();
        let is_on_disk = matches!(backend, Backend::Postgres | Backend::Sqlite);
        for size in sizes.iter().filter(|size| !is_on_disk || **size <= MOST_ON_DISK) {
            eprintln!("growth: {}, {size} sessions …", backend.name());
            keys.grow(&growing, *size).await?;
            let (of_floor, of_store) = (keys.floor.clone(), keys.store.clone());
            let floor = FloorLoadAny { store: growing.floor.clone(), keys: of_floor };
            let load = LoadAny { store: Arc::clone(&growing.store), ids: of_store };
            rows.push(growing.row(StoreOpKind::Load, *size, floor, load).await?);
            for kind in IN_STORE {
                rows.push(growing.row(kind, *size, growing.floor_op(kind), growing.op(kind)?).await?);
            }
        }
        for kind in OF_USER {
            for of_user in [1, 10, 100] {
                let op = growing.op(kind)?.with_others(of_user - 1);
                rows.push(growing.row(kind, of_user, growing.floor_op(kind), op).await?);
            }
        }
        drop(growing);
        addresses.clear().await?;
    }
    Ok(rows)
}

/// A store that gets fuller, and its floor.
struct Growing {
    backend: Backend,
    length: RunLength,
    floor: FloorStore,
    store: Arc<dyn SessionStore>,
}

impl Growing {
    fn floor_op(&self, kind: StoreOpKind) -> FloorOp {
        FloorOp { store: self.floor.clone(), kind }
    }

    fn op(&self, kind: StoreOpKind) -> Result<StoreOp, Failure> {
        StoreOp::new(Arc::clone(&self.store), kind)
    }

    async fn row<F, O>(&self, kind: StoreOpKind, sessions: usize, floor: F, op: O) -> Result<Growth, Failure>
    where
        Arc<F>: Benchmark,
        Arc<O>: Benchmark,
    {
        let (floor, op) = (Arc::new(floor), Arc::new(op));
        let samples = compare(&[&floor, &op], 1, self.length).await?;
        let [floor, sample] = samples.as_slice() else { return Err("two were measured".into()) };
        Ok(Growth {
            op: kind.name().to_owned(),
            backend: self.backend.name().to_owned(),
            sessions,
            p50_us: sample.p50_us,
            p99_us: sample.p99_us,
            floor_p50_us: floor.p50_us,
            ratio_to_floor: sample.ratio_to_floor,
        })
    }
}

/// The names of what is stored.
#[derive(Default)]
struct Keys {
    floor: Arc<Vec<String>>,
    store: Arc<Vec<SessionId>>,
}

impl Keys {
    /// Adds sessions, and values of the floor, until there are `size` of each.
    async fn grow(&mut self, growing: &Growing, size: usize) -> Result<(), Failure> {
        let (floor, store) = (Arc::make_mut(&mut self.floor), Arc::make_mut(&mut self.store));
        let missing = size.saturating_sub(store.len());
        store.append(&mut populate(&growing.store, Population::Anonymous, missing, store.len()).await?);
        floor.append(&mut populate_floor(&growing.floor, missing).await?);
        Ok(())
    }
}

/// Adds `count` values to a floor, and returns their keys.
async fn populate_floor(floor: &FloorStore, count: usize) -> Result<Vec<String>, Failure> {
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (floor, count) = (floor.clone(), (writer..count).step_by(WRITERS).len());
        tasks.spawn(async move {
            let mut keys = Vec::with_capacity(count);
            for _ in 0..count {
                let key = SessionId::generate(None, &OsEntropy)?.to_string();
                floor.create(&key, &key, JSON.as_bytes()).await?;
                keys.push(key);
            }
            Ok::<_, Failure>(keys)
        });
    }
    let mut keys = Vec::with_capacity(count);
    while let Some(added) = tasks.join_next().await {
        keys.append(&mut added??);
    }
    Ok(keys)
}

/// The next of `count` in an order that visits them all, and is no order of storage: the stride is a prime.
fn stride(at: &mut usize, count: usize) -> usize {
    *at = (*at + 7_368_787) % count.max(1);
    *at
}

/// Loads of many different sessions.
#[derive(Debug)]
struct LoadAny {
    store: Arc<dyn SessionStore>,
    ids: Arc<Vec<SessionId>>,
}

impl Op for LoadAny {
    type Worker = usize;

    async fn worker(&self, number: usize, _count: usize) -> Result<usize, Failure> {
        Ok(number)
    }

    async fn once(&self, at: &mut usize) -> Result<(), Failure> {
        let id = &self.ids[stride(at, self.ids.len())];
        self.store.load(id, Freshness::Latest).await?.ok_or("load: absent")?;
        Ok(())
    }
}

/// The same, of the floor.
#[derive(Debug)]
struct FloorLoadAny {
    store: FloorStore,
    keys: Arc<Vec<String>>,
}

impl Op for FloorLoadAny {
    type Worker = usize;

    async fn worker(&self, number: usize, _count: usize) -> Result<usize, Failure> {
        Ok(number)
    }

    async fn once(&self, at: &mut usize) -> Result<(), Failure> {
        self.store.get(&self.keys[stride(at, self.keys.len())]).await?.ok_or("absent")?;
        Ok(())
    }
}
