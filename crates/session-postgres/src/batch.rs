//! Operations of one kind that meet, executed in one statement.
//!
//! Who finds few others at work executes its operation alone, at once. Who comes later waits in line, and whoever is done
//! has everything that waits executed together. So nobody waits for company, and the more there is to do, the less each
//! operation costs: they share a round trip, a transaction and a flush of the disk.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{StoreError, StoreErrorKind};
use sqlx::postgres::PgRow;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::timeout;

use crate::engine::{self, Engine};
use crate::error::{self, store_error};
use crate::row::Statement;
use crate::store::Pooler;

/// How many statements of one kind are at work before others wait.
const AT_WORK: usize = 2;
/// The most operations in one statement.
const LARGEST: usize = 64;
/// Those at work may be stuck, behind somebody's lock or on a dead connection. So long the first in line waits for them;
/// then another statement is begun, up to so many.
const PATIENCE: Duration = Duration::from_millis(50);
const AT_WORK_WHEN_STUCK: usize = 8;

/// What can be executed alone or together.
pub(crate) trait Operation: Send + Sync + 'static {
    type Answer: Send + 'static;
    const NAME: &'static str;
    /// The statement for one.
    const ONE: &'static str;
    /// The statement for many. It holds locks of several rows, and so must wait for none.
    const MANY: &'static str;

    fn bind(&self, statement: Statement) -> Statement;
    fn answer(rows: Vec<PgRow>) -> Result<Self::Answer, StoreError>;
    fn bind_many(operations: &[&Self], statement: Statement) -> Statement;
    /// For each of the `operations` its answer, or `None`: nothing was done, and it must be executed alone.
    fn answers(operations: &[&Self], rows: Vec<PgRow>) -> Vec<Option<Self::Answer>>;
}

pub(crate) struct Batches<O: Operation> {
    engine: Arc<Engine>,
    one: Arc<str>,
    many: Arc<str>,
    line: Mutex<Line<O>>,
}

struct Line<O: Operation> {
    at_work: usize,
    waiting: VecDeque<Member<O>>,
    /// How many have waited so far.
    count: u64,
}

struct Member<O: Operation> {
    number: u64,
    operation: O,
    reply: Sender<Reply<O>>,
}

enum Reply<O: Operation> {
    Done(O::Answer),
    /// Nothing was done. Without the others it may be different.
    Alone(O),
    Failed(Arc<sqlx::Error>),
}

enum Begun<O: Operation> {
    Alone(O, Place<O>),
    Waiting(u64, Receiver<Reply<O>>),
}

impl<O: Operation> fmt::Debug for Batches<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("operation", &O::NAME).finish_non_exhaustive()
    }
}

impl<O: Operation> Batches<O> {
    pub(crate) fn new(engine: Arc<Engine>) -> Arc<Self> {
        let (one, many) = (engine.sql(O::ONE), engine.sql(O::MANY));
        let line = Mutex::new(Line { at_work: 0, waiting: VecDeque::new(), count: 0 });
        Arc::new(Self { engine, one, many, line })
    }

    /// Executes it, alone or with others, within the timeout of the store.
    pub(crate) async fn call(self: &Arc<Self>, operation: O) -> Result<O::Answer, StoreError> {
        let call = async {
            if self.engine.settings.pooler == Pooler::Transaction {
                return self.alone(&operation).await;
            }
            match self.begin(operation) {
                Begun::Alone(operation, _place) => self.alone(&operation).await,
                Begun::Waiting(number, reply) => match self.wait(number, reply).await? {
                    Reply::Done(answer) => Ok(answer),
                    Reply::Alone(operation) => self.alone(&operation).await,
                    Reply::Failed(error) => Err(error::from_sqlx(O::NAME, error)),
                },
            }
        };
        self.engine.in_time(O::NAME, call).await
    }

    async fn alone(&self, operation: &O) -> Result<O::Answer, StoreError> {
        O::answer(self.engine.attempts(O::NAME, &self.one, |statement| operation.bind(statement)).await?)
    }

    fn begin(self: &Arc<Self>, operation: O) -> Begun<O> {
        let mut line = self.lock();
        if line.at_work < AT_WORK {
            line.at_work += 1;
            drop(line);
            return Begun::Alone(operation, Place { batches: Arc::clone(self), successor: true });
        }
        line.count += 1;
        let (number, (reply, replied)) = (line.count, oneshot::channel());
        line.waiting.push_back(Member { number, operation, reply });
        Begun::Waiting(number, replied)
    }

    async fn wait(self: &Arc<Self>, number: u64, mut reply: Receiver<Reply<O>>) -> Result<Reply<O>, StoreError> {
        loop {
            match timeout(PATIENCE, &mut reply).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(_)) => {
                    return Err(store_error(StoreErrorKind::Timeout, O::NAME, "the batch got no answer in time"));
                }
                Err(_) => self.go_ahead(number),
            }
        }
    }

    /// Begins another statement if this one is the first that waits.
    fn go_ahead(self: &Arc<Self>, number: u64) {
        let mut line = self.lock();
        let first = line.waiting.iter().find(|member| !member.reply.is_closed());
        if line.at_work < AT_WORK_WHEN_STUCK && first.is_some_and(|member| member.number == number) {
            line.at_work += 1;
            tokio::spawn(Place { batches: Arc::clone(self), successor: false }.execute());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line<O>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes what waits. The members are taken as late as possible, when there is a connection: so there are many, and
    /// each of them sees what was there when it began to wait.
    async fn execute(&self, members: &mut Vec<Member<O>>) -> Result<Vec<PgRow>, sqlx::Error> {
        let lease = self.engine.acquire().await;
        {
            let waiting = &mut self.lock().waiting;
            while members.len() < LARGEST
                && let Some(member) = waiting.pop_front()
            {
                // Or its caller is gone.
                if !member.reply.is_closed() {
                    members.push(member);
                }
            }
        }
        let lease = lease?;
        if members.is_empty() {
            lease.give_back();
            return Ok(Vec::new());
        }
        let operations = operations(members);
        let bound = || O::bind_many(&operations, engine::statement(&self.many));
        match self.engine.execute(lease, bound()).await {
            Err(error) if error::was_not_executed(&error) => {
                self.engine.execute(self.engine.acquire().await?, bound()).await
            }
            result => result,
        }
    }
}

fn operations<O: Operation>(members: &[Member<O>]) -> Vec<&O> {
    members.iter().map(|member| &member.operation).collect()
}

/// The place of one of those at work. Whoever leaves it, be it because its caller is gone, leaves it to those that wait.
struct Place<O: Operation> {
    batches: Arc<Batches<O>>,
    successor: bool,
}

impl<O: Operation> Place<O> {
    async fn execute(mut self) {
        let mut members = Vec::new();
        let execute = self.batches.execute(&mut members);
        let result = timeout(self.batches.engine.settings.timeout, execute).await;
        self.successor = true;
        drop(self);
        let result = match result {
            Ok(Ok(rows)) => Ok(O::answers(&operations(&members), rows)),
            // The server undid everything.
            Ok(Err(error)) if error::is_refusal(&error) => Ok(Vec::new()),
            Ok(Err(error)) => Err(Arc::new(error)),
            // They had less time.
            Err(_) => return,
        };
        let mut answers = result.map(Vec::into_iter);
        for Member { operation, reply, .. } in members {
            // An error here: its caller is gone.
            let _ = reply.send(match &mut answers {
                Ok(answers) => answers.next().flatten().map_or(Reply::Alone(operation), Reply::Done),
                Err(error) => Reply::Failed(Arc::clone(error)),
            });
        }
    }
}

impl<O: Operation> Drop for Place<O> {
    fn drop(&mut self) {
        let mut line = self.batches.lock();
        let runtime = Handle::try_current().ok().filter(|_| self.successor);
        match runtime {
            Some(runtime) if !line.waiting.is_empty() && line.at_work <= AT_WORK => {
                drop(line);
                runtime.spawn(Self { batches: Arc::clone(&self.batches), successor: false }.execute());
            }
            Some(_) => line.at_work -= 1,
            // The runtime ends, and with it those who wait.
            None => {
                line.at_work -= 1;
                let waiting = std::mem::take(&mut line.waiting);
                drop(line);
                drop(waiting);
            }
        }
    }
}
