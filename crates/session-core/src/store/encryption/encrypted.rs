//! [`EncryptedStore`]: a store that sees no values.

use std::num::NonZeroU32;

use async_trait::async_trait;
use bytes::Bytes;

use super::cipher::{Cipher, DecryptError};
use super::key::EncryptionKeys;
use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::error::{StoreError, StoreErrorKind};
use crate::model::data::Data;
use crate::model::id::{SessionId, UserId};
use crate::model::record::{Record, Version};
use crate::store::codec::decode_values;
use crate::store::contract::{
    CreateOutcome, CreateRequest, DeleteOutcome, Freshness, SessionStore, TouchOutcome, UpdateOutcome,
};
use crate::store::feed::{Feed, FollowError};
use crate::store::page::{Count, Cursor, Listing, Page};

/// A store that encrypts the values of sessions before its backend sees them: what is in tables, dumps, backups and on the
/// wire is ciphertext. Any store can be inside; round trips are the same. With the feature `encryption`.
///
/// **Encrypted** are names and values, also of a session that has none: nobody can tell, nor make, one that has lost them.
/// **Not encrypted** is what stores and lists work with: the id, the user, when the session began and was last used, its timeouts, how
/// the user logged in, the [`Device`](crate::Device), and digests of the token. The **length** of all names and values
/// together shows, to the byte.
///
/// A ciphertext is bound to its session: id, kind, user and version. Moved to another session, or put back after a later
/// write, it cannot be read. What cannot be read ([`DecryptError`]) is [`StoreErrorKind::Corrupt`]: it is left as it is, its
/// client can log in and out and do nothing else, and lists and revocation work. It is never a session without values.
///
/// This protects values against who can read the backend, and against who can change it; not against that somebody who can
/// write there [logs in as anybody](crate::manual::threats#what-is-not-covered), or puts a whole row back as it was.
///
/// Limits on the size of values count what the application stores; in the backend, each session has
/// [`Cipher::OVERHEAD`] and about 4 bytes more.
///
/// ```
/// use session_core::store::{EncryptedStore, EncryptionKey, EncryptionKeys, SessionStore};
/// use session_core::{OsEntropy, Policy, SessionManager};
///
/// fn sessions(store: impl SessionStore, key: EncryptionKey) -> SessionManager {
///     SessionManager::new(EncryptedStore::new(store, &EncryptionKeys::new(key)), Policy::standard())
/// }
/// ```
///
/// How keys are rotated is said at [`EncryptionKeys`], how a store in use becomes an encrypted one at [`PlainValues`].
#[derive(Debug)]
pub struct EncryptedStore<S> {
    store: S,
    cipher: Cipher,
    plain: PlainValues,
}

/// What becomes of sessions that are not encrypted, where encryption is being introduced, or given up.
///
/// To encrypt what is in use, without a logout, with servers that are updated one by one:
/// 1. [`Written`](Self::Written) on every server: all can read both.
/// 2. [`Accepted`](Self::Accepted) on every server: what is written is encrypted.
/// 3. [`Refused`](Self::Refused), the default, when nothing can be alive that was written before: in a store, the longest absolute
///    timeout later; in cookies, the longest idle timeout.
///
/// The way back is the same, in the other direction. A server that knows no encryption takes the encrypted values of a session
/// for values of its own, and finds none that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainValues {
    /// They cannot be read: nobody can put values of their own in place of the encrypted ones.
    Refused,
    /// They can be read, and are encrypted when they are next written.
    Accepted,
    /// They can be read, and nothing is encrypted. What is encrypted can be read.
    Written,
}

/// The name of the one value that the backend sees. No application can name one like this: [`Key`](crate::Key).
const NAME: Bytes = Bytes::new();

impl<S: SessionStore> EncryptedStore<S> {
    /// `store`, with values encrypted by the first of `keys`.
    pub fn new(store: S, keys: &EncryptionKeys) -> Self {
        Self { store, cipher: Cipher::new(keys, "store"), plain: PlainValues::Refused }
    }

    /// For the time of a migration: what becomes of values that are not encrypted.
    #[must_use]
    pub fn plain(mut self, plain: PlainValues) -> Self {
        self.plain = plain;
        self
    }

    /// Another source of nonces than [`OsEntropy`](crate::OsEntropy).
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.cipher = self.cipher.entropy(entropy);
        self
    }

    /// Replaces the keys, for a rotation without a restart.
    pub fn set_keys(&self, keys: &EncryptionKeys) {
        self.cipher.set_keys(keys);
    }

    fn encrypt(&self, record: &Record) -> Result<Record, StoreError> {
        if self.plain == PlainValues::Written {
            return Ok(record.clone());
        }
        let text = self.cipher.encrypt(&record.encode_values(), &context(record));
        let no_entropy = |error| {
            let detail = "the values were not encrypted: the random generator failed";
            StoreError::new(StoreErrorKind::Other, detail).with_source(error).unsent()
        };
        let mut data = Data::default();
        data.insert(NAME, text.map_err(no_entropy)?.into());
        Ok(Record { data, ..record.clone() })
    }

    fn decrypt(&self, record: Record) -> Result<Record, StoreError> {
        let Some(text) = record.data.get(&NAME) else {
            return match self.plain {
                PlainValues::Accepted | PlainValues::Written => Ok(record),
                PlainValues::Refused => Err(corrupt("the values are not encrypted")),
            };
        };
        if record.data.len() > 1 {
            return Err(corrupt("beside the encrypted values are others; is a server without encryption in use?"));
        }
        let plain = self.cipher.decrypt(text, &context(&record)).map_err(|error| {
            corrupt(match error {
                DecryptError::UnknownFormat => "the values are encrypted in a format this version does not know",
                DecryptError::UnknownKey => "the values were encrypted with a key that is not among the keys",
                DecryptError::Damaged => "the values were changed after they were encrypted, or are another session's",
            })
        })?;
        Ok(Record { data: decode_values(&plain.into())?, ..record })
    }
}

/// What the values of a record belong to, and a backend never changes. The user has no length of its own, and comes last.
fn context(record: &Record) -> Vec<u8> {
    let user = record.user().map_or("", UserId::as_str);
    let (id, kind, version) = (record.id(), record.summary.kind.tag(), record.version.to_bytes());
    [&id.as_bytes()[..], &[kind], &version, user.as_bytes()].concat()
}

fn corrupt(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, detail)
}

#[async_trait]
impl<S: SessionStore> SessionStore for EncryptedStore<S> {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    async fn load(&self, id: &SessionId, freshness: Freshness) -> Result<Option<Record>, StoreError> {
        let Some(record) = self.store.load(id, freshness).await? else { return Ok(None) };
        let is_copy = record.is_copy;
        match self.decrypt(record) {
            // Of a copy nothing is concluded but that the session is alive: it may be from before a rotation, or from before what
            // made the session readable again.
            Err(_) if is_copy => {
                let latest = self.store.load(id, Freshness::Latest).await?;
                latest.map(|record| self.decrypt(record)).transpose()
            }
            decrypted => decrypted.map(Some),
        }
    }

    async fn create(&self, request: CreateRequest<'_>, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let record = &self.encrypt(request.record)?;
        self.store.create(CreateRequest { record, ..request }, now).await
    }

    async fn update(&self, record: &Record, expected: Version, now: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.store.update(&self.encrypt(record)?, expected, now).await
    }

    async fn touch(&self, id: &SessionId, user: Option<&UserId>, now: Timestamp) -> Result<TouchOutcome, StoreError> {
        self.store.touch(id, user, now).await
    }

    async fn delete(&self, id: &SessionId, user: Option<&UserId>) -> Result<DeleteOutcome, StoreError> {
        self.store.delete(id, user).await
    }

    async fn list_by_user(&self, user: &UserId, now: Timestamp) -> Result<Listing, StoreError> {
        self.store.list_by_user(user, now).await
    }

    async fn delete_by_user(
        &self,
        user: &UserId,
        keep: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<Listing, StoreError> {
        self.store.delete_by_user(user, keep, now).await
    }

    async fn list_all(&self, after: Option<&Cursor>, limit: NonZeroU32, now: Timestamp) -> Result<Page, StoreError> {
        self.store.list_all(after, limit, now).await
    }

    async fn count(&self, now: Timestamp) -> Result<Count, StoreError> {
        self.store.count(now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: NonZeroU32) -> Result<u64, StoreError> {
        self.store.delete_expired(now, limit).await
    }

    fn follow(&self) -> Result<Option<Box<dyn Feed>>, FollowError> {
        self.store.follow()
    }
}
