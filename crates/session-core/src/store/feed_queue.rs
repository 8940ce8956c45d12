//! A feed whose server is followed by a task, [`FollowedFeed`], and events on their way to its reader, [`FeedQueue`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::feed::{Feed, FeedEvent};

/// How many events wait for their reader at most: some 3 MiB.
const MOST: usize = 1 << 16;

/// How often a beat is asked for until the reader has said so.
const BEAT: Duration = Duration::from_secs(1);

/// For backends: the events between the task that follows a server and the one reader of its feed. Bounded: a reader that is
/// too slow finds [`Lost`](FeedEvent::Lost) instead of what it has missed.
pub struct FeedQueue {
    events: Mutex<VecDeque<FeedEvent>>,
    pushed: Notify,
    /// In milliseconds.
    beat: AtomicU64,
}

impl Default for FeedQueue {
    fn default() -> Self {
        Self { events: Mutex::default(), pushed: Notify::new(), beat: AtomicU64::new(millis(BEAT)) }
    }
}

impl FeedQueue {
    /// Puts an event behind the others. Never waits.
    pub fn push(&self, event: FeedEvent) {
        let mut events = self.events();
        if events.len() >= MOST {
            events.clear();
            events.push_back(FeedEvent::Lost);
        }
        // Of what only says how far the feed is, the latest is enough; and to lose twice is to lose once.
        let repeats = |last: &FeedEvent| {
            matches!(
                (last, event),
                (FeedEvent::Beat { .. }, FeedEvent::Beat { .. }) | (FeedEvent::Lost, FeedEvent::Lost)
            )
        };
        if events.back().is_some_and(repeats) {
            events.pop_back();
        }
        events.push_back(event);
        drop(events);
        self.pushed.notify_one();
    }

    /// Takes the next event, as [`Feed::next`](super::Feed::next). Cancel-safe.
    pub async fn next(&self, beat: Duration) -> FeedEvent {
        self.beat.store(millis(beat), Ordering::Relaxed);
        loop {
            // Of a push between the look and the wait, there is a permit.
            if let Some(event) = self.events().pop_front() {
                return event;
            }
            self.pushed.notified().await;
        }
    }

    /// How often a beat is wanted.
    pub fn beat(&self) -> Duration {
        Duration::from_millis(self.beat.load(Ordering::Relaxed))
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<FeedEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FeedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedQueue").field("waiting", &self.events().len()).finish_non_exhaustive()
    }
}

/// For backends: a feed whose server is followed by a task. Dropped, the task stops.
pub struct FollowedFeed {
    queue: Arc<FeedQueue>,
    task: AbortHandle,
}

impl FollowedFeed {
    /// Spawns `follow` on `runtime`, with the queue that it fills. When it ends, if only because its runtime does, something may
    /// have been missed, and the feed says so.
    pub fn spawn<F>(runtime: &Handle, follow: impl FnOnce(Arc<FeedQueue>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let queue = Arc::new(FeedQueue::default());
        let (end, work) = (End(Arc::clone(&queue)), follow(Arc::clone(&queue)));
        let task = runtime.spawn(async move {
            let _end = end;
            work.await;
        });
        Self { queue, task: task.abort_handle() }
    }
}

#[async_trait]
impl Feed for FollowedFeed {
    async fn next(&mut self, beat: Duration) -> FeedEvent {
        self.queue.next(beat).await
    }
}

impl Drop for FollowedFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for FollowedFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowedFeed").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Says that something may have been missed when the task ends.
struct End(Arc<FeedQueue>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.push(FeedEvent::Lost);
    }
}

fn millis(beat: Duration) -> u64 {
    u64::try_from(beat.as_millis()).unwrap_or(u64::MAX).max(1)
}
