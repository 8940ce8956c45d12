//! A steady load of requests: [`Load`]. Their times are measured from when they were due, whether or not those before them were
//! done: what waits is late.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use session_core::SessionManager;
use session_testbed::crowd::Writer;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::measure::quantile;
use crate::op::Failure;

/// Requests per second, of all writers together: a tenth of what two cores do.
pub(crate) const RATE: u32 = 500;
/// How long those that are under way may take to be done.
const PATIENCE: Duration = Duration::from_secs(60);
/// Samples of an hour and more.
const MOST: usize = 1 << 21;
const LOOK: Duration = Duration::from_millis(5);

/// Writers who send a request each when it is due.
#[derive(Debug)]
pub(crate) struct Load {
    writers: JoinSet<Result<Writer, Failure>>,
    pacer: thread::JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    samples: Mutex<Vec<Sample>>,
    /// How many were due, and how many of them are done.
    due: AtomicU64,
    done: AtomicU64,
    is_over: AtomicBool,
    has_failed: AtomicBool,
}

impl Shared {
    fn new() -> Self {
        Self {
            // Never moved while writers wait for it.
            samples: Mutex::new(Vec::with_capacity(MOST)),
            due: AtomicU64::new(0),
            done: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    due: Instant,
    nanos: u32,
}

/// How long requests took that were due in some time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latencies {
    pub(crate) requests: usize,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl Load {
    /// Begins. If a store `is_moving`, requests that move a session are not measured, which cost more whether or not there is a copy.
    pub(crate) fn start(manager: &SessionManager, writers: Vec<Writer>, is_moving: bool) -> Self {
        let (shared, mut tasks, mut queues) = (Arc::new(Shared::new()), JoinSet::new(), Vec::new());
        for writer in writers {
            let (queue, due) = unbounded_channel();
            queues.push(queue);
            tasks.spawn(write(manager.clone(), writer, due, Arc::clone(&shared), is_moving));
        }
        // A thread, because the timers of the runtime are as coarse as a request is long.
        let pacer = thread::spawn({
            let shared = Arc::clone(&shared);
            move || pace(&queues, &shared)
        });
        Self { writers: tasks, pacer, shared }
    }

    /// How long the requests took that were due in these times; all of them are done when it returns.
    pub(crate) async fn during(&self, times: &[(Instant, Instant)]) -> Result<Latencies, Failure> {
        let due = self.shared.due.load(Ordering::SeqCst);
        let begin = Instant::now();
        while self.shared.done.load(Ordering::SeqCst) < due {
            if self.shared.has_failed.load(Ordering::SeqCst) {
                return Err("a request of the steady load failed".into());
            }
            if begin.elapsed() > PATIENCE {
                return Err("the steady load hangs".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        let samples = self.shared.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let is_in = |due: Instant| times.iter().any(|(begin, end)| (*begin..*end).contains(&due));
        let mut nanos: Vec<u32> =
            samples.iter().filter(|sample| is_in(sample.due)).map(|sample| sample.nanos).collect();
        nanos.sort_unstable();
        Ok(Latencies { requests: nanos.len(), p50_us: quantile(&nanos, 0.5), p99_us: quantile(&nanos, 0.99) })
    }

    /// Ends it.
    ///
    /// # Errors
    /// That of a request that failed.
    pub(crate) async fn stop(self) -> Result<Vec<Writer>, Failure> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let mut writers = Vec::new();
        for writer in self.writers.join_all().await {
            writers.push(writer?);
        }
        self.pacer.join().map_err(|_| "the thread that paces the load panicked")?;
        Ok(writers)
    }
}

/// Tells one writer after the other that a request is due.
fn pace(queues: &[UnboundedSender<Instant>], shared: &Shared) {
    let mut due = Instant::now();
    for queue in queues.iter().cycle() {
        if shared.is_over.load(Ordering::SeqCst) {
            return;
        }
        due += Duration::from_secs(1) / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        shared.due.fetch_add(1, Ordering::SeqCst);
        // A writer that failed has closed it, and is reported.
        let _ = queue.send(due);
    }
}

async fn write(
    manager: SessionManager,
    mut writer: Writer,
    mut queue: UnboundedReceiver<Instant>,
    shared: Arc<Shared>,
    is_moving: bool,
) -> Result<Writer, Failure> {
    while let Some(due) = queue.recv().await {
        let act = match writer.act(&manager).await {
            Ok(act) => act,
            Err(failure) => {
                shared.has_failed.store(true, Ordering::SeqCst);
                return Err(failure);
            }
        };
        let nanos = u32::try_from(due.elapsed().as_nanos()).unwrap_or(u32::MAX);
        if !(is_moving && act.may_move()) {
            shared.samples.lock().unwrap_or_else(PoisonError::into_inner).push(Sample { due, nanos });
        }
        shared.done.fetch_add(1, Ordering::SeqCst);
    }
    Ok(writer)
}
