//! The floors of the store operations.

use std::collections::VecDeque;

use session_core::{OsEntropy, SessionId};

use super::Keep;
use crate::op::{Failure, Op};
use crate::payload::JSON;
use crate::store::{PER_WORKER, StoreOpKind};

/// The least that could do what a store operation does.
#[derive(Debug)]
pub(crate) struct FloorOp {
    /// Where.
    pub(crate) keep: Keep,
    /// What.
    pub(crate) kind: StoreOpKind,
}

/// The keys of one worker, and whose they are.
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
        let (stored, fresh) = match self.kind {
            StoreOpKind::Create => (0, count),
            StoreOpKind::Login => (1, count),
            StoreOpKind::List => (1, 0),
            StoreOpKind::Delete => (count, 0),
            StoreOpKind::Load | StoreOpKind::Touch | StoreOpKind::Update | StoreOpKind::Refresh => (PER_WORKER, 0),
        };
        let mut keys = VecDeque::new();
        for _ in 0..stored {
            let key = key()?;
            self.keep.create(&key, &owner, JSON.as_bytes()).await?;
            keys.push_back(key);
        }
        let fresh = (0..fresh).map(|_| key()).collect::<Result<_, _>>()?;
        Ok(Worker { owner, keys, fresh, seen: 0 })
    }

    async fn once(&self, worker: &mut Worker) -> Result<(), Failure> {
        let (keep, value) = (&self.keep, JSON.as_bytes());
        if self.kind == StoreOpKind::Create {
            let key = worker.fresh.pop_front().ok_or("no key left")?;
            return keep.create(&key, &worker.owner, value).await;
        }
        let key = worker.keys.pop_front().ok_or("no key left")?;
        let next = match self.kind {
            StoreOpKind::Load => {
                keep.get(&key).await?.ok_or("it is not there")?;
                key
            }
            StoreOpKind::Touch => {
                worker.seen += 1;
                keep.touch(&key, worker.seen).await?;
                key
            }
            StoreOpKind::Update => {
                keep.set(&key, value).await?;
                key
            }
            StoreOpKind::Refresh => {
                let value = keep.get(&key).await?.ok_or("it is not there")?;
                keep.set(&key, &value).await?;
                key
            }
            StoreOpKind::List => {
                if keep.list(&key, &worker.owner).await? != 1 {
                    return Err("it is not there".into());
                }
                key
            }
            StoreOpKind::Login => {
                let new = worker.fresh.pop_front().ok_or("no key left")?;
                keep.rename(&key, &new, value).await?;
                new
            }
            StoreOpKind::Delete => return keep.remove(&key).await,
            StoreOpKind::Create => key,
        };
        worker.keys.push_back(next);
        Ok(())
    }
}
