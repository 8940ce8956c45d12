//! Memory is freed without any call, and never before the deadline of a session. In real time: that is what is tested.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use common::{HOUR, in_shard, insert, session, with_id};
use session_core::store::{Freshness, SessionStore, TouchOutcome, UpdateOutcome};
use session_core::{Clock, SystemClock, Timestamp};
use session_moka::MokaStore;
use session_testbed::records::{NOW, created, next, user};

const SHORT: Duration = Duration::from_millis(200);
/// No session is freed earlier than this after its deadline.
const SLACK: Duration = Duration::from_secs(5);
/// How long a test waits for the sweeper: twice what the documentation promises.
const PATIENCE: Duration = Duration::from_secs(30);

async fn until_count_is(store: &MokaStore, count: usize) {
    let start = Instant::now();
    while store.session_count() != count {
        assert!(start.elapsed() < PATIENCE, "{} sessions are left, not {count}", store.session_count());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn expired_sessions_are_freed_without_a_call_and_live_ones_are_not() {
    let (store, start) = (MokaStore::new(), Instant::now());
    let now = SystemClock.now();
    let alice = user("alice");
    let mut short = Vec::new();
    for n in 0..2000 {
        let owner = user(&format!("user-{n}"));
        let record = session((n % 2 == 0).then_some(&owner), now, SHORT);
        assert_eq!(insert(&store, &record, now).await.unwrap(), created());
        short.push(record.id());
    }
    let (gone, kept) = (session(Some(&alice), now, SHORT), session(Some(&alice), now, HOUR));
    for record in [&gone, &kept] {
        assert_eq!(insert(&store, record, now).await.unwrap(), created());
        // Often enough for it to be cached.
        for _ in 0..20 {
            assert!(store.load(&record.id(), Freshness::Latest).await.unwrap().is_some());
        }
    }
    while start.elapsed() < SLACK {
        let count = store.session_count();
        assert!(count == 2002 || start.elapsed() >= SLACK, "{count} of 2002 sessions are left: freed without slack");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until_count_is(&store, 1).await;
    for id in short.iter().chain([&gone.id()]) {
        assert!(store.load(id, Freshness::Latest).await.unwrap().is_none());
    }
    assert!(store.load(&kept.id(), Freshness::Latest).await.unwrap().is_some());
    let listed = store.list_by_user(&alice, now).await.unwrap();
    assert_eq!(listed.sessions.iter().map(|summary| summary.id).collect::<Vec<_>>(), [kept.id()]);
}

/// The time to live is what is left until the deadline at the time that the call is given, of any clock.
#[tokio::test]
async fn the_time_to_live_counts_from_the_time_of_the_call() {
    let store = MokaStore::new();
    let (past, future) = (Timestamp::from_millis(1_000), NOW);
    // In one shard: the sweeper visits them together, the first ones no later than the others.
    let mut kept = Vec::new();
    for now in [past, future] {
        let [updated, long] = [SHORT, HOUR].map(|lives| with_id(in_shard(1), None, now, lives));
        // Its idle timeout is almost over.
        let touched = with_id(in_shard(1), None, now - (HOUR - SHORT), HOUR);
        for record in [&touched, &updated, &long] {
            assert_eq!(insert(&store, record, now).await.unwrap(), created());
        }
        assert_eq!(store.touch(&touched.id(), None, now).await.unwrap(), TouchOutcome::Applied);
        let later = next(&updated).touched(now + HOUR);
        assert_eq!(store.update(&later, updated.version, now).await.unwrap(), UpdateOutcome::Applied);
        kept.extend([touched.id(), updated.id(), long.id()]);
    }
    for now in [past, future] {
        assert_eq!(insert(&store, &with_id(in_shard(1), None, now, SHORT), now).await.unwrap(), created());
    }
    until_count_is(&store, kept.len()).await;
    for id in &kept {
        assert!(store.load(id, Freshness::Latest).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn delete_expired_uses_the_time_it_is_given() {
    let store = MokaStore::new();
    for n in 0..100 {
        let lives = if n < 70 { HOUR } else { 2 * HOUR };
        assert_eq!(insert(&store, &with_id(in_shard(n / 50), None, NOW, lives), NOW).await.unwrap(), created());
    }
    let limit = |limit| NonZeroU32::new(limit).unwrap();
    let deadline = NOW + HOUR;
    assert_eq!(store.delete_expired(deadline - Duration::from_millis(1), limit(1000)).await.unwrap(), 0);
    assert_eq!(store.delete_expired(deadline, limit(30)).await.unwrap(), 30);
    assert_eq!(store.session_count(), 70);
    assert_eq!(store.delete_expired(deadline, limit(1000)).await.unwrap(), 40);
    assert_eq!(store.delete_expired(deadline, limit(1000)).await.unwrap(), 0);
    assert_eq!(store.session_count(), 30);
    assert_eq!(store.delete_expired(deadline + HOUR, limit(1000)).await.unwrap(), 30);
}
