//! [`Batcher`]: operations of one kind that overlap share a statement.
//!
//! With fewer than two statements in flight, an operation runs immediately; later ones queue and are sent as one batch
//! when a statement completes. So there is no batching delay, and the higher the load, the less each operation costs: a
//! batch shares a round trip, a transaction and a flush to disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sqlx::postgres::PgRow;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::timeout;

use crate::link::error::is_rejection;
use crate::link::executor::{Executor, Pooler};
use crate::link::lease::Statement;
use crate::link::places::Purpose;

/// How many statements of one kind are in flight before operations queue.
const MAX_IN_FLIGHT: usize = 2;
/// The most operations in one statement.
const MAX_BATCH: usize = 64;
/// The most bytes in one statement, unless a single operation has more.
const MAX_BYTES: usize = 1 << 20;
/// The statements in flight may be stalled, by a lock or on a dead connection. After so long, the first operation in
/// the queue starts an extra batch, up to [`MAX_STALLED`] statements.
const STALL_TIMEOUT: Duration = Duration::from_millis(50);
const MAX_STALLED: usize = 8;

const NO_ANSWER: &str = "the batch got no answer in time, or the tokio runtime of the store has ended";

/// What can be executed alone or in a batch.
pub(crate) trait Operation: Send + Sync + 'static {
    type Output: Send + 'static;
    const PURPOSE: Purpose;

    /// How much there is to send.
    fn size(&self) -> usize;
    fn bind(&self, statement: Statement) -> Statement;
    fn output(rows: Vec<PgRow>) -> Result<Self::Output, StoreError>;
    fn bind_batch(batch: &[&Self], statement: Statement) -> Statement;
    /// The output of each operation of the batch. `None`: the statement skipped it, and it must run alone.
    fn batch_outputs(batch: &[&Self], rows: Vec<PgRow>) -> Vec<Option<Self::Output>>;
}

pub(crate) struct Batcher<O: Operation> {
    executor: Arc<Executor>,
    /// The statement for one operation.
    single: Arc<str>,
    /// The statement for a batch. It holds locks of several rows, so it must not wait for any.
    batch: Arc<str>,
    queue: Mutex<Queue<O>>,
}

struct Queue<O: Operation> {
    in_flight: usize,
    waiting: VecDeque<Queued<O>>,
    last_ticket: u64,
}

struct Queued<O: Operation> {
    ticket: u64,
    operation: O,
    reply: Sender<Reply<O>>,
}

enum Reply<O: Operation> {
    Done(O::Output),
    /// The batch had no effect on it: it is skipped, or the batch was rolled back.
    RunAlone(O),
    Failed(Arc<sqlx::Error>),
}

enum Submitted<O: Operation> {
    Immediate(O, Permit<O>),
    Queued(u64, Receiver<Reply<O>>),
}

impl<O: Operation> Batcher<O> {
    pub(crate) fn new(executor: &Arc<Executor>, single: &Arc<str>, batch: &Arc<str>) -> Arc<Self> {
        let queue = Mutex::new(Queue { in_flight: 0, waiting: VecDeque::new(), last_ticket: 0 });
        let (executor, single, batch) = (Arc::clone(executor), Arc::clone(single), Arc::clone(batch));
        Arc::new(Self { executor, single, batch, queue })
    }

    /// Executes the operation, alone or in a batch, within the timeout.
    pub(crate) async fn run(self: &Arc<Self>, operation: O) -> Result<O::Output, StoreError> {
        let run = async {
            if self.executor.pooler == Pooler::Transaction {
                return self.run_alone(&operation).await;
            }
            match self.submit(operation) {
                Submitted::Immediate(operation, _permit) => self.run_alone(&operation).await,
                Submitted::Queued(ticket, reply) => match self.wait(ticket, reply).await? {
                    Reply::Done(output) => Ok(output),
                    Reply::RunAlone(operation) => {
                        // It may have to wait. If it is not executed at all, it has timed out.
                        let _turn = self.executor.waiting.acquire().await;
                        self.run_alone(&operation).await
                    }
                    Reply::Failed(error) => Err(self.executor.store_error(error)),
                },
            }
        };
        self.executor.within_timeout(run).await
    }

    async fn run_alone(&self, operation: &O) -> Result<O::Output, StoreError> {
        O::output(self.executor.execute(O::PURPOSE, &self.single, None, |statement| operation.bind(statement)).await?)
    }

    fn submit(self: &Arc<Self>, operation: O) -> Submitted<O> {
        let mut queue = self.lock();
        if queue.in_flight < MAX_IN_FLIGHT {
            queue.in_flight += 1;
            drop(queue);
            return Submitted::Immediate(operation, Permit { batcher: Arc::clone(self), passes_on: true });
        }
        queue.last_ticket += 1;
        let (ticket, (reply, receiver)) = (queue.last_ticket, oneshot::channel());
        queue.waiting.push_back(Queued { ticket, operation, reply });
        Submitted::Queued(ticket, receiver)
    }

    async fn wait(self: &Arc<Self>, ticket: u64, mut reply: Receiver<Reply<O>>) -> Result<Reply<O>, StoreError> {
        loop {
            match timeout(STALL_TIMEOUT, &mut reply).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(_)) => return Err(StoreError::new(StoreErrorKind::Timeout, NO_ANSWER)),
                Err(_) => self.start_extra(ticket),
            }
        }
    }

    /// Starts an extra batch if this operation is the first in the queue.
    fn start_extra(self: &Arc<Self>, ticket: u64) {
        let mut queue = self.lock();
        let first = queue.waiting.iter().find(|queued| !queued.reply.is_closed());
        if queue.in_flight < MAX_STALLED && first.is_some_and(|queued| queued.ticket == ticket) {
            queue.in_flight += 1;
            drop(queue);
            self.spawn_batch();
        }
    }

    /// Starts a batch, which is in flight already. Dropped at once if there is no runtime for it.
    fn spawn_batch(self: &Arc<Self>) {
        let permit = Permit { batcher: Arc::clone(self), passes_on: false };
        if let Some(home) = self.executor.home() {
            home.runtime().spawn(permit.run_batch());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<O>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes what is queued. The batch is filled as late as possible, when there is a connection for it: so it is
    /// large, and each operation sees everything that was committed before it was queued.
    async fn execute(&self, batch: &mut Vec<Queued<O>>) -> Result<Vec<PgRow>, sqlx::Error> {
        let lease = self.executor.acquire(O::PURPOSE).await;
        {
            let waiting = &mut self.lock().waiting;
            let mut size = 0;
            while batch.len() < MAX_BATCH
                && let Some(queued) =
                    waiting.pop_front_if(|next| batch.is_empty() || size + next.operation.size() <= MAX_BYTES)
            {
                // A closed channel: the call was cancelled.
                if !queued.reply.is_closed() {
                    size += queued.operation.size();
                    batch.push(queued);
                }
            }
        }
        let lease = lease?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let operations = operations(batch);
        let bind = |statement| O::bind_batch(&operations, statement);
        self.executor.execute_on(lease, O::PURPOSE, &self.batch, bind).await
    }
}

fn operations<O: Operation>(batch: &[Queued<O>]) -> Vec<&O> {
    batch.iter().map(|queued| &queued.operation).collect()
}

/// The right to have a statement in flight. When it is dropped, it passes to the queue, also if its call was cancelled.
struct Permit<O: Operation> {
    batcher: Arc<Batcher<O>>,
    /// `false` while a batch runs: its task is dropped in the middle only when the runtime shuts down. Then an operation
    /// in the queue starts an extra batch, in another runtime.
    passes_on: bool,
}

impl<O: Operation> Permit<O> {
    async fn run_batch(mut self) {
        let mut batch = Vec::new();
        let execute = self.batcher.execute(&mut batch);
        let result = timeout(self.batcher.executor.timeout, execute).await;
        self.passes_on = true;
        drop(self);
        let result = match result {
            Ok(Ok(rows)) => Ok(O::batch_outputs(&operations(&batch), rows)),
            // Rolled back: each operation runs alone.
            Ok(Err(error)) if is_rejection(&error) => Ok(Vec::new()),
            Ok(Err(error)) => Err(Arc::new(error)),
            // The operations began before the batch: they have timed out already.
            Err(_) => return,
        };
        let mut outputs = result.map(Vec::into_iter);
        for Queued { operation, reply, .. } in batch {
            // Fails if the call was cancelled.
            let _ = reply.send(match &mut outputs {
                Ok(outputs) => outputs.next().flatten().map_or(Reply::RunAlone(operation), Reply::Done),
                Err(error) => Reply::Failed(Arc::clone(error)),
            });
        }
    }
}

impl<O: Operation> Drop for Permit<O> {
    fn drop(&mut self) {
        let mut queue = self.batcher.lock();
        if self.passes_on && !queue.waiting.is_empty() && queue.in_flight <= MAX_IN_FLIGHT {
            drop(queue);
            self.batcher.spawn_batch();
        } else {
            queue.in_flight -= 1;
        }
    }
}
