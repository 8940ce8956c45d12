//! The stored form of a [`KeyRing`].

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_core::Timestamp;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::external::ExternalSigner;
use super::jwk::Jwk;
use super::jwks::MAX_KEYS;
use super::ring::{Entry, KeyRing};
use super::rotation::Rotation;
use super::signing_key::SigningKey;
use super::verifying_key::PublicKey;
use crate::algorithm::AlgorithmNames;
use crate::encoding;

/// The only format so far; any other is an error.
const FORMAT: u32 = 1;

/// More than the JSON of the longest key, an HMAC key of 1024 bytes.
const KEY_CAPACITY: usize = 2048;

/// Times are milliseconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    publish_ahead: u64,
    sign_for: u64,
    verify_for: u64,
    /// Not written where it is the default, as releases before it did not.
    #[serde(default, skip_serializing_if = "is_established")]
    algorithm_names: StoredNames,
    keys: Vec<StoredKey>,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredNames {
    #[default]
    Established,
    FullySpecified,
}

fn is_held_here(external: &bool) -> bool {
    !external
}

fn is_established(names: &StoredNames) -> bool {
    *names == StoredNames::Established
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    signs_from: i64,
    /// `None` while the key has no successor.
    signs_until: Option<i64>,
    /// Whether an external signer holds the key; `jwk` is the public one then.
    #[serde(default, skip_serializing_if = "is_held_here")]
    external: bool,
    jwk: Jwk,
}

impl KeyRing {
    /// The ring as JSON, including its secrets: for a file that only the server can read (mode 0600), or a secret store. Of a
    /// key that an external signer holds, it has the public half.
    ///
    /// ```
    /// use session_core::{OsEntropy, Timestamp};
    /// use session_jwt::{Algorithm, KeyRing, Rotation};
    ///
    /// let now = Timestamp::from_millis(1_767_225_600_000);
    /// let ring = KeyRing::generate(Algorithm::Hs256, Rotation::default(), now, &OsEntropy)?;
    /// let again = KeyRing::from_json(&ring.to_json())?;
    /// assert!(again.keys(now).eq(ring.keys(now)));
    /// # Ok::<_, session_jwt::KeyError>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let stored = Stored {
            format: FORMAT,
            publish_ahead: millis(self.rotation.publish_ahead()),
            sign_for: millis(self.rotation.sign_for()),
            verify_for: millis(self.rotation.verify_for()),
            algorithm_names: match self.names {
                AlgorithmNames::Established => StoredNames::Established,
                AlgorithmNames::FullySpecified => StoredNames::FullySpecified,
            },
            keys: self.entries.iter().map(StoredKey::of).collect(),
        };
        encoding::secret_json(&stored, 256 + KEY_CAPACITY * self.entries.len())
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`KeyError::Format`] for anything else, or if the times of the keys contradict each other; [`KeyError::Rotation`],
    /// [`KeyError::Count`], [`KeyError::Mixed`], [`KeyError::DuplicateKid`]; [`KeyError::External`] if it has a key of an
    /// external signer; and the errors of [`SigningKey::from_jwk`].
    pub fn from_json(json: &str) -> Result<Self, KeyError> {
        Self::from_json_with(json, |_| None)
    }

    /// As [`from_json`](Self::from_json), with the signer for each key that an external signer holds. `signer_of` finds it by
    /// the `kid` or the thumbprint of the key. A signer is needed as long as the key is in the ring, also when it no longer
    /// signs.
    ///
    /// # Errors
    /// As `from_json`; [`KeyError::External`] if `signer_of` returns `None`; and the errors of [`PublicKey::from_jwk`].
    pub fn from_json_with(
        json: &str,
        signer_of: impl Fn(&PublicKey) -> Option<Arc<dyn ExternalSigner>>,
    ) -> Result<Self, KeyError> {
        let stored: Stored = serde_json::from_str(json).map_err(|_| KeyError::Format)?;
        if stored.format != FORMAT {
            return Err(KeyError::Format);
        }
        if stored.keys.is_empty() || stored.keys.len() > MAX_KEYS {
            return Err(KeyError::Count);
        }
        let entries: Vec<Entry> = stored.keys.iter().map(|key| key.entry(&signer_of)).collect::<Result<_, _>>()?;
        let rotation = Rotation::builder()
            .publish_ahead(Duration::from_millis(stored.publish_ahead))
            .sign_for(Duration::from_millis(stored.sign_for))
            .verify_for(Duration::from_millis(stored.verify_for));
        let names = match stored.algorithm_names {
            StoredNames::Established => AlgorithmNames::Established,
            StoredNames::FullySpecified => AlgorithmNames::FullySpecified,
        };
        let ring = Self { rotation: rotation.build()?, names, entries };
        ring.check()?;
        Ok(ring)
    }

    fn check(&self) -> Result<(), KeyError> {
        let mut start = Timestamp::from_millis(i64::MIN);
        for (index, entry) in self.entries.iter().enumerate() {
            let is_last = index + 1 == self.entries.len();
            let has_no_end = entry.signs_until == Timestamp::MAX;
            if entry.signs_from < start || entry.signs_until < entry.signs_from || has_no_end != is_last {
                return Err(KeyError::Format);
            }
            start = entry.signs_until;
            if entry.key.algorithm().is_symmetric() != self.is_symmetric() {
                return Err(KeyError::Mixed);
            }
            if self.entries[..index].iter().any(|earlier| earlier.key.kid() == entry.key.kid()) {
                return Err(KeyError::DuplicateKid);
            }
        }
        Ok(())
    }
}

impl StoredKey {
    fn of(entry: &Entry) -> Self {
        let until = entry.signs_until;
        Self {
            signs_from: entry.signs_from.as_millis(),
            signs_until: (until != Timestamp::MAX).then_some(until.as_millis()),
            external: entry.key.is_external(),
            jwk: entry.key.jwk(),
        }
    }

    fn entry(&self, signer_of: impl Fn(&PublicKey) -> Option<Arc<dyn ExternalSigner>>) -> Result<Entry, KeyError> {
        let until = self.signs_until.map_or(Timestamp::MAX, Timestamp::from_millis);
        let key = if self.external {
            let public = PublicKey::from_public_jwk(&self.jwk)?;
            let signer = signer_of(&public).ok_or(KeyError::External)?;
            SigningKey::external(&public, signer)
        } else {
            SigningKey::from_parsed(&self.jwk)?
        };
        Ok(Entry::new(key, Timestamp::from_millis(self.signs_from), until))
    }
}

/// No time of a [`Rotation`] exceeds ten years.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
