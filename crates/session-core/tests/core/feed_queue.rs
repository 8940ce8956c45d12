//! The events between a server and the reader of a feed.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use session_core::SessionId;
use session_core::store::{FeedEvent, FeedQueue};

/// As many events wait at most.
const MOST: u32 = 1 << 16;

const BEAT: Duration = Duration::from_secs(1);

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
    for n in 0..=MOST {
        queue.push(ended(n));
    }
    assert_eq!(poll(queue.next(BEAT)), Poll::Ready(FeedEvent::Lost));
    assert_eq!(poll(queue.next(BEAT)), Poll::Ready(ended(MOST)));
    assert!(poll(queue.next(BEAT)).is_pending());
}

#[tokio::test]
async fn a_reader_that_waits_is_woken() {
    let queue = Arc::new(FeedQueue::default());
    let reader = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.next(BEAT).await }
    });
    tokio::task::yield_now().await;
    queue.push(ended(1));
    assert_eq!(reader.await.unwrap(), ended(1));
}
