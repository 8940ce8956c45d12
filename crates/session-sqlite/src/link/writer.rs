//! [`Writer`]: the one connection that writes, and the queue before it.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use session_core::{StoreError, StoreErrorKind};
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};

use super::error::{closed, is_busy, is_full, lacks_room, store_error};
use super::file::File;
use super::patience::Patience;
use super::transaction::{Failure, Operation, Space, Transaction};

/// The most operations in one transaction. Those that come meanwhile are in the next.
const LONGEST_BATCH: usize = 64;
/// The most operations that wait; more wait for a place.
const QUEUE: usize = 1024;

/// How many visitors may end to make room: what they free is scattered over pages.
const ROOM: [u32; 3] = [16, 256, 4096];

/// For how many transactions to be polite after another process was seen, and how long it is left the lock each time:
/// more than the pause between its attempts. A busy process would otherwise begin again at once, and keep it for ever.
const POLITE: u32 = 100;
const TURN: Duration = Duration::from_millis(2);

/// A thread that takes what waits, executes it in one transaction, and answers when that is committed.
///
/// A thread, and not a task: the runtime in which the store was opened may end.
pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Work>>>>,
    has_ended: watch::Receiver<()>,
}

impl Writer {
    /// Starts the thread. It ends when the writer is dropped or closed, and what waits is done.
    pub(crate) fn start(file: File, connection: SqliteConnection) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (running, has_ended) = watch::channel(());
        let failed = |error: std::io::Error| {
            StoreError::new(StoreErrorKind::Unavailable, "the operating system gives no more threads")
                .with_source(error)
        };
        let runtime = runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let work = move || {
            runtime.block_on(Loop { file, polite: 0, connection: Some(connection) }.run(waiting));
            drop(running);
        };
        thread::Builder::new().name("session-sqlite".to_owned()).spawn(work).map_err(failed)?;
        Ok(Self { queue: Mutex::new(Some(queue)), has_ended })
    }

    /// Executes `operation` and waits until it is committed. If the future is dropped, it is executed or not.
    pub(crate) async fn run<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let queue = self.queue().clone().ok_or_else(closed)?;
        let (caller, answer) = oneshot::channel();
        queue.send(Box::new(Job { operation, output: None, caller })).await.map_err(|_| closed())?;
        drop(queue);
        let crashed =
            || StoreError::new(StoreErrorKind::Unavailable, "the thread that writes has ended; open the store again");
        answer.await.map_err(|_| crashed())?
    }

    /// Accepts no more, and waits until everything is done and the connection is closed.
    pub(crate) async fn close(&self) {
        self.queue().take();
        // An error: the sender is gone, and the thread with it.
        let _ = self.has_ended.clone().changed().await;
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Box<dyn Work>>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation that waits.
#[async_trait]
trait Work: Send {
    /// Whether nobody waits for the answer.
    fn is_abandoned(&self) -> bool;
    /// Executes it, and keeps the answer.
    async fn apply(&mut self, transaction: &mut Transaction<'_>, space: Space) -> Result<(), Failure>;
    /// Gives the answer, or the error, to the caller.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Job<O: Operation> {
    operation: O,
    output: Option<O::Output>,
    caller: oneshot::Sender<Result<O::Output, StoreError>>,
}

#[async_trait]
impl<O: Operation> Work for Job<O> {
    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    async fn apply(&mut self, transaction: &mut Transaction<'_>, space: Space) -> Result<(), Failure> {
        self.output = Some(self.operation.apply(transaction, space).await?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        // Applied, unless it was dropped because the caller had gone.
        let Self { output, caller, .. } = *self;
        // The caller may have gone.
        let _ = caller.send(result.and_then(|()| output.ok_or_else(closed)));
    }
}

/// What the thread does.
struct Loop {
    file: File,
    /// After how many more transactions to leave the lock to others for a moment.
    polite: u32,
    /// `None` after a failure: the next transaction opens another.
    connection: Option<SqliteConnection>,
}

/// Where a transaction failed.
enum Failed {
    /// For everyone: each alone would fail as well.
    All(StoreError),
    /// It was rolled back.
    Within(Failure),
}

impl Loop {
    async fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Work>>) {
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, LONGEST_BATCH).await > 0 {
            if let Err(error) = self.work(mem::take(&mut batch)).await {
                // Those that came meanwhile are told the same at once: they would wait as long in vain, and not hear
                // why in time.
                while let Ok(work) = waiting.try_recv() {
                    work.answer(Err(error.clone()));
                }
            }
            if self.polite > 0 {
                self.polite -= 1;
                tokio::time::sleep(TURN).await;
            }
        }
        if let Some(mut connection) = self.connection {
            // As far as others let it. SQLite leaves what is beside the path alone, if another file is there.
            let _ = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
            let _ = connection.close().await;
        }
    }

    /// All in one transaction; if that fails, each in its own, so that nobody fails because of another. An error if
    /// that would be in vain, and everyone was told so.
    async fn work(&mut self, mut batch: Vec<Box<dyn Work>>) -> Result<(), StoreError> {
        match self.transaction(&mut batch, Space::Enough).await {
            Ok(()) => answer(batch, Ok(())),
            Err(Failed::All(error)) => {
                answer(batch, Err(error.clone()));
                return Err(error);
            }
            Err(Failed::Within(failure)) if batch.len() == 1 => self.again(batch, failure).await,
            Err(Failed::Within(_)) => {
                let mut batch = batch.into_iter();
                while let Some(work) = batch.next() {
                    if let Err(error) = Box::pin(self.work(vec![work])).await {
                        answer(batch.collect(), Err(error.clone()));
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// What failed for want of room is tried again, and may make some.
    async fn again(&mut self, mut alone: Vec<Box<dyn Work>>, failure: Failure) {
        let error = match failure {
            Failure::Driver(error) => error,
            Failure::Store(error) => return answer(alone, Err(error)),
        };
        let mut is_done = false;
        if lacks_room(&error) {
            self.checkpoint().await;
            is_done = self.transaction(&mut alone, Space::Enough).await.is_ok();
        }
        for visitors in ROOM {
            if !is_done && is_full(&error) {
                is_done = self.transaction(&mut alone, Space::Missing(visitors)).await.is_ok();
            }
        }
        answer(alone, if is_done { Ok(()) } else { Err(store_error(error)) });
    }

    /// Moves what was written from the log to the file, as far as that has room, so that the log begins again where it
    /// has its place on the disk already.
    async fn checkpoint(&mut self) {
        if self.connection.is_none() {
            self.connection = self.file.connect_writer().await.ok();
        }
        if let Some(connection) = &mut self.connection {
            let _ = sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await;
        }
    }

    async fn transaction(&mut self, batch: &mut Vec<Box<dyn Work>>, space: Space) -> Result<(), Failed> {
        let turn = Arc::clone(&self.file.turn);
        let _turn = turn.lock().await;
        let begun = self.begin().await;
        let is_there = self.file.check();
        let mut connection = match (is_there, begun) {
            (Ok(()), Ok(connection)) => connection,
            (Ok(()), Err(error)) => return Err(Failed::All(store_error(error).unsent())),
            (Err(error), begun) => {
                if let Ok(mut connection) = begun {
                    let _ = sqlx::query("ROLLBACK").execute(&mut connection).await;
                    self.connection = Some(connection);
                }
                return Err(Failed::All(error.unsent()));
            }
        };
        // Only now: nobody else can write until the end of the transaction, so what was abandoned before never comes
        // after anything that another process was told.
        batch.retain(|work| !work.is_abandoned());
        let result = execute(&mut connection, &self.file, batch, space).await;
        let Err(failure) = result else {
            self.connection = Some(connection);
            // What was committed to a file that is gone is acknowledged to nobody.
            return self.file.check().map_err(Failed::All);
        };
        let rolled_back = sqlx::query("ROLLBACK").execute(&mut connection).await;
        match &failure {
            Failure::Driver(error) if !is_full(error) => {
                // Nothing is known of it any more.
                let _ = connection.close().await;
            }
            // SQLite may have rolled back by itself.
            Failure::Driver(_) => self.connection = Some(connection),
            Failure::Store(_) => self.connection = rolled_back.is_ok().then_some(connection),
        }
        Err(Failed::Within(failure))
    }

    /// A connection that has the lock of the file.
    async fn begin(&mut self) -> Result<SqliteConnection, sqlx::Error> {
        let mut patience = Patience::new(self.file.lock_timeout);
        loop {
            let begun = self.try_begin().await;
            if begun.as_ref().is_err_and(is_busy) {
                self.polite = POLITE;
            }
            if let Some(begun) = patience.unless_over(begun).await {
                return begun;
            }
        }
    }

    async fn try_begin(&mut self) -> Result<SqliteConnection, sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.file.connect_writer().await?,
        };
        match sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await {
            Ok(_) => Ok(connection),
            Err(error) => {
                if is_busy(&error) {
                    self.connection = Some(connection);
                }
                Err(error)
            }
        }
    }
}

async fn execute(
    connection: &mut SqliteConnection,
    file: &File,
    batch: &mut [Box<dyn Work>],
    space: Space,
) -> Result<(), Failure> {
    for work in batch {
        work.apply(&mut Transaction(connection), space).await?;
    }
    file.check().map_err(StoreError::unsent)?;
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}

fn answer(batch: Vec<Box<dyn Work>>, result: Result<(), StoreError>) {
    for work in batch {
        work.answer(result.clone());
    }
}
