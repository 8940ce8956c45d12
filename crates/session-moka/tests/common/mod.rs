//! Records and calls for the tests of this crate.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use session_conformance::RecordBuilder;
use session_core::store::{CreateOutcome, CreateRequest, Record, SessionStore};
use session_core::{OsEntropy, SessionId, StoreError, Timestamp, UserId};
use session_moka::MokaStore;
use session_testbed::records::replacing;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

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

pub(crate) async fn insert(store: &MokaStore, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
    store.create(CreateRequest::new(record), now).await
}

pub(crate) async fn exchange(store: &MokaStore, old: &Record, record: &Record, now: Timestamp) -> CreateOutcome {
    store.create(replacing(record, old), now).await.unwrap()
}
