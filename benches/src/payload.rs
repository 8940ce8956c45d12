//! The values of a session: 236 bytes of JSON in four keys, as a shop might store.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session_conformance::RecordBuilder;
use session_core::store::{Data, Record};
use session_core::{Key, Timestamp, UserId};

use crate::op::Failure;

/// The values as the floors store them.
pub(crate) const JSON: &str = r#"{"cart":[{"sku":"BOOK-0042","quantity":2},{"sku":"MUG-007","quantity":1}],"profile":{"name":"Ada Lovelace","email":"ada@example.org","locale":"en-GB","theme":"dark","newsletter":false},"visits":7,"last_viewed":["BOOK-0042","LAMP-0815"]}"#;

/// The shopping cart.
pub(crate) const CART: Key<Vec<Item>> = Key::new("cart");
/// The customer profile.
pub(crate) const PROFILE: Key<Profile> = Key::new("profile");
/// The value that requests read and write.
pub(crate) const VISITS: Key<u64> = Key::new("visits");
/// Items viewed lately.
pub(crate) const LAST_VIEWED: Key<Vec<String>> = Key::new("last_viewed");

/// All values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub(crate) cart: Vec<Item>,
    pub(crate) profile: Profile,
    pub(crate) visits: u64,
    pub(crate) last_viewed: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    sku: String,
    quantity: u32,
}

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
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(serde_json::from_str(JSON)?)
    }

    /// The values, encoded as in a session.
    pub(crate) fn data(&self) -> Result<Data, Failure> {
        let mut data = Data::default();
        data.insert(Bytes::from_static(b"cart"), serde_json::to_vec(&self.cart)?.into());
        data.insert(Bytes::from_static(b"profile"), serde_json::to_vec(&self.profile)?.into());
        data.insert(Bytes::from_static(b"visits"), serde_json::to_vec(&self.visits)?.into());
        data.insert(Bytes::from_static(b"last_viewed"), serde_json::to_vec(&self.last_viewed)?.into());
        Ok(data)
    }
}

/// The record of a session with these values that begins at `now`; without a `user`, an anonymous one.
pub(crate) fn record(user: Option<&UserId>, data: &Data, now: Timestamp) -> Result<Record, Failure> {
    let mut builder = RecordBuilder::new(now);
    if let Some(user) = user {
        builder = builder.of(user);
    }
    Ok(Record { data: data.clone(), ..builder.build().map_err(|failure| failure.to_string())? })
}

/// The user with this number.
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
