//! [`KeyRing`]: the keys of an issuer, and which of them is used when.

use std::fmt;
use std::sync::Arc;

use session_core::{Entropy, Timestamp};

use super::error::KeyError;
use super::jwks::Jwks;
use super::rotation::Rotation;
use super::signing_key::SigningKey;
use crate::algorithm::{Algorithm, AlgorithmNames};

/// What a key of a ring is used for at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Verifies and is in the JWKS document, so that every verifier has it by the time it signs.
    Published,
    /// Signs new tokens.
    Signing,
    /// No longer signs; verifies until the last token that it signed has expired.
    Verifying,
    /// No longer used; the next rotation removes it.
    Expired,
}

/// One key of a ring, as listed by [`KeyRing::keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its name.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// What it is used for.
    pub state: KeyState,
    /// From when it signs.
    pub signs_from: Timestamp,
}

/// The keys of an issuer: the one that signs, possibly its successor, and those whose tokens have not expired yet.
///
/// An immutable value: every change returns a new ring, and the ring and the time alone determine which key signs. All
/// servers that have loaded the same stored ring ([`to_json`](Self::to_json)) therefore switch keys at the same moment. Call
/// [`rotate`](Self::rotate) on one of them periodically, store what it returns, and let the others load it within
/// [`Rotation::publish_ahead`].
///
/// A ring has either symmetric or asymmetric keys, never both. Clones share the keys.
///
/// ```
/// use std::time::Duration;
/// use session_core::{OsEntropy, Timestamp};
/// use session_jwt::{Algorithm, KeyRing, KeyState, Rotation};
///
/// let start = Timestamp::from_millis(1_767_225_600_000);
/// let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), start, &OsEntropy)?;
/// assert!(ring.rotate(start, &OsEntropy)?.is_none()); // not due yet
///
/// let later = start + Duration::from_secs(29 * 24 * 3600);
/// let ring = ring.rotate(later, &OsEntropy)?.expect("a next key is due");
/// let states: Vec<KeyState> = ring.keys(later).map(|key| key.state).collect();
/// assert_eq!(states, [KeyState::Signing, KeyState::Published]);
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    pub(super) rotation: Rotation,
    pub(super) names: AlgorithmNames,
    /// In the order in which they sign; never empty. The periods of signing do not overlap, and the last one has no end.
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: Arc<SigningKey>,
    pub(super) signs_from: Timestamp,
    /// From then on it does not sign; [`Timestamp::MAX`] while it has no successor.
    pub(super) signs_until: Timestamp,
}

impl Entry {
    pub(super) fn new(key: SigningKey, signs_from: Timestamp, signs_until: Timestamp) -> Self {
        Self { key: Arc::new(key), signs_from, signs_until }
    }
}

impl KeyRing {
    /// A ring with one new key, which signs immediately.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed.
    pub fn generate(
        algorithm: Algorithm,
        rotation: Rotation,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyError> {
        Ok(Self::with_key(SigningKey::generate(algorithm, entropy)?, rotation, now))
    }

    /// A ring with an existing key, which signs immediately.
    #[must_use]
    pub fn with_key(key: SigningKey, rotation: Rotation, now: Timestamp) -> Self {
        let names = AlgorithmNames::default();
        Self { rotation, names, entries: vec![Entry::new(key, now, Timestamp::MAX)] }
    }

    /// Does what is due at `now`: publishes the next key [`Rotation::publish_ahead`] before it signs, and removes keys whose
    /// tokens have all expired. `None` if nothing is due. Late or missing calls are safe: a key without a successor
    /// continues to sign, and an expired key verifies nothing even before it is removed. A key of an external signer has no
    /// successor until one is [published](Self::publish).
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed.
    pub fn rotate(&self, now: Timestamp, entropy: &dyn Entropy) -> Result<Option<Self>, KeyError> {
        let mut ring = self.clone();
        ring.entries.retain(|entry| self.state(entry, now) != KeyState::Expired);
        let removed = ring.entries.len() < self.entries.len();
        let newest = self.newest();
        let planned = newest.signs_from + self.rotation.sign_for();
        if now >= planned - self.rotation.publish_ahead() && !newest.key.is_external() {
            ring.append(SigningKey::generate(newest.key.algorithm(), entropy)?, planned, now);
            return Ok(Some(ring));
        }
        Ok(removed.then_some(ring))
    }

    /// Publishes `key` as the next one; it signs after [`Rotation::publish_ahead`]. For a key from elsewhere, to switch
    /// between EdDSA and ES256, or between keys that are held here and those of an external signer.
    ///
    /// # Errors
    /// [`KeyError::NextExists`] if the next key is already published, [`KeyError::DuplicateKid`] if the ring already has
    /// this key, [`KeyError::Mixed`] if one is symmetric and the other is not.
    pub fn publish(&self, key: SigningKey, now: Timestamp) -> Result<Self, KeyError> {
        if self.newest().signs_from > now {
            return Err(KeyError::NextExists);
        }
        if self.entries.iter().any(|entry| entry.key.kid() == key.kid()) {
            return Err(KeyError::DuplicateKid);
        }
        if key.algorithm().is_symmetric() != self.is_symmetric() {
            return Err(KeyError::Mixed);
        }
        let mut ring = self.clone();
        ring.append(key, now, now);
        Ok(ring)
    }

    /// Removes a key immediately: every token that it signed is refused from now on. For a key that may have been stolen. If
    /// it was the signing key, the next one signs now, or a new one is generated; remote verifiers reject its tokens until
    /// they reload the JWKS document.
    ///
    /// ```
    /// use session_core::{OsEntropy, Timestamp};
    /// use session_jwt::{Algorithm, KeyRing, KeyState, Rotation};
    ///
    /// let now = Timestamp::from_millis(1_767_225_600_000);
    /// let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy)?;
    /// let stolen = ring.keys(now).next().expect("one key");
    /// let ring = ring.retire(&stolen.kid, now, &OsEntropy)?;
    /// let key = ring.keys(now).next().expect("another key");
    /// assert_eq!(key.state, KeyState::Signing);
    /// assert_ne!(key.kid, stolen.kid);
    /// # Ok::<_, session_jwt::KeyError>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError::Unknown`] if there is no such key; [`KeyError::Entropy`] if a new key is needed and the generator
    /// failed; [`KeyError::External`] if a new key is needed and this one is that of an external signer:
    /// [`publish`](Self::publish) its successor first.
    pub fn retire(&self, kid: &str, now: Timestamp, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let mut ring = self.clone();
        ring.entries.retain(|entry| entry.key.kid() != kid);
        if ring.entries.len() == self.entries.len() {
            return Err(KeyError::Unknown);
        }
        let signs = ring.entries.iter().any(|entry| self.state(entry, now) == KeyState::Signing);
        match ring.entries.last_mut() {
            // It signs, or will: it has lost its successor. A key that has stopped signing never signs again.
            Some(last) if now < last.signs_until => {
                last.signs_until = Timestamp::MAX;
                if !signs {
                    last.signs_from = now;
                }
            }
            Some(_) | None => {
                let newest = &self.newest().key;
                if newest.is_external() {
                    return Err(KeyError::External);
                }
                let key = SigningKey::generate(newest.algorithm(), entropy)?;
                ring.entries.push(Entry::new(key, now, Timestamp::MAX));
            }
        }
        Ok(ring)
    }

    /// The keys, in the order in which they sign.
    pub fn keys(&self, now: Timestamp) -> impl Iterator<Item = KeyInfo> {
        self.entries.iter().map(move |entry| KeyInfo {
            kid: entry.key.kid().to_owned(),
            algorithm: entry.key.algorithm(),
            state: self.state(entry, now),
            signs_from: entry.signs_from,
        })
    }

    /// The document of the public keys that verify at `now`, in the order in which they sign. Empty for symmetric keys.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Jwks {
        let live = self.entries.iter().filter(|entry| self.state(entry, now) != KeyState::Expired);
        Jwks::new(live.filter_map(|entry| entry.key.public()).collect(), self.names)
    }

    /// The same ring, which spells `alg` differently in tokens and in the JWKS document. It is stored with the ring. Tokens
    /// with the other spelling stay valid; servers of a release that does not know the spelling refuse the stored ring.
    ///
    /// ```
    /// use session_core::{OsEntropy, Timestamp};
    /// use session_jwt::{Algorithm, AlgorithmNames, KeyRing, Rotation};
    ///
    /// let now = Timestamp::from_millis(1_767_225_600_000);
    /// let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy)?;
    /// assert!(ring.jwks(now).to_json().contains(r#""alg":"EdDSA""#));
    /// let ring = ring.with_algorithm_names(AlgorithmNames::FullySpecified);
    /// assert!(ring.jwks(now).to_json().contains(r#""alg":"Ed25519""#));
    /// # Ok::<_, session_jwt::KeyError>(())
    /// ```
    #[must_use]
    pub fn with_algorithm_names(self, names: AlgorithmNames) -> Self {
        Self { names, ..self }
    }

    /// How `alg` is spelled.
    #[must_use]
    pub fn algorithm_names(&self) -> AlgorithmNames {
        self.names
    }

    /// The times of rotation.
    #[must_use]
    pub fn rotation(&self) -> Rotation {
        self.rotation
    }

    /// Whether a key of the ring is elsewhere.
    pub(crate) fn has_external(&self) -> bool {
        self.entries.iter().any(|entry| entry.key.is_external())
    }

    /// The index of the key that signs at `now`: the first that has not stopped. On a server whose clock is behind, that may
    /// be a key that is about to start.
    pub(crate) fn signing(&self, now: Timestamp) -> usize {
        let stopped = self.entries.iter().take_while(|entry| now >= entry.signs_until).count();
        stopped.min(self.entries.len() - 1)
    }

    /// From then on, tokens of this key are refused. The last token that it signed has expired by then.
    pub(crate) fn verifies_until(&self, entry: &Entry) -> Timestamp {
        entry.signs_until + self.rotation.verify_for()
    }

    pub(super) fn is_symmetric(&self) -> bool {
        self.newest().key.algorithm().is_symmetric()
    }

    fn state(&self, entry: &Entry, now: Timestamp) -> KeyState {
        if now >= self.verifies_until(entry) {
            KeyState::Expired
        } else if now >= entry.signs_until {
            KeyState::Verifying
        } else if now >= entry.signs_from {
            KeyState::Signing
        } else {
            KeyState::Published
        }
    }

    fn newest(&self) -> &Entry {
        let Some(newest) = self.entries.last() else { unreachable!("a ring is never empty") };
        newest
    }

    /// Adds the successor of the newest key. It signs from `planned` on, but not before it has been published long enough.
    fn append(&mut self, key: SigningKey, planned: Timestamp, now: Timestamp) {
        let signs_from = planned.max(now + self.rotation.publish_ahead());
        if let Some(last) = self.entries.last_mut() {
            last.signs_until = signs_from;
        }
        self.entries.push(Entry::new(key, signs_from, Timestamp::MAX));
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids = self.entries.iter().map(|entry| entry.key.kid());
        f.debug_struct("KeyRing").field("rotation", &self.rotation).field("kids", &kids.collect::<Vec<_>>()).finish()
    }
}
