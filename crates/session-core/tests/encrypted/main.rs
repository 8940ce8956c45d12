//! Values that no backend sees.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod keys;
mod manager;
mod store;

use session_core::OsEntropy;
use session_core::store::{EncryptionKey, EncryptionKeys};

fn key() -> EncryptionKey {
    EncryptionKey::generate(&OsEntropy).unwrap()
}

fn copy(key: &EncryptionKey) -> EncryptionKey {
    EncryptionKey::from_base64(&key.to_base64()).unwrap()
}

/// The first encrypts.
fn ring(keys: &[&EncryptionKey]) -> EncryptionKeys {
    let (first, others) = keys.split_first().unwrap();
    others.iter().fold(EncryptionKeys::new(copy(first)), |ring, key| ring.decrypting(copy(key)).unwrap())
}
