//! What the feeds of backends must tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use session_core::store::{
    CreateOutcome, CreateRequest, Feed, FeedEvent, Record, SessionStore, TouchOutcome, UpdateOutcome,
};
use session_core::{DeleteOutcome, LimitPolicy, OsEntropy, SessionId, VisitorLimit};
use tokio::time::timeout;

use crate::records::{MINUTE, NOW, created, insert, limit, load, next, record, replacing, user};
use crate::servers::namespace;

/// How often the tests ask for a beat.
pub const BEAT: Duration = Duration::from_millis(20);

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The next event.
pub async fn next_event(feed: &mut dyn Feed) -> FeedEvent {
    timeout(PATIENCE, feed.next(BEAT)).await.expect("an event in time")
}

/// What is told up to a beat that was asked for after this was called: all that was done before.
pub async fn told(feed: &mut dyn Feed) -> Vec<FeedEvent> {
    let (begin, mut told) = (Instant::now(), Vec::new());
    while begin.elapsed() < PATIENCE {
        match next_event(feed).await {
            FeedEvent::Beat { asked } if asked >= begin => return told,
            FeedEvent::Beat { .. } => {}
            event @ (FeedEvent::Changed { .. } | FeedEvent::Ended { .. } | FeedEvent::Lost) => told.push(event),
        }
    }
    panic!("no beat in time, but {told:?}")
}

/// The same, and on until at least `least` events were told: a store may tell of what is no revocation a little later.
pub async fn told_of(feed: &mut dyn Feed, least: usize) -> Vec<FeedEvent> {
    let (begin, mut all) = (Instant::now(), told(feed).await);
    while all.len() < least {
        all.extend(told(feed).await);
        assert!(Instant::now() < begin + PATIENCE, "only {} of {least} were told in time", all.len());
    }
    all
}

/// Waits until something may have been missed.
pub async fn lost(feed: &mut dyn Feed) {
    let begin = Instant::now();
    while next_event(feed).await != FeedEvent::Lost {
        assert!(begin.elapsed() < PATIENCE, "nothing was lost in time");
    }
}

/// That a session was written, as this record.
#[must_use]
pub fn changed(record: &Record) -> FeedEvent {
    FeedEvent::Changed { id: record.id(), version: Some(record.version) }
}

/// That a session has ended.
#[must_use]
pub fn ended(id: SessionId) -> FeedEvent {
    FeedEvent::Ended { id }
}

/// That this is told, in any order: of several sessions, none comes first.
async fn expect(feed: &mut dyn Feed, what: &str, expected: &[FeedEvent]) {
    let (mut told, mut expected) = (told_of(feed, expected.len()).await, expected.to_vec());
    let by_id = |event: &FeedEvent| match event {
        FeedEvent::Changed { id, .. } | FeedEvent::Ended { id } => Some(*id),
        FeedEvent::Beat { .. } | FeedEvent::Lost => None,
    };
    told.sort_by_key(by_id);
    expected.sort_by_key(by_id);
    assert_eq!(told, expected, "{what}");
}

/// Every operation that changes sessions, and what must be told of it; and those of which nothing must be told. `feed` follows
/// the changes already.
pub async fn assert_every_change_is_told(store: &dyn SessionStore, feed: &mut dyn Feed) {
    let alice = user(namespace().as_str());
    expect(feed, "nothing yet", &[]).await;

    let visitor = record(None, NOW);
    insert(store, &visitor).await;
    expect(feed, "create", &[changed(&visitor)]).await;
    let login = record(Some(&alice), NOW);
    assert_eq!(store.create(replacing(&login, &visitor), NOW).await.unwrap(), created());
    expect(feed, "create that replaces", &[ended(visitor.id()), changed(&login)]).await;
    let refused = record(Some(&alice), NOW);
    assert_eq!(store.create(replacing(&refused, &visitor), NOW).await.unwrap(), CreateOutcome::ReplacedAbsent);
    // A backend may have found that out after it had inserted the new one.
    let mut told = told(feed).await;
    told.retain(|event| ![changed(&refused), ended(refused.id())].contains(event));
    assert_eq!(told, [], "create in exchange for what is gone");

    let read = load(store, &login.id()).await.unwrap();
    let values = next(&read);
    assert_eq!(store.update(&values, read.version, NOW).await.unwrap(), UpdateOutcome::Applied);
    expect(feed, "update of what was read", &[changed(&values)]).await;
    let mut later = next(&values);
    later.summary.last_seen = NOW + MINUTE;
    assert_eq!(store.update(&later, values.version, NOW + MINUTE).await.unwrap(), UpdateOutcome::Applied);
    expect(feed, "update that moves the deadline", &[changed(&later)]).await;
    assert_eq!(store.update(&next(&values), values.version, NOW).await.unwrap(), UpdateOutcome::Conflict);
    assert_eq!(store.update(&next(&visitor), visitor.version, NOW).await.unwrap(), UpdateOutcome::Absent);
    expect(feed, "updates without effect", &[]).await;

    assert_eq!(store.touch(&login.id(), Some(&alice), NOW + 2 * MINUTE).await.unwrap(), TouchOutcome::Applied);
    store.list_by_user(&alice, NOW).await.unwrap();
    store.list_all(None, NonZeroU32::MAX, NOW).await.unwrap();
    store.count(NOW).await.unwrap();
    expect(feed, "touch, and what only reads", &[]).await;

    let second = record(Some(&alice), NOW + 3 * MINUTE);
    let evicting = CreateRequest::new(&second).within(limit(1, LimitPolicy::EvictOldest));
    let outcome = store.create(evicting, NOW + 3 * MINUTE).await.unwrap();
    assert_eq!(outcome, CreateOutcome::Created { evicted: vec![login.id()] });
    expect(feed, "create at the limit", &[ended(login.id()), changed(&second)]).await;
    let refused = record(Some(&alice), NOW + 3 * MINUTE);
    let refused = CreateRequest::new(&refused).within(limit(1, LimitPolicy::Reject));
    assert_eq!(store.create(refused, NOW + 3 * MINUTE).await.unwrap(), CreateOutcome::LimitReached);
    expect(feed, "create that is refused", &[]).await;

    assert_eq!(store.delete(&second.id(), Some(&alice)).await.unwrap(), DeleteOutcome::Deleted);
    expect(feed, "delete", &[ended(second.id())]).await;

    let several = [(); 3].map(|()| record(Some(&alice), NOW));
    for record in &several {
        insert(store, record).await;
    }
    let [first, second, third] = several.each_ref().map(changed);
    expect(feed, "three of them", &[first, second, third]).await;
    let mut deleted = store.delete_by_user(&alice, Some(&several[0].id()), NOW).await.unwrap().ids();
    deleted.sort_unstable();
    let mut expected = [several[1].id(), several[2].id()];
    expected.sort_unstable();
    assert_eq!(deleted, expected);
    expect(feed, "delete_by_user", &expected.map(ended)).await;

    let visitors = VisitorLimit::new(1).unwrap();
    let mut visits = [(); 2].map(|()| record(None, NOW));
    for visit in &mut visits {
        visit.summary.id = visitors.generate_id(&OsEntropy).unwrap();
    }
    assert_eq!(store.create(CreateRequest::new(&visits[0]).among(visitors), NOW).await.unwrap(), created());
    expect(feed, "a visitor", &[changed(&visits[0])]).await;
    let outcome = store.create(CreateRequest::new(&visits[1]).among(visitors), NOW).await.unwrap();
    assert_eq!(outcome, CreateOutcome::Created { evicted: vec![visits[0].id()] });
    expect(feed, "another, for whom it makes room", &[ended(visits[0].id()), changed(&visits[1])]).await;
}
