//! The keys of an issuer, and when each is used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use session_core::{Entropy, Timestamp};

use crate::algorithm::Algorithm;
use crate::header::Type;
use crate::jwk::Jwks;
use crate::key::{KeyError, SigningKey};
use crate::verifying_keys::VerifyingKeys;

/// The most keys in a ring or a set. A JWKS is fetched from elsewhere.
pub(crate) const MAX_KEYS: usize = 100;

/// How long a key is in each state.
///
/// ```
/// use std::time::Duration;
/// use session_jwt::Rotation;
///
/// let weekly = Rotation { sign_for: Duration::from_secs(7 * 24 * 3600), ..Rotation::default() };
/// assert_eq!(weekly.publish_ahead, Duration::from_secs(24 * 3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How long a key is published before it signs. At least as long as anybody caches the JWKS document, and as servers
    /// take to load a stored ring. Default: 1 day.
    pub publish_ahead: Duration,
    /// How long a key signs. Default: 30 days.
    pub sign_for: Duration,
    /// How long a key still verifies after it has ceased to sign: at least the lifetime of a token and the leeway, which
    /// [`AccessTokens`](crate::AccessTokens) checks. Default: 1 hour.
    pub verify_for: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            publish_ahead: Duration::from_secs(DAY),
            sign_for: Duration::from_secs(30 * DAY),
            verify_for: Duration::from_secs(3600),
        }
    }
}

impl Rotation {
    pub(crate) fn check(self) -> Result<Self, KeyError> {
        const TEN_YEARS: Duration = Duration::from_secs(3653 * 24 * 3600);
        let times = [self.publish_ahead, self.sign_for, self.verify_for];
        let in_range = times.iter().all(|time| *time >= Duration::from_millis(1) && *time <= TEN_YEARS);
        if in_range && self.publish_ahead < self.sign_for { Ok(self) } else { Err(KeyError::Rotation) }
    }
}

/// What a key of a ring is used for at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In the JWKS document, and verifies, so that everybody knows it when it begins to sign.
    Published,
    /// Signs new tokens.
    Signing,
    /// Signs no more; verifies until the last token it signed has expired.
    Verifying,
    /// Does nothing; the next rotation removes it.
    Expired,
}

/// One key of a ring, as [`KeyRing::keys`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The keys of an issuer: one that signs, perhaps one that will, and those whose tokens still live.
///
/// A value: every change gives a new ring, and which key signs follows from the ring and the time alone. So all servers
/// that have loaded the same stored ring ([`to_json`](Self::to_json)) change keys at the same moment. Call
/// [`rotate`](Self::rotate) on one of them from time to time, store what it returns, and have the others load it within
/// [`Rotation::publish_ahead`].
///
/// A ring holds either HMAC keys or keys with public halves. Clones share the keys.
///
/// ```
/// use std::time::Duration;
/// use session_core::{OsEntropy, Timestamp};
/// use session_jwt::{Algorithm, KeyRing, KeyState, Rotation};
///
/// let start = Timestamp::from_millis(1_767_225_600_000);
/// let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), start, &OsEntropy)?;
/// assert!(ring.rotate(start, &OsEntropy)?.is_none()); // nothing is due
///
/// let later = start + Duration::from_secs(29 * 24 * 3600);
/// let ring = ring.rotate(later, &OsEntropy)?.expect("a next key is due");
/// let states: Vec<KeyState> = ring.keys(later).map(|key| key.state).collect();
/// assert_eq!(states, [KeyState::Signing, KeyState::Published]);
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    pub(crate) rotation: Rotation,
    /// In the order in which they sign; never empty. Windows of signing do not overlap, and the last one has no end.
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) kid: Arc<str>,
    pub(crate) signs_from: Timestamp,
    /// From then on it does not sign; [`Timestamp::MAX`] while it has no successor.
    pub(crate) signs_until: Timestamp,
}

impl Entry {
    pub(crate) fn new(key: SigningKey, signs_from: Timestamp, signs_until: Timestamp) -> Self {
        Self { kid: key.kid().into(), key: Arc::new(key), signs_from, signs_until }
    }
}

impl KeyRing {
    /// A ring with one new key, which signs at once.
    ///
    /// # Errors
    /// [`KeyError::Rotation`]; [`KeyError::Entropy`] if the generator failed.
    pub fn generate(
        algorithm: Algorithm,
        rotation: Rotation,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyError> {
        Self::with_key(SigningKey::generate(algorithm, entropy)?, rotation, now)
    }

    /// A ring with a key that exists already, which signs at once.
    ///
    /// # Errors
    /// [`KeyError::Rotation`].
    pub fn with_key(key: impl Into<SigningKey>, rotation: Rotation, now: Timestamp) -> Result<Self, KeyError> {
        Ok(Self { rotation: rotation.check()?, entries: vec![Entry::new(key.into(), now, Timestamp::MAX)] })
    }

    /// What is due at `now`: a next key is published [`Rotation::publish_ahead`] before it signs, and keys whose tokens
    /// have all expired are removed. `None` if nothing is due. Nothing else depends on when, or whether, it is called: a
    /// key without a successor goes on signing, and one that is not removed verifies nothing after its time.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed.
    pub fn rotate(&self, now: Timestamp, entropy: &dyn Entropy) -> Result<Option<Self>, KeyError> {
        let mut ring = self.clone();
        ring.entries.retain(|entry| self.state(entry, now) != KeyState::Expired);
        let removed = ring.entries.len() < self.entries.len();
        let newest = self.newest();
        let planned = newest.signs_from + self.rotation.sign_for;
        if now >= planned - self.rotation.publish_ahead {
            ring.append(SigningKey::generate(newest.key.algorithm(), entropy)?, planned, now);
            return Ok(Some(ring));
        }
        Ok(removed.then_some(ring))
    }

    /// Publishes `key` as the next one; it signs after [`Rotation::publish_ahead`]. To bring in a key that was made
    /// elsewhere, or to change between EdDSA and ES256.
    ///
    /// # Errors
    /// [`KeyError::NextExists`] if a next key is published already, [`KeyError::DuplicateKid`] if the ring has it,
    /// [`KeyError::Mixed`] for HMAC keys among others.
    pub fn publish(&self, key: impl Into<SigningKey>, now: Timestamp) -> Result<Self, KeyError> {
        let (key, mut ring) = (key.into(), self.clone());
        let kid = key.kid();
        if self.newest().signs_from > now {
            return Err(KeyError::NextExists);
        }
        if self.entries.iter().any(|entry| *entry.kid == *kid) {
            return Err(KeyError::DuplicateKid);
        }
        if key.algorithm().is_symmetric() != self.is_symmetric() {
            return Err(KeyError::Mixed);
        }
        ring.append(key, now, now);
        Ok(ring)
    }

    /// Removes a key at once: every token it signed is refused from now on. For a key that somebody else may have. If it
    /// was the one that signs, the next one signs now, or a new one is made; verifiers elsewhere refuse its tokens until
    /// they read the JWKS document again.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] if there is no such key; [`KeyError::Entropy`] if a new key is needed and the generator
    /// failed.
    pub fn retire(&self, kid: &str, now: Timestamp, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let mut ring = self.clone();
        ring.entries.retain(|entry| *entry.kid != *kid);
        if ring.entries.len() == self.entries.len() {
            return Err(KeyError::Unknown);
        }
        let signs = ring.entries.iter().any(|entry| self.state(entry, now) == KeyState::Signing);
        match ring.entries.last_mut() {
            // It signs, or will: it has no successor any more. What ceased to sign never signs again.
            Some(last) if now < last.signs_until => {
                last.signs_until = Timestamp::MAX;
                if !signs {
                    last.signs_from = now;
                }
            }
            Some(_) | None => {
                let key = SigningKey::generate(self.newest().key.algorithm(), entropy)?;
                ring.entries.push(Entry::new(key, now, Timestamp::MAX));
            }
        }
        Ok(ring)
    }

    /// The keys, in the order in which they sign.
    pub fn keys(&self, now: Timestamp) -> impl Iterator<Item = KeyInfo> {
        self.entries.iter().map(move |entry| KeyInfo {
            kid: entry.kid.to_string(),
            algorithm: entry.key.algorithm(),
            state: self.state(entry, now),
            signs_from: entry.signs_from,
        })
    }

    /// The document of the public keys that verify at `now`, in the order in which they sign. Empty for HMAC keys.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Jwks {
        let live = self.entries.iter().filter(|entry| self.state(entry, now) != KeyState::Expired);
        Jwks::new(live.filter_map(|entry| entry.key.public()).collect())
    }

    /// What verifies the tokens of this ring. Each key knows until when.
    #[must_use]
    pub fn verifying_keys(&self) -> VerifyingKeys {
        VerifyingKeys::of_ring(self, Type::Access)
    }

    /// The times of rotation.
    #[must_use]
    pub fn rotation(&self) -> Rotation {
        self.rotation
    }

    /// Which entry signs at `now`: the first that has not ceased to. On a server whose clock is behind, that may be one
    /// that begins in a moment.
    pub(crate) fn signing(&self, now: Timestamp) -> usize {
        let ceased = self.entries.iter().take_while(|entry| now >= entry.signs_until).count();
        ceased.min(self.entries.len() - 1)
    }

    /// From when on tokens of this key are refused. A token that is signed until `signs_until` has expired by then.
    pub(crate) fn verifies_until(&self, entry: &Entry) -> Timestamp {
        entry.signs_until + self.rotation.verify_for
    }

    pub(crate) fn is_symmetric(&self) -> bool {
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

    /// Adds the key that signs after the newest, from `planned`, but never before it was published long enough.
    fn append(&mut self, key: SigningKey, planned: Timestamp, now: Timestamp) {
        let signs_from = planned.max(now + self.rotation.publish_ahead);
        if let Some(last) = self.entries.last_mut() {
            last.signs_until = signs_from;
        }
        self.entries.push(Entry::new(key, signs_from, Timestamp::MAX));
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids = self.entries.iter().map(|entry| &entry.kid);
        f.debug_struct("KeyRing").field("rotation", &self.rotation).field("kids", &kids.collect::<Vec<_>>()).finish()
    }
}
