//! Records for the tests of backends, and shorthands for storing them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::num::NonZeroU32;
use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, Freshness, Record, Replacement, SessionStore};
use session_core::{LimitPolicy, Namespace, OsEntropy, SessionId, SessionLimit, Timestamp, UserId};

/// The clock of the tests stands here, far from that of the servers.
pub const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_123);
/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);

/// The application of tests that have their server, or a database of it, to themselves.
#[must_use]
pub fn shop() -> Namespace {
    application("shop")
}

/// An application of this name.
#[must_use]
pub fn application(name: &str) -> Namespace {
    Namespace::new(name).unwrap()
}

/// A user of this name.
#[must_use]
pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A session of `user` that begins at `now`, with timeouts of 30 minutes and 8 hours.
#[must_use]
pub fn record(user: Option<&UserId>, now: Timestamp) -> Record {
    let builder = RecordBuilder::new(now);
    user.map_or(builder.clone(), |user| builder.of(user)).build().unwrap()
}

/// `record` with the next version.
#[must_use]
pub fn next(record: &Record) -> Record {
    Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() }
}

/// A login: `record` in exchange for `old`.
#[must_use]
pub fn replacing<'a>(record: &'a Record, old: &'a Record) -> CreateRequest<'a> {
    CreateRequest::new(record).replacing(Replacement::of(old))
}

/// A session limit.
#[must_use]
pub fn limit(max: u32, at_limit: LimitPolicy) -> SessionLimit {
    SessionLimit { max: NonZeroU32::new(max).unwrap(), at_limit }
}

/// The answer to a `create` that evicts nobody.
pub fn created() -> CreateOutcome {
    CreateOutcome::Created { evicted: Vec::new() }
}

/// Stores `record`, at the time of its last activity.
pub async fn insert(store: &dyn SessionStore, record: &Record) {
    assert_eq!(store.create(CreateRequest::new(record), record.summary.last_seen).await.unwrap(), created());
}

/// What is stored under this id.
pub async fn load(store: &dyn SessionStore, id: &SessionId) -> Option<Record> {
    store.load(id, Freshness::Latest).await.unwrap()
}
