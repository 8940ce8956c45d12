//! What the sessions hold: 236 bytes of JSON in four keys, as a shop might keep.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use session_conformance::RecordBuilder;
use session_core::store::{Data, Record};
use session_core::{Key, Timestamp, UserId};

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
/// [`SessionStore::create`](session_core::store::SessionStore::create) takes it.
///
/// # Errors
/// If the generator failed.
pub(crate) fn record(user: Option<&UserId>, data: &Data, now: Timestamp) -> Result<Record, Failure> {
    let visitor = RecordBuilder::new(now);
    let builder = user.map_or_else(|| visitor.clone(), |user| visitor.clone().of(user));
    Ok(Record { data: data.clone(), ..builder.build().map_err(|failure| failure.to_string())? })
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
