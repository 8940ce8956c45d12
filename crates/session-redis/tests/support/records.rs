//! Records, and shorthands for storing them.

use std::num::NonZeroU32;
use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore, UpdateOutcome};
use session_core::{LimitPolicy, OsEntropy, SessionId, SessionLimit, Timestamp, UserId};
use session_redis::RedisStore;
use tokio::task::JoinHandle;

/// The clock of the tests stands here: far from that of the server.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_123);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const IDLE: Duration = Duration::from_secs(30 * 60);
pub const ABSOLUTE: Duration = Duration::from_secs(8 * 60 * 60);

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A session that begins at `created_at`, with the timeouts above.
pub fn record(user: Option<&UserId>, created_at: Timestamp) -> Record {
    let builder = RecordBuilder::new(created_at).timeouts(IDLE, ABSOLUTE);
    let builder = if let Some(user) = user { builder.of(user) } else { builder };
    builder.build().unwrap()
}

pub fn next(record: &Record) -> Record {
    Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() }
}

/// A login: `record` in exchange for `old`.
pub fn replacing<'a>(record: &'a Record, old: &'a Record) -> CreateRequest<'a> {
    CreateRequest::new(record).replacing(Replacement::of(old))
}

pub fn limit(max: u32, at_limit: LimitPolicy) -> SessionLimit {
    SessionLimit { max: NonZeroU32::new(max).unwrap(), at_limit }
}

pub fn created() -> CreateOutcome {
    CreateOutcome::Created { evicted: Vec::new() }
}

pub async fn insert(store: &dyn SessionStore, record: &Record) {
    assert_eq!(store.create(CreateRequest::new(record), NOW).await.unwrap(), created());
}

pub async fn exists(store: &dyn SessionStore, id: &SessionId) -> bool {
    store.load(id, Freshness::Latest).await.unwrap().is_some()
}

/// Adds one to the counter of a session twenty times. Returns how many of them were acknowledged, and how many may or
/// may not have been applied.
pub async fn increment(store: RedisStore, id: SessionId) -> (u64, u64) {
    let (mut added, mut unknown) = (0, 0);
    for _ in 0..20 {
        match increment_once(&store, &id).await {
            true => added += 1,
            false => unknown += 1,
        }
    }
    (added, unknown)
}

/// No increment of these tasks was lost, and none was applied twice.
pub async fn assert_counted(store: &RedisStore, id: &SessionId, tasks: Vec<JoinHandle<(u64, u64)>>) {
    let (mut added, mut unknown) = (0, 0);
    for task in tasks {
        let (more, lost) = task.await.unwrap();
        added += more;
        unknown += lost;
    }
    let total = count(&store.load(id, Freshness::Latest).await.unwrap().unwrap());
    assert!((added..=added + unknown).contains(&total), "{total} after {added} that worked and {unknown} unknown");
}

/// Increments as core does it: reads, changes, writes, and starts again on a conflict. `false` if it is not known
/// whether the update was applied.
async fn increment_once(store: &RedisStore, id: &SessionId) -> bool {
    loop {
        let Ok(stored) = store.load(id, Freshness::Latest).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let stored = stored.expect("the session is gone");
        let mut change = next(&stored);
        change.data.insert("n".into(), (count(&stored) + 1).to_string().into());
        match store.update(&change, stored.version, NOW).await {
            Ok(UpdateOutcome::Applied) => return true,
            Ok(UpdateOutcome::Conflict) => {}
            Ok(UpdateOutcome::Absent) => panic!("the session is gone"),
            Err(_) => return false,
        }
    }
}

fn count(record: &Record) -> u64 {
    record.data.get(b"n").map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap())
}
