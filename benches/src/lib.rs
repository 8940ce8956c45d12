//! What the benchmarks share: sessions as an application has them.

use std::time::Duration;

use session_core::{
    Assurance, Authentication, Credential, Data, Device, EntropyError, Kind, Lifetime, OsEntropy, Persistence, Record,
    SessionId, Timestamp, UserId, Version,
};

/// When everything happens.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A session of `user` with 236 bytes of values in three keys, as [`SessionStore::create`](session_core::SessionStore::create)
/// takes it.
///
/// # Errors
/// [`EntropyError`] if the generator failed.
pub fn session(user: &UserId) -> Result<Record, EntropyError> {
    let id = SessionId::generate(Some(user), &OsEntropy)?;
    let mut data = Data::default();
    for (key, size) in [("cart", 150), ("locale", 5), ("profile", 64)] {
        data.insert(key.into(), vec![b'x'; size].into());
    }
    Ok(Record {
        id,
        version: Version::first(&OsEntropy)?,
        kind: Kind::Cookie,
        created_at: NOW,
        last_seen: NOW,
        lifetime: Lifetime { idle: Duration::from_secs(1800), absolute: Duration::from_secs(8 * 3600) },
        persistence: Persistence::Transient,
        authentication: Some(Authentication {
            user: user.clone(),
            at: NOW,
            methods: ["pwd".to_owned()].into(),
            level: Assurance::Aal1,
        }),
        credential: Credential::issue(Kind::Cookie, id, NOW, &OsEntropy)?.0,
        device: Device::new(),
        data,
    })
}
