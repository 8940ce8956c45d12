//! Encryption of what others keep: the keys, the cipher, and the store that encrypts values.

mod cipher;
mod encrypted;
mod key;

pub use cipher::{Cipher, DecryptError};
pub use encrypted::{EncryptedStore, PlainValues};
pub use key::{EncryptionKey, EncryptionKeyError, EncryptionKeys};
