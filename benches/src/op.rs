//! What is measured: an [`Op`], by workers that each have something of their own.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Why a benchmark stopped. A wrong outcome is one too.
pub type Failure = Box<dyn Error + Send + Sync>;

/// One operation, repeated by concurrent workers.
pub(crate) trait Op: Send + Sync + 'static {
    /// What one worker has: its cookie, its sessions to delete.
    type Worker: Send + 'static;

    /// Sets a worker up for `count` calls. Not measured.
    ///
    /// # Errors
    /// If that failed.
    fn worker(&self, number: usize, count: usize) -> impl Future<Output = Result<Self::Worker, Failure>> + Send;

    /// Does it once, and looks whether the outcome is right.
    ///
    /// # Errors
    /// If it is not.
    fn once(&self, worker: &mut Self::Worker) -> impl Future<Output = Result<(), Failure>> + Send;

    /// After all workers have finished, looks whether `done` calls had the effect of that many. Not measured.
    ///
    /// # Errors
    /// If not.
    fn verify(&self, done: usize) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = done;
        async { Ok(()) }
    }
}

/// How one round went.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// From the start of the first call to the end of the last.
    pub elapsed: Duration,
    /// Of each call, in nanoseconds.
    pub latencies: Vec<u32>,
}

/// An operation that can be measured.
#[async_trait]
pub trait Subject: Send + Sync {
    /// `concurrency` workers do it `count` times each.
    ///
    /// # Errors
    /// If an outcome was wrong.
    async fn round(&self, concurrency: usize, count: usize) -> Result<Round, Failure>;

    /// One worker does it `count` times, after it was set up and has done it twice: everything is connected, prepared and
    /// cached then. `begun` is called then, before what is to be looked at.
    ///
    /// # Errors
    /// If an outcome was wrong.
    async fn alone(&self, count: usize, begun: &(dyn Fn() + Send + Sync)) -> Result<(), Failure>;
}

/// An operation as a [`Subject`].
#[derive(Debug)]
pub(crate) struct Measured<O>(Arc<O>);

impl<O: Op> Measured<O> {
    /// Wraps an operation.
    pub(crate) fn new(op: O) -> Self {
        Self(Arc::new(op))
    }
}

#[async_trait]
impl<O: Op> Subject for Measured<O> {
    async fn round(&self, concurrency: usize, count: usize) -> Result<Round, Failure> {
        let mut setting_up = JoinSet::new();
        for number in 0..concurrency {
            let op = Arc::clone(&self.0);
            setting_up.spawn(async move { op.worker(number, count).await });
        }
        let workers = setting_up.join_all().await.into_iter().collect::<Result<Vec<_>, Failure>>()?;
        let begin = Arc::new(Barrier::new(concurrency));
        let mut tasks = JoinSet::new();
        for worker in workers {
            tasks.spawn(work(Arc::clone(&self.0), worker, count, Arc::clone(&begin)));
        }
        let mut latencies = Vec::with_capacity(concurrency * count);
        let (mut first, mut last) = (None::<Instant>, None::<Instant>);
        while let Some(work) = tasks.join_next().await {
            let (began, ended, mut own) = work??;
            first = Some(first.map_or(began, |first| first.min(began)));
            last = last.max(Some(ended));
            latencies.append(&mut own);
        }
        self.0.verify(concurrency * count).await?;
        let elapsed = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
        Ok(Round { elapsed, latencies })
    }

    async fn alone(&self, count: usize, begun: &(dyn Fn() + Send + Sync)) -> Result<(), Failure> {
        let mut worker = self.0.worker(0, count + 2).await?;
        for _ in 0..2 {
            self.0.once(&mut worker).await?;
        }
        begun();
        for _ in 0..count {
            self.0.once(&mut worker).await?;
        }
        self.0.verify(count + 2).await
    }
}

async fn work<O: Op>(
    op: Arc<O>,
    mut worker: O::Worker,
    count: usize,
    begin: Arc<Barrier>,
) -> Result<(Instant, Instant, Vec<u32>), Failure> {
    let mut latencies = Vec::with_capacity(count);
    begin.wait().await;
    let began = Instant::now();
    // One look at the clock for each call: the end of one is the begin of the next.
    let mut before = began;
    for _ in 0..count {
        op.once(&mut worker).await?;
        let after = Instant::now();
        latencies.push(u32::try_from((after - before).as_nanos()).unwrap_or(u32::MAX));
        before = after;
    }
    Ok((began, before, latencies))
}
