//! What the sessions hold: 236 bytes of JSON in four keys, as a shop might keep.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session_core::{
    Assurance, Authentication, Credential, Data, Device, Key, Kind, Lifetime, OsEntropy, Persistence, Record,
    SessionId, Timestamp, UserId, Version,
};

use crate::op::Failure;

/// The values as the floors keep them.
pub(crate) const JSON: &str = r#"{"cart":[{"sku":"BOOK-0042","quantity":2},{"sku":"MUG-007","quantity":1}],"profile":{"name":"Ada Lovelace","email":"ada@example.org","locale":"en-GB","theme":"dark","newsletter":false},"visits":7,"last_viewed":["BOOK-0042","LAMP-0815"]}"#;

/// What is in the cart.
pub(crate) const CART: Key<Vec<Item>> = Key::new("cart");
/// Who the visitor says to be.
pub(crate) const PROFILE: Key<Profile> = Key::new("profile");
/// The value that requests read and write.
pub(crate) const VISITS: Key<u64> = Key::new("visits");
/// What was looked at.
pub(crate) const LAST_VIEWED: Key<Vec<String>> = Key::new("last_viewed");

/// All values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// [`CART`].
    pub(crate) cart: Vec<Item>,
    /// [`PROFILE`].
    pub(crate) profile: Profile,
    /// [`VISITS`].
    pub(crate) visits: u64,
    /// [`LAST_VIEWED`].
    pub(crate) last_viewed: Vec<String>,
}

/// One line of the cart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    sku: String,
    quantity: u32,
}

/// What the visitor filled in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Profile {
    name: String,
    email: String,
    locale: String,
    theme: String,
    newsletter: bool,
}

impl Payload {
    /// The values of [`JSON`].
    ///
    /// # Errors
    /// Never: the text is a constant.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(serde_json::from_str(JSON)?)
    }

    /// The values, encoded as a session keeps them.
    ///
    /// # Errors
    /// Never: all of this is MessagePack.
    pub(crate) fn data(&self) -> Result<Data, Failure> {
        let mut data = Data::default();
        data.insert(Bytes::from_static(b"cart"), rmp_serde::to_vec_named(&self.cart)?.into());
        data.insert(Bytes::from_static(b"profile"), rmp_serde::to_vec_named(&self.profile)?.into());
        data.insert(Bytes::from_static(b"visits"), rmp_serde::to_vec_named(&self.visits)?.into());
        data.insert(Bytes::from_static(b"last_viewed"), rmp_serde::to_vec_named(&self.last_viewed)?.into());
        Ok(data)
    }
}

/// A session with these values that began at `now`, of `user` or of a visitor, as
/// [`SessionStore::create`](session_core::SessionStore::create) takes it.
///
/// # Errors
/// If the generator failed.
pub(crate) fn record(user: Option<&UserId>, data: &Data, now: Timestamp) -> Result<Record, Failure> {
    let id = SessionId::generate(user, &OsEntropy)?;
    Ok(Record {
        id,
        version: Version::first(&OsEntropy)?,
        kind: Kind::Cookie,
        created_at: now,
        last_seen: now,
        lifetime: Lifetime { idle: Duration::from_secs(1800), absolute: Duration::from_secs(8 * 3600) },
        persistence: Persistence::Transient,
        authentication: user.map(|user| Authentication {
            user: user.clone(),
            at: now,
            methods: ["pwd".to_owned()].into(),
            level: Assurance::Aal1,
        }),
        credential: Credential::issue(Kind::Cookie, id, now, &OsEntropy)?.0,
        device: Device::new(),
        data: data.clone(),
    })
}

/// The user of a worker.
///
/// # Errors
/// Never: a short name is valid.
pub(crate) fn user(number: usize) -> Result<UserId, Failure> {
    Ok(UserId::new(format!("user-{number}"))?)
}

#[cfg(test)]
mod tests {
    use super::{JSON, Payload};

    #[test]
    fn the_payload_is_236_bytes_of_json() {
        assert_eq!(JSON.len(), 236);
        let again = Payload::new().and_then(|payload| Ok(serde_json::to_string(&payload)?));
        assert_eq!(again.unwrap_or_default(), JSON);
    }
}
