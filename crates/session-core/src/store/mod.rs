//! What backends need: the contract, and what crosses it. Applications need none of it.

mod codec;
pub(crate) mod contract;
#[cfg(feature = "encryption")]
mod encryption;
mod feed;
mod feed_queue;
mod inspection;
mod moving;
pub(crate) mod namespace;
pub(crate) mod page;
pub(crate) mod seal;

pub use codec::{RecordHeader, layout};
pub use contract::{CreateOutcome, CreateRequest, Freshness, Replacement, SessionStore, TouchOutcome, UpdateOutcome};
#[cfg(feature = "encryption")]
pub use encryption::{
    Cipher, DecryptError, EncryptedStore, EncryptionKey, EncryptionKeyError, EncryptionKeys, PlainValues,
};
pub use feed::{Feed, FeedEvent, FollowError};
pub use feed_queue::{FeedQueue, FollowedFeed};
pub use inspection::{Inspection, SchemaState, ServerInfo};
pub use moving::{MovedPage, MovingProgress, MovingStore};
pub use page::{Count, Cursor, Listing, Page};
pub use seal::Seal;

pub use crate::model::credential::{Credential, Grace, TokenCheck, TokenDigest};
pub use crate::model::data::Data;
pub use crate::model::record::{Record, Version};
pub use crate::policy::limit::LimitCandidate;
