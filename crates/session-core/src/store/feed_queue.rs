//! Events on their way from a server to the reader of a [`Feed`](super::Feed): [`FeedQueue`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::feed::FeedEvent;

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
        let repeats = |last: &mut FeedEvent| {
            matches!(
                (last, event),
                (FeedEvent::Beat { .. }, FeedEvent::Beat { .. }) | (FeedEvent::Lost, FeedEvent::Lost)
            )
        };
        let _ = events.pop_back_if(repeats);
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

fn millis(beat: Duration) -> u64 {
    u64::try_from(beat.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Instant;

    use super::*;
    use crate::model::id::SessionId;

    fn poll(future: impl Future<Output = FeedEvent>) -> Poll<FeedEvent> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ended(n: u32) -> FeedEvent {
        let [a, b, c, d] = n.to_be_bytes();
        FeedEvent::Ended { id: SessionId::from_bytes([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) }
    }

    #[test]
    fn events_keep_their_order_and_a_cancelled_reader_takes_none() {
        let queue = FeedQueue::default();
        assert!(poll(queue.next(BEAT)).is_pending());
        let beat = |asked| FeedEvent::Beat { asked };
        let (first, second) = (Instant::now(), Instant::now() + BEAT);
        for event in [ended(1), beat(first), beat(second), ended(2), FeedEvent::Lost, FeedEvent::Lost, ended(3)] {
            queue.push(event);
        }
        for expected in [ended(1), beat(second), ended(2), FeedEvent::Lost, ended(3)] {
            assert_eq!(poll(queue.next(BEAT)), Poll::Ready(expected));
        }
        assert!(poll(queue.next(Duration::from_millis(7))).is_pending());
        assert_eq!(queue.beat(), Duration::from_millis(7));
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_so() {
        let queue = FeedQueue::default();
        let many = u32::try_from(MOST).unwrap();
        for n in 0..=many {
            queue.push(ended(n));
        }
        assert_eq!(queue.events().len(), 2);
        assert_eq!(poll(queue.next(BEAT)), Poll::Ready(FeedEvent::Lost));
        assert_eq!(poll(queue.next(BEAT)), Poll::Ready(ended(many)));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let queue = std::sync::Arc::new(FeedQueue::default());
        let reader = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { queue.next(BEAT).await }
        });
        tokio::task::yield_now().await;
        queue.push(ended(1));
        assert_eq!(reader.await.unwrap(), ended(1));
    }
}
