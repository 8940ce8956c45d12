//! [`Signer`]: the one signing sequence, and the keys that are in use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use session_core::Timestamp;

use super::error::VerifyError;
use super::gate::Gate;
use super::header::{self, TokenType};
use super::verifying_keys::VerifyingKeys;
use crate::encoding;
use crate::keys::error::KeyError;
use crate::keys::external::SigningError;
use crate::keys::ring::KeyRing;
use crate::keys::signing_key::SigningKey;

/// Signs and opens tokens of one type with the ring in use, which can be replaced at any time. Never blocks.
pub(crate) struct Signer {
    typ: TokenType,
    /// How long what is signed may be used: each key must verify at least that long.
    validity: Duration,
    keys: ArcSwap<Keys>,
}

/// A ring and what follows from it: computed once per ring, not once per token.
struct Keys {
    ring: KeyRing,
    verifying: VerifyingKeys,
    /// For each key of the ring, its header segment and a dot.
    headers: Vec<String>,
}

impl Signer {
    pub(crate) fn new(typ: TokenType, ring: KeyRing, validity: Duration) -> Result<Self, KeyError> {
        Ok(Self { typ, validity, keys: ArcSwap::from_pointee(Keys::new(typ, ring, validity)?) })
    }

    /// Replaces the ring. Running calls finish with the previous one.
    pub(crate) fn set_ring(&self, ring: KeyRing) -> Result<(), KeyError> {
        self.keys.store(Keys::new(self.typ, ring, self.validity)?.into());
        Ok(())
    }

    pub(crate) fn ring(&self) -> KeyRing {
        self.keys.load().ring.clone()
    }

    /// A token with this payload, signed by the key of `now`. Complete at once, unless an external signer holds the key.
    pub(crate) async fn sign(&self, payload: &[u8], now: Timestamp) -> Result<String, SigningError> {
        let (mut token, key) = self.unsigned(payload, now);
        key.sign(&mut token).await?;
        Ok(token)
    }

    /// The same, at once. `None` if the library failed to sign. Rings for sessions have no external key.
    pub(crate) fn sign_now(&self, payload: &[u8], now: Timestamp) -> Option<String> {
        let (mut token, key) = self.unsigned(payload, now);
        key.sign_now(&mut token)?;
        Some(token)
    }

    /// What is signed, and the key of `now`.
    fn unsigned(&self, payload: &[u8], now: Timestamp) -> (String, Arc<SigningKey>) {
        let keys = self.keys.load();
        let index = keys.ring.signing(now);
        // The signed text is secret: its buffer is never reallocated.
        let mut token = String::with_capacity(keys.signed_len(index, payload.len()));
        token.push_str(&keys.headers[index]);
        encoding::encode_to(payload, &mut token);
        (token, Arc::clone(&keys.ring.entries[index].key))
    }

    /// The payload of a token that [`sign`](Self::sign) made.
    pub(crate) fn open(&self, token: &[u8], now: Timestamp) -> Result<Vec<u8>, VerifyError> {
        Gate::Exact.open(token, &self.keys.load().verifying, now)
    }

    /// The length of a token with a payload of this length, whichever key signs it.
    pub(crate) fn max_signed_len(&self, payload_len: usize) -> usize {
        let keys = self.keys.load();
        (0..keys.headers.len()).map(|index| keys.signed_len(index, payload_len)).max().unwrap_or_default()
    }
}

impl Keys {
    fn new(typ: TokenType, ring: KeyRing, validity: Duration) -> Result<Self, KeyError> {
        if ring.rotation().verify_for() < validity {
            return Err(KeyError::VerifyFor);
        }
        // They are signed between two requests to a store, with nothing to wait for.
        if typ != TokenType::Access && ring.has_external() {
            return Err(KeyError::External);
        }
        let names = ring.algorithm_names();
        let keys = ring.entries.iter().map(|entry| &entry.key);
        let headers = keys.map(|key| header::segment(typ, key.algorithm().spelled(names), key.kid()) + ".").collect();
        Ok(Self { verifying: VerifyingKeys::of_ring(&ring, typ), headers, ring })
    }

    fn signed_len(&self, index: usize, payload_len: usize) -> usize {
        let signature_len = encoding::encoded_len(self.ring.entries[index].key.verifying().signature_len());
        self.headers[index].len() + encoding::encoded_len(payload_len) + ".".len() + signature_len
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.load().ring.fmt(f)
    }
}
