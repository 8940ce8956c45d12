//! What is measured: an [`Op`], repeated by workers that each have state of their own.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// How many sessions a worker cycles through where one would do: 64 workers then have a thousand.
pub(crate) const SESSIONS_PER_WORKER: usize = 16;

/// Why a benchmark stopped. A wrong outcome is a failure too.
pub type Failure = Box<dyn Error + Send + Sync>;

/// One operation, repeated by concurrent workers.
pub(crate) trait Op: Send + Sync + 'static {
    /// The state of one worker: its cookies, its sessions to delete.
    type Worker: Send + 'static;

    /// Sets up a worker for `count` calls. Not measured.
    fn worker(&self, number: usize, count: usize) -> impl Future<Output = Result<Self::Worker, Failure>> + Send;

    /// Runs the operation once and checks its outcome.
    fn once(&self, worker: &mut Self::Worker) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Checks, after all workers have finished, that `done` calls had the effect of exactly that many. Not measured.
    fn verify(&self, done: usize) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = done;
        async { Ok(()) }
    }
}

/// The result of one round.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// From the start of the first call to the end of the last.
    pub elapsed: Duration,
    /// The latency of each call, in nanoseconds.
    pub latencies: Vec<u32>,
}

/// An operation on an open store or application, ready to be measured.
#[async_trait]
pub trait Benchmark: Send + Sync {
    /// Runs the operation `count` times in each of `concurrency` workers.
    ///
    /// # Errors
    /// If an outcome was wrong.
    async fn round(&self, concurrency: usize, count: usize) -> Result<Round, Failure>;

    /// Runs the operation `count` times in one worker, after two warm-up calls that connect, prepare and cache whatever
    /// can be. Calls `started` between the two phases.
    ///
    /// # Errors
    /// If an outcome was wrong.
    async fn single(&self, count: usize, started: &(dyn Fn() + Send + Sync)) -> Result<(), Failure>;
}

#[async_trait]
impl<O: Op> Benchmark for Arc<O> {
    async fn round(&self, concurrency: usize, count: usize) -> Result<Round, Failure> {
        let mut setup = JoinSet::new();
        for number in 0..concurrency {
            let op = Self::clone(self);
            setup.spawn(async move { op.worker(number, count).await });
        }
        let workers = setup.join_all().await.into_iter().collect::<Result<Vec<_>, Failure>>()?;
        let barrier = Arc::new(Barrier::new(concurrency));
        let mut tasks = JoinSet::new();
        for worker in workers {
            tasks.spawn(run(Self::clone(self), worker, count, Arc::clone(&barrier)));
        }
        let mut latencies = Vec::with_capacity(concurrency * count);
        let (mut first, mut last) = (None::<Instant>, None::<Instant>);
        while let Some(finished) = tasks.join_next().await {
            let (start, end, mut own) = finished??;
            first = Some(first.map_or(start, |first| first.min(start)));
            last = last.max(Some(end));
            latencies.append(&mut own);
        }
        self.verify(concurrency * count).await?;
        let elapsed = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
        Ok(Round { elapsed, latencies })
    }

    async fn single(&self, count: usize, started: &(dyn Fn() + Send + Sync)) -> Result<(), Failure> {
        const WARM_UP: usize = 2;
        let mut worker = self.worker(0, WARM_UP + count).await?;
        for _ in 0..WARM_UP {
            self.once(&mut worker).await?;
        }
        started();
        for _ in 0..count {
            self.once(&mut worker).await?;
        }
        self.verify(WARM_UP + count).await
    }
}

async fn run<O: Op>(
    op: Arc<O>,
    mut worker: O::Worker,
    count: usize,
    barrier: Arc<Barrier>,
) -> Result<(Instant, Instant, Vec<u32>), Failure> {
    let mut latencies = Vec::with_capacity(count);
    barrier.wait().await;
    let start = Instant::now();
    // One clock read per call: the end of a call is the start of the next.
    let mut before = start;
    for _ in 0..count {
        op.once(&mut worker).await?;
        let after = Instant::now();
        latencies.push(u32::try_from((after - before).as_nanos()).unwrap_or(u32::MAX));
        before = after;
    }
    Ok((start, before, latencies))
}
