//! Concurrent loads share a round trip: [`LoadCoalescer`].
//!
//! With fewer than [`COALESCE_ABOVE`] in flight, a load is sent at once. Further ones, as many as the runtime has ready
//! to run, are queued and sent together: the higher the load, the less each costs the client and the server. There is
//! no batching delay, and no load waits for the reply to another, unless [`SENDERS`] batches are under way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisError, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, Sender};

use super::connection::ReconnectingConnection;
use super::driver::Request;
use super::failure;
use crate::error::{self, Result};

/// How many single loads are in flight before others are coalesced.
const COALESCE_ABOVE: usize = 4;

/// How many loads are sent together at most. With [`SMALL`](super::driver::SMALL) it bounds what comes back: 4 MiB. An
/// `MGET` would be cheaper, but has whole values in one answer, of any size.
const BATCH: usize = 64;

/// How many batches are under way at most. Loads that wait longer than their callers do are never sent.
const SENDERS: usize = 16;

/// Replies are delivered eight at a time with a yield in between, so that the first callers' next requests reach the
/// server early.
const WAKE_BATCH: usize = 8;

/// A yield that takes longer than this is a burden: the runtime has much else to do. Then the next [`BUSY`] are left
/// out.
const LONG: Duration = Duration::from_micros(500);
const BUSY: usize = 1024;

pub(super) struct LoadCoalescer {
    connection: Arc<ReconnectingConnection>,
    /// Where queued loads are sent from: the runtime of a caller may end before the reply comes.
    runtime: Handle,
    singles: AtomicUsize,
    busy: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<QueuedLoad>,
    senders: usize,
    /// Whether one of them is about to take what is waiting.
    is_collected: bool,
}

/// A key, and where its value goes.
type QueuedLoad = (Vec<u8>, Sender<Result<Vec<u8>>>);

/// A single load in flight, until its caller has the reply or was cancelled.
struct SingleFlightGuard<'a>(&'a AtomicUsize);

impl Drop for SingleFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LoadCoalescer {
    pub(super) fn new(connection: Arc<ReconnectingConnection>, runtime: Handle) -> Arc<Self> {
        let [singles, busy] = [0; 2].map(AtomicUsize::new);
        Arc::new(Self { connection, runtime, singles, busy, queue: Mutex::default() })
    }

    /// Reads the beginning of the value of a key, alone or with others. One round trip.
    pub(super) async fn load(self: &Arc<Self>, key: Vec<u8>) -> Result<Vec<u8>> {
        let in_flight = self.singles.fetch_add(1, Ordering::Relaxed);
        let guard = SingleFlightGuard(&self.singles);
        // What is sent together goes to one server.
        if in_flight < COALESCE_ABOVE || self.connection.is_cluster() {
            return bytes(self.connection.send(&Request::Head(key), None).await?.value);
        }
        drop(guard);
        let (reply, replied) = oneshot::channel();
        {
            let mut queue = self.queue();
            queue.waiting.push_back((key, reply));
            self.collect(&mut queue, Pace::Aside);
        }
        replied.await.unwrap_or_else(|_| Err(error::runtime_is_gone()))
    }

    /// Sees to it that what is waiting is sent.
    fn collect(self: &Arc<Self>, queue: &mut Queue, pace: Pace) {
        if !queue.is_collected && queue.senders < SENDERS {
            queue.is_collected = true;
            queue.senders += 1;
            let place = Place(Some(Arc::clone(self)));
            self.runtime.spawn(async move {
                place.send_all(pace).await;
            });
        }
    }

    /// The loads to send next. Not those whose callers have gone.
    fn take(self: &Arc<Self>) -> Vec<QueuedLoad> {
        let mut queue = self.queue();
        queue.is_collected = false;
        let mut loads = Vec::with_capacity(queue.waiting.len().min(BATCH));
        while loads.len() < BATCH
            && let Some(load) = queue.waiting.pop_front()
        {
            if !load.1.is_closed() {
                loads.push(load);
            }
        }
        if !queue.waiting.is_empty() {
            self.collect(&mut queue, Pace::AtOnce);
        }
        loads
    }

    async fn send(&self, loads: Vec<QueuedLoad>) {
        if loads.is_empty() {
            return;
        }
        let (keys, callers): (Vec<_>, Vec<_>) = loads.into_iter().unzip();
        let reply = self.connection.send(&Request::Heads(keys), None).await;
        let mut values = reply.map(|reply| if let Value::Array(values) = reply.value { values } else { Vec::new() });
        for (delivered, caller) in (1_usize..).zip(callers) {
            // Fails if the caller was cancelled.
            let _ = caller.send(match &mut values {
                Ok(values) => values
                    .get_mut(delivered - 1)
                    .ok_or_else(error::unexpected_reply)
                    .and_then(|value| bytes(std::mem::replace(value, Value::Nil))),
                Err(error) => Err(error.clone()),
            });
            if delivered % WAKE_BATCH == 0 {
                self.step_aside().await;
            }
        }
    }

    /// Lets all tasks run that are ready, unless there are too many of them.
    async fn step_aside(&self) {
        if !take_one(&self.busy) {
            let before = Instant::now();
            tokio::task::yield_now().await;
            if before.elapsed() > LONG {
                self.busy.store(BUSY, Ordering::Relaxed);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a new sender begins.
#[derive(Clone, Copy)]
enum Pace {
    /// Behind all tasks that are ready to run: they may load, too.
    Aside,
    AtOnce,
}

/// One of the [`SENDERS`]. If its runtime ends, the others go on, and after the last of them no load is left waiting.
struct Place(Option<Arc<LoadCoalescer>>);

impl Place {
    async fn send_all(mut self, pace: Pace) {
        if let (Some(loads), Pace::Aside) = (&self.0, pace) {
            loads.step_aside().await;
        }
        while let Some(loads) = &self.0 {
            loads.send(loads.take()).await;
            let mut queue = loads.queue();
            if queue.waiting.is_empty() || queue.is_collected {
                queue.senders -= 1;
                drop(queue);
                self.0 = None;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(loads) = &self.0 {
            let mut queue = loads.queue();
            queue.senders -= 1;
            queue.is_collected = false;
            if queue.senders == 0 {
                queue.waiting.clear();
            }
        }
    }
}

/// Takes one off, unless there is none.
fn take_one(count: &AtomicUsize) -> bool {
    count.load(Ordering::Relaxed) > 0
        && count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
}

/// The value of a key; empty if there is none.
#[expect(clippy::wildcard_enum_match_arm, reason = "GET and GETRANGE answer with strings")]
pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::Nil => Ok(Vec::new()),
        Value::ServerError(error) => Err(failure::from_driver(&RedisError::from(error))),
        _ => Err(error::unexpected_reply()),
    }
}
