//! Records as core would make them, and short ways to store them.

use std::num::NonZeroU32;
use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, SessionStore, UpdateOutcome};
use session_core::{LimitPolicy, OsEntropy, SessionId, SessionLimit, Timestamp, UserId};

/// Where the clock of the tests stands: far from that of the server.
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

pub fn limit(max: u32, at_limit: LimitPolicy) -> Option<SessionLimit> {
    Some(SessionLimit { max: NonZeroU32::new(max).unwrap(), at_limit })
}

pub fn alone(record: &Record) -> CreateRequest<'_> {
    CreateRequest { record, replaces: None, limit: None }
}

pub fn created() -> CreateOutcome {
    CreateOutcome::Created { evicted: Vec::new() }
}

pub async fn insert(store: &dyn SessionStore, record: &Record) {
    assert_eq!(store.create(alone(record), NOW).await.unwrap(), created());
}

pub async fn exists(store: &dyn SessionStore, id: &SessionId) -> bool {
    store.load(id, Freshness::Latest).await.unwrap().is_some()
}

/// Adds one to the counter of a session as core does it: reads, changes, writes, and starts again on a conflict.
/// `false` if it is not known whether it was added.
pub async fn increment(store: &dyn SessionStore, id: &SessionId) -> bool {
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

pub fn count(record: &Record) -> u64 {
    record.data.get(b"n").map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap())
}
