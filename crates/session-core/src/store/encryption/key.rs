//! [`EncryptionKey`] and [`EncryptionKeys`]: what encrypts, and what only decrypts.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError};

/// A key for values of sessions: 32 bytes from a random generator. Wiped when dropped; `Debug` hides it.
///
/// It never encrypts anything itself: each [purpose](crate::store::Cipher::new) has a key of its own that is derived from it, so
/// the same key can be used for a store and for client-side sessions.
///
/// ```
/// use session_core::OsEntropy;
/// use session_core::store::EncryptionKey;
///
/// // Once; keep the text where only the servers can read it.
/// let text = EncryptionKey::generate(&OsEntropy)?.to_base64();
/// // On each server.
/// let key = EncryptionKey::from_base64(&text)?;
/// # assert_eq!(key.to_base64(), text);
/// # Ok::<_, session_core::store::EncryptionKeyError>(())
/// ```
// On the heap: what is moved leaves no copy behind.
pub struct EncryptionKey(Zeroizing<Vec<u8>>);

/// Of 32 random bytes, and of the 31 steps between them, about 30 are distinct; fewer than this are a pattern.
const MIN_DISTINCT: usize = 10;

impl EncryptionKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A new key.
    ///
    /// # Errors
    /// [`EncryptionKeyError::Entropy`] if the generator failed, [`EncryptionKeyError::Pattern`] if it does not seem to be
    /// one.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EncryptionKeyError> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        entropy.fill(&mut *bytes)?;
        Self::from_bytes(&*bytes)
    }

    /// The key with these bytes, which came from a random generator. A password is no key.
    ///
    /// # Errors
    /// [`EncryptionKeyError::Length`], or [`EncryptionKeyError::Pattern`] for what no generator makes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EncryptionKeyError> {
        if bytes.len() != Self::LEN {
            return Err(EncryptionKeyError::Length);
        }
        let steps = bytes.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        let is_text = bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        if is_text || distinct(bytes.iter().copied()) < MIN_DISTINCT || distinct(steps) < MIN_DISTINCT {
            return Err(EncryptionKeyError::Pattern);
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// The key in this text: base64 of either alphabet, with or without padding, blanks around it. As `openssl rand -base64
    /// 32` prints one.
    ///
    /// # Errors
    /// [`EncryptionKeyError::Base64`], or those of [`from_bytes`](Self::from_bytes).
    pub fn from_base64(text: &str) -> Result<Self, EncryptionKeyError> {
        let text = text.trim().trim_end_matches('=').bytes();
        let text = text.map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        });
        let text = Zeroizing::new(text.collect::<Vec<u8>>());
        let bytes = URL_SAFE_NO_PAD.decode(&*text).map(Zeroizing::new).map_err(|_| EncryptionKeyError::Base64)?;
        Self::from_bytes(&bytes)
    }

    /// The key as text, to be kept where only the servers can read it: 43 characters of base64url.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        // Never reallocated: nothing is left behind.
        let mut text = Zeroizing::new(String::with_capacity(44));
        URL_SAFE_NO_PAD.encode_string(&*self.0, &mut text);
        text
    }

    /// The name of the key, which stands in front of what it encrypted. Tells nothing about the key.
    pub(super) fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = *self.derive(b"session-core/encryption/v1/id", "");
        [a, b, c, d]
    }

    /// The key for one purpose.
    pub(super) fn for_purpose(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        self.derive(b"session-core/encryption/v1/key/", purpose)
    }

    fn derive(&self, domain: &[u8], purpose: &str) -> Zeroizing<[u8; 32]> {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { unreachable!("HMAC takes keys of any length") };
        Zeroizing::new(mac.chain_update(domain).chain_update(purpose).finalize().into_bytes().into())
    }
}

fn distinct(bytes: impl Iterator<Item = u8>) -> usize {
    let mut seen = [false; 256];
    bytes.for_each(|byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|seen| **seen).count()
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(..)")
    }
}

/// The keys in use: the first encrypts, all decrypt. What is encrypted names its key.
///
/// # Rotation
/// 1. Add the new key [behind](Self::decrypting) the present one, on every server: none may meet a key that it does not
///    know.
/// 2. Put it in front, and the one before behind it.
/// 3. Drop the old key when nothing can be alive that it encrypted: a session is encrypted anew by each write of its values,
///    of its token and of who is logged in, but not by a touch. In a store, that is the longest absolute timeout of the policy
///    later; in cookies, which each request within the idle timeout renews, the longest idle timeout.
///
/// A session whose key was dropped too early is unreadable, not lost: bring the key back, and it is readable again.
///
/// ```
/// use session_core::OsEntropy;
/// use session_core::store::{EncryptionKey, EncryptionKeyError, EncryptionKeys};
///
/// fn rotated(new: EncryptionKey, old: EncryptionKey) -> Result<EncryptionKeys, EncryptionKeyError> {
///     EncryptionKeys::new(new).decrypting(old)
/// }
/// # let key = || EncryptionKey::generate(&OsEntropy);
/// # rotated(key()?, key()?)?;
/// # Ok::<_, EncryptionKeyError>(())
/// ```
#[must_use]
pub struct EncryptionKeys {
    keys: Vec<EncryptionKey>,
}

impl EncryptionKeys {
    /// One key, which encrypts and decrypts.
    pub fn new(key: EncryptionKey) -> Self {
        Self { keys: vec![key] }
    }

    /// Adds a key that only decrypts.
    ///
    /// # Errors
    /// [`EncryptionKeyError::Duplicate`] if it is there already.
    pub fn decrypting(mut self, key: EncryptionKey) -> Result<Self, EncryptionKeyError> {
        if self.keys.iter().any(|known| known.id() == key.id()) {
            return Err(EncryptionKeyError::Duplicate);
        }
        self.keys.push(key);
        Ok(self)
    }

    /// In the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &EncryptionKey> {
        self.keys.iter()
    }
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKeys").field("len", &self.keys.len()).finish()
    }
}

/// Why a key was refused. Reveals nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptionKeyError {
    /// Not 32 bytes.
    #[error("an encryption key has 32 bytes; draw one: openssl rand -base64 32")]
    Length,
    /// Not base64.
    #[error("the encryption key is not base64; draw one: openssl rand -base64 32")]
    Base64,
    /// A text, a repetition or a count: no random generator makes that.
    #[error("this encryption key is a text or a pattern, and no secret; draw one: openssl rand -base64 32")]
    Pattern,
    /// The key is among the keys already.
    #[error("the encryption key is among the keys already")]
    Duplicate,
    /// The random generator failed.
    #[error("no encryption key was made: the random generator failed")]
    Entropy(#[from] EntropyError),
}
