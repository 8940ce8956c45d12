//! Concurrent loads share one `MGET`: [`LoadCoalescer`].
//!
//! With fewer than [`COALESCE_ABOVE`] in flight, a load is sent at once. Further ones, as many as the runtime has ready
//! to run, are queued and sent together: the higher the load, the less each costs the client and the server. There is
//! no batching delay, and no load waits for the reply to another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::Value;
use tokio::sync::oneshot::{self, Sender};

use super::connection::ReconnectingConnection;
use super::driver::{Reply, Request};
use crate::error::{self, Result};

/// How many single loads are in flight before others are coalesced.
const COALESCE_ABOVE: usize = 4;

/// Replies are delivered eight at a time with a yield in between, so that the first callers' next requests reach the
/// server early.
const WAKE_BATCH: usize = 8;

pub(super) struct LoadCoalescer {
    connection: Arc<ReconnectingConnection>,
    singles: AtomicUsize,
    /// The load that finds it empty has it sent.
    queue: Mutex<Vec<QueuedLoad>>,
}

/// A key, and where its value goes.
type QueuedLoad = (Vec<u8>, Sender<Result<Value>>);

/// A single load in flight, until its caller has the reply or was cancelled.
struct SingleFlightGuard<'a>(&'a AtomicUsize);

impl Drop for SingleFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LoadCoalescer {
    pub(super) fn new(connection: Arc<ReconnectingConnection>) -> Arc<Self> {
        Arc::new(Self { connection, singles: AtomicUsize::new(0), queue: Mutex::default() })
    }

    /// Reads a key, alone or with others. One round trip.
    pub(super) async fn load(self: &Arc<Self>, key: Vec<u8>) -> Result<Value> {
        let in_flight = self.singles.fetch_add(1, Ordering::Relaxed);
        let guard = SingleFlightGuard(&self.singles);
        // One command cannot name keys of two slots of a Cluster.
        if in_flight < COALESCE_ABOVE || self.connection.is_cluster() {
            return Ok(self.connection.send(&Request::Get(key), None).await?.value);
        }
        drop(guard);
        let (reply, replied) = oneshot::channel();
        let is_first = {
            let mut queue = self.queue();
            queue.push((key, reply));
            queue.len() == 1
        };
        if is_first {
            tokio::spawn(Arc::clone(self).send_queue());
        }
        replied.await.unwrap_or_else(|_| Err(error::runtime_is_gone()))
    }

    async fn send_queue(self: Arc<Self>) {
        // Behind all tasks that are ready to run.
        tokio::task::yield_now().await;
        let loads = std::mem::take(&mut *self.queue());
        let (keys, callers): (Vec<_>, Vec<_>) = loads.into_iter().unzip();
        let reply = self.connection.send(&Request::GetMany(keys), None).await;
        let values = |reply: Reply| if let Value::Array(values) = reply.value { values } else { Vec::new() };
        let mut values = reply.map(|reply| values(reply).into_iter());
        for (delivered, caller) in (1..).zip(callers) {
            // Fails if the caller was cancelled.
            let _ = caller.send(match &mut values {
                Ok(values) => values.next().ok_or_else(error::unexpected_reply),
                Err(error) => Err(error.clone()),
            });
            if delivered % WAKE_BATCH == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Vec<QueuedLoad>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
