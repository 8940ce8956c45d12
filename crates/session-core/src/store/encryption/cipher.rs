//! [`Cipher`]: authenticated encryption for one purpose.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, Tag, XChaCha20Poly1305, XNonce};

use super::key::EncryptionKeys;
use crate::entropy::{Entropy, EntropyError, OsEntropy, random};

/// Encrypts and decrypts for one purpose: the values in a [store](crate::store::EncryptedStore), or a
/// [`Seal`](crate::store::Seal) of client-side sessions.
///
/// XChaCha20-Poly1305. Its nonces have 192 bits: drawn at random, none occurs twice, however many sessions, servers and
/// years; with the 96 bits of AES-GCM a key would have to be counted. It takes the same time for all inputs on every processor.
///
/// What it makes: a format byte, 4 bytes that name the key, the nonce, and the text with its tag, [`OVERHEAD`](Self::OVERHEAD)
/// bytes longer than what was given. Its length is all that it tells.
pub struct Cipher {
    purpose: String,
    entropy: Arc<dyn Entropy>,
    keys: RwLock<Arc<[Key]>>,
}

struct Key {
    id: KeyId,
    aead: XChaCha20Poly1305,
}

type KeyId = [u8; 4];

/// The first byte. What follows from it: the key derivation, the cipher, and the layout.
const FORMAT: u8 = 1;
const HEADER: usize = 1 + size_of::<KeyId>();
const NONCE: usize = 24;
const TAG: usize = 16;

impl Cipher {
    /// How much longer the encrypted text is, in bytes.
    pub const OVERHEAD: usize = HEADER + NONCE + TAG;

    /// A cipher with the keys of `purpose`, which no other purpose can decrypt: the name of what is encrypted, not of the
    /// application.
    #[must_use]
    pub fn new(keys: &EncryptionKeys, purpose: &str) -> Self {
        let derived = RwLock::new(derive(keys, purpose));
        Self { purpose: purpose.to_owned(), entropy: Arc::new(OsEntropy), keys: derived }
    }

    /// Another source of nonces than [`OsEntropy`].
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Replaces the keys, for a rotation without a restart. Calls that are running finish with those before.
    pub fn set_keys(&self, keys: &EncryptionKeys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = derive(keys, &self.purpose);
    }

    /// Encrypts `plain` with the first key. It can be decrypted with the same `context` only: what it belongs to, which is not
    /// a part of the text.
    ///
    /// # Errors
    /// [`EntropyError`] if the generator failed: without a nonce, nothing is encrypted.
    pub fn encrypt(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, EntropyError> {
        let keys = self.keys();
        let Some(Key { id, aead }) = keys.first() else { unreachable!("there is a key at least") };
        let nonce: [u8; NONCE] = random(&*self.entropy)?;
        let mut text = Vec::with_capacity(plain.len() + Self::OVERHEAD);
        text.push(FORMAT);
        text.extend_from_slice(id);
        let bound = bound(&text, context);
        text.extend_from_slice(&nonce);
        text.extend_from_slice(plain);
        let tag = aead.encrypt_inout_detached(&XNonce::from(nonce), &bound, (&mut text[HEADER + NONCE..]).into());
        let Ok(tag) = tag else { unreachable!("what fits into memory is far below the 256 GiB of one nonce") };
        text.extend_from_slice(&tag);
        Ok(text)
    }

    /// What [`encrypt`](Self::encrypt) encrypted, if it was with one of the keys, this purpose and this `context`.
    ///
    /// # Errors
    /// [`DecryptError`].
    pub fn decrypt(&self, text: &[u8], context: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let (header, rest) = text.split_first_chunk::<HEADER>().ok_or(DecryptError::Damaged)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(DecryptError::Damaged)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(DecryptError::Damaged)?;
        let [FORMAT, id @ ..] = header else { return Err(DecryptError::UnknownFormat) };
        let keys = self.keys();
        let Some(Key { aead, .. }) = keys.iter().find(|key| key.id == *id) else {
            return Err(DecryptError::UnknownKey);
        };
        let (mut plain, bound) = (text.to_vec(), bound(header, context));
        aead.decrypt_inout_detached(&XNonce::from(*nonce), &bound, (&mut plain[..]).into(), &Tag::from(*tag))
            .map_err(|_| DecryptError::Damaged)?;
        Ok(plain)
    }

    fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn derive(keys: &EncryptionKeys, purpose: &str) -> Arc<[Key]> {
    let derived = keys.iter().map(|key| {
        let aead = XChaCha20Poly1305::new((&*key.for_purpose(purpose)).into());
        Key { id: key.id(), aead }
    });
    derived.collect()
}

/// The associated data. The header has one length, so no two pairs are alike.
fn bound(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher")
            .field("purpose", &self.purpose)
            .field("keys", &self.keys().len())
            .finish_non_exhaustive()
    }
}

/// Why something cannot be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// A newer version has encrypted it, or it is no encrypted text.
    #[error("not encrypted in a format that this version knows; is a newer version deployed?")]
    UnknownFormat,
    /// None of the keys has encrypted it.
    #[error("encrypted with a key that is not among the keys; was it dropped too early, or not deployed everywhere?")]
    UnknownKey,
    /// It was changed, cut, or moved here from elsewhere.
    #[error("changed after it was encrypted, or encrypted for another session or purpose")]
    Damaged,
}
