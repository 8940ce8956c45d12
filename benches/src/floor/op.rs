//! The floors of store operations.

use std::collections::VecDeque;

use session_core::{OsEntropy, SessionId};

use super::store::FloorStore;
use crate::op::{Failure, Op};
use crate::payload::JSON;
use crate::store::StoreOpKind;

/// The least that could do the job of a store operation.
#[derive(Debug)]
pub(crate) struct FloorOp {
    pub(crate) store: FloorStore,
    pub(crate) kind: StoreOpKind,
}

/// The keys of one worker, and their owner.
#[derive(Debug)]
pub(crate) struct Worker {
    owner: String,
    keys: VecDeque<String>,
    fresh: VecDeque<String>,
    seen: i64,
}

fn key() -> Result<String, Failure> {
    Ok(SessionId::generate(None, &OsEntropy)?.to_string())
}

impl Op for FloorOp {
    type Worker = Worker;

    async fn worker(&self, number: usize, count: usize) -> Result<Worker, Failure> {
        let owner = format!("user-{number}-{}", key()?);
        let (stored, fresh) = self.kind.sessions(count);
        let mut keys = VecDeque::new();
        for _ in 0..stored {
            let key = key()?;
            self.store.create(&key, &owner, JSON.as_bytes()).await?;
            keys.push_back(key);
        }
        let fresh = (0..fresh).map(|_| key()).collect::<Result<_, _>>()?;
        Ok(Worker { owner, keys, fresh, seen: 0 })
    }

    async fn once(&self, worker: &mut Worker) -> Result<(), Failure> {
        let (store, value) = (&self.store, JSON.as_bytes());
        if self.kind == StoreOpKind::Create {
            let key = worker.fresh.pop_front().ok_or("no key left")?;
            return store.create(&key, &worker.owner, value).await;
        }
        let mut key = worker.keys.pop_front().ok_or("no key left")?;
        match self.kind {
            StoreOpKind::Load => drop(store.get(&key).await?.ok_or("absent")?),
            StoreOpKind::Touch => {
                worker.seen += 1;
                store.touch(&key, worker.seen).await?;
            }
            StoreOpKind::Update => store.set(&key, value).await?,
            StoreOpKind::Refresh => {
                let value = store.get(&key).await?.ok_or("absent")?;
                store.set(&key, &value).await?;
            }
            StoreOpKind::List => {
                if store.list(&key, &worker.owner).await? != 1 {
                    return Err("absent".into());
                }
            }
            StoreOpKind::Login => {
                let new = worker.fresh.pop_front().ok_or("no key left")?;
                store.rename(&key, &new, value).await?;
                key = new;
            }
            StoreOpKind::Delete => return store.remove(&key).await,
            // Returned above.
            StoreOpKind::Create => {}
        }
        worker.keys.push_back(key);
        Ok(())
    }
}
