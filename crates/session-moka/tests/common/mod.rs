//! Records and calls for the tests of this crate.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, Record, Replacement, SessionStore};
use session_core::{OsEntropy, SessionId, StoreError, Timestamp, UserId};
use session_moka::MokaStore;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_123);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A session of `user` that begins at `now` and lives as long as `lives`.
pub(crate) fn session(user: Option<&UserId>, now: Timestamp, lives: Duration) -> Record {
    with_id(SessionId::generate(user, &OsEntropy).unwrap(), user, now, lives)
}

pub(crate) fn with_id(id: SessionId, user: Option<&UserId>, now: Timestamp, lives: Duration) -> Record {
    let builder = RecordBuilder::new(now).id(id).timeouts(lives, 24 * HOUR).value("cart", vec![7; 100]);
    user.map_or(builder.clone(), |user| builder.of(user)).build().unwrap()
}

/// A new id in this shard.
pub(crate) fn in_shard(shard: u16) -> SessionId {
    let mut bytes = *SessionId::generate(None, &OsEntropy).unwrap().as_bytes();
    bytes[..2].copy_from_slice(&shard.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// The record that follows `record`.
pub(crate) fn next(record: &Record) -> Record {
    Record { version: record.version.next(&OsEntropy).unwrap(), ..record.clone() }
}

pub(crate) async fn insert(store: &MokaStore, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
    store.create(CreateRequest::new(record), now).await
}

pub(crate) async fn exchange(store: &MokaStore, old: &Record, record: &Record, now: Timestamp) -> CreateOutcome {
    store.create(CreateRequest::new(record).replacing(Replacement::of(old)), now).await.unwrap()
}

pub(crate) fn created() -> CreateOutcome {
    CreateOutcome::Created { evicted: Vec::new() }
}
