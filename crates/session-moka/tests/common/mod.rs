//! Records and calls for the tests of this crate.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use bytes::Bytes;
use session_core::store::{CreateOutcome, CreateRequest, Credential, Data, Record, Replacement, SessionStore, Version};
use session_core::{
    Assurance, Authentication, Device, Kind, OsEntropy, Persistence, SessionId, StoreError, Timeouts, Timestamp, UserId,
};
use session_moka::MokaStore;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(4_102_444_800_123);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A session of `user` that begins at `now` and lives as long as `lives`.
pub(crate) fn session(user: Option<&UserId>, now: Timestamp, lives: Duration) -> Record {
    let id = SessionId::generate(user, &OsEntropy).unwrap();
    with_id(id, user, now, lives)
}

pub(crate) fn with_id(id: SessionId, user: Option<&UserId>, now: Timestamp, lives: Duration) -> Record {
    let (credential, _token) = Credential::issue(Kind::Cookie, id, now, &OsEntropy).unwrap();
    let mut data = Data::default();
    data.insert(Bytes::from_static(b"cart"), Bytes::from_static(&[7; 100]));
    Record {
        id,
        version: Version::first(&OsEntropy).unwrap(),
        kind: Kind::Cookie,
        created_at: now,
        last_seen: now,
        lifetime: Timeouts { idle: lives, absolute: 24 * HOUR },
        persistence: Persistence::Transient,
        authentication: user.map(|user| Authentication {
            user: user.clone(),
            at: now,
            methods: ["pwd".to_owned()].into(),
            level: Assurance::Aal1,
        }),
        credential,
        device: Device::new(),
        data,
    }
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
    store.create(CreateRequest { record, replaces: None, limit: None }, now).await
}

pub(crate) async fn exchange(store: &MokaStore, old: &Record, record: &Record, now: Timestamp) -> CreateOutcome {
    let replaces = Some(Replacement { id: old.summary.id, user: old.user(), version: old.version });
    store.create(CreateRequest { record, replaces, limit: None }, now).await.unwrap()
}

pub(crate) fn created() -> CreateOutcome {
    CreateOutcome::Created { evicted: Vec::new() }
}
