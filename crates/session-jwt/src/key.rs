//! Private keys, one type for each algorithm.

use std::fmt;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use session_core::{Entropy, EntropyError};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::encoding;
use crate::jwk::{Jwk, SecretText};
use crate::public::PublicKey;
use crate::secret;

/// A key, or a set of keys, was refused. It never says anything about the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An HMAC key with less than 32 bytes, also an empty one.
    #[error("an HMAC key has at least {} random bytes", secret::MIN_LEN)]
    TooShort,
    /// An HMAC key with more than 1024 bytes.
    #[error("an HMAC key has at most 1024 bytes")]
    TooLong,
    /// An HMAC key from the examples of a specification, the default of a product, or a pattern.
    #[error("this HMAC key is no secret: it is a published example or a pattern")]
    WellKnown,
    /// PEM, DER, SSH or JWK text, or a public key, where the bytes of an HMAC key should be.
    #[error("these bytes are a key file or a public key, not an HMAC key")]
    NotASecret,
    /// Not the PEM of a key of this kind: PKCS#8 for private keys, SubjectPublicKeyInfo for public ones.
    #[error("not a PEM of this kind of key (PKCS#8, or SubjectPublicKeyInfo)")]
    Pem,
    /// Not the JWK, or JWKS, of a key that is supported.
    #[error("not a JWK of a supported key")]
    Jwk,
    /// Not a key of its algorithm: a point that is not on the curve, or one of small order; a scalar out of range.
    #[error("not a valid key of its algorithm")]
    Invalid,
    /// The public half in a private JWK belongs to another private key.
    #[error("the public half does not belong to the private half")]
    Mismatch,
    /// A secret in a set of public keys: whoever wrote the document published it.
    #[error("a private or symmetric key in a set of public keys")]
    Private,
    /// A key of a JWKS that could sign access tokens has no `kid`, or one that is empty or longer than 128 bytes.
    #[error("a key without a usable `kid`")]
    Kid,
    /// Two keys with one `kid`.
    #[error("two keys with one `kid`")]
    DuplicateKid,
    /// HMAC keys and public-key algorithms in one ring or set.
    #[error("symmetric and asymmetric keys in one set")]
    Mixed,
    /// No usable key, or more than 100.
    #[error("a set of keys has between 1 and 100 usable ones")]
    Count,
    /// The ring has no key with this `kid`.
    #[error("no key with this `kid` in the ring")]
    Unknown,
    /// A next key is published already.
    #[error("a next key is published already")]
    NextExists,
    /// The times of a [`Rotation`](crate::Rotation) contradict each other.
    #[error("publish_ahead must be shorter than sign_for, and no time may be zero or longer than 10 years")]
    Rotation,
    /// Not a stored key ring of a format that is known.
    #[error("not a stored key ring")]
    Format,
    /// No randomness, so no key.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// A secret for HS256: at least 32 bytes. Wiped when dropped; `Debug` hides it.
///
/// There is no way to make one of a public key:
///
/// ```
/// use session_jwt::{HmacKey, KeyError};
///
/// let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
/// assert_eq!(HmacKey::from_bytes(pem.as_bytes()).unwrap_err(), KeyError::NotASecret);
/// assert_eq!(HmacKey::from_bytes(b"secret").unwrap_err(), KeyError::TooShort);
/// ```
/// ```compile_fail
/// let key: session_jwt::HmacKey = session_jwt::PublicKey::from_pem("").unwrap().into();
/// ```
pub struct HmacKey {
    bytes: Zeroizing<Vec<u8>>,
    /// With the key already absorbed.
    mac: Hmac<Sha256>,
}

impl HmacKey {
    /// 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, KeyError> {
        Self::from_bytes(&*random(entropy)?)
    }

    /// A secret that was made elsewhere, by a random generator.
    ///
    /// # Errors
    /// [`KeyError::TooShort`], [`KeyError::TooLong`], [`KeyError::WellKnown`] or [`KeyError::NotASecret`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        secret::check(bytes)?;
        // HMAC takes keys of any length; the error exists for other MACs only.
        let mac = Hmac::new_from_slice(bytes).map_err(|_| KeyError::Invalid)?;
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()), mac })
    }

    pub(crate) fn mac(&self) -> &Hmac<Sha256> {
        &self.mac
    }

    /// Derived from the key, so that servers with one secret agree on it. It says no more about the key than any
    /// token does; the text differs from anything that is signed.
    fn kid(&self) -> String {
        let mac = self.mac.clone().chain_update(b"session-jwt/kid/v1").finalize().into_bytes();
        encoding::encode(&mac[..16])
    }
}

/// A private key for EdDSA. Wiped when dropped; `Debug` hides it.
///
/// ```
/// use session_core::OsEntropy;
/// use session_jwt::Ed25519Key;
///
/// let pem = Ed25519Key::generate(&OsEntropy)?.to_pem()?;
/// let again = Ed25519Key::from_pem(&pem)?;
/// assert_eq!(again.to_pem()?, pem);
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
pub struct Ed25519Key(pub(crate) ed25519_dalek::SigningKey);

impl Ed25519Key {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, KeyError> {
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&*random(entropy)?)))
    }

    /// Reads PKCS#8 (`BEGIN PRIVATE KEY`), as OpenSSL writes it.
    ///
    /// # Errors
    /// [`KeyError::Pem`] for anything else, also for keys of other algorithms.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| KeyError::Pem)
    }

    /// Writes PKCS#8. Secret.
    ///
    /// # Errors
    /// [`KeyError::Pem`] if it cannot be encoded, which does not happen.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.0.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Pem)
    }
}

/// A private key for ES256. Wiped when dropped; `Debug` hides it.
///
/// ```
/// use session_core::OsEntropy;
/// use session_jwt::P256Key;
///
/// let pem = P256Key::generate(&OsEntropy)?.to_pem()?;
/// let again = P256Key::from_pem(&pem)?;
/// assert_eq!(again.to_pem()?, pem);
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
pub struct P256Key(pub(crate) p256::ecdsa::SigningKey);

impl P256Key {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, KeyError> {
        // One candidate of 2^32 is out of range. A generator that gives two of them is broken.
        for _ in 0..2 {
            if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&*random(entropy)?) {
                return Ok(Self(key));
            }
        }
        Err(KeyError::Entropy(EntropyError))
    }

    /// Reads PKCS#8 (`BEGIN PRIVATE KEY`). Convert the older `BEGIN EC PRIVATE KEY` with `openssl pkcs8 -topk8 -nocrypt`.
    ///
    /// # Errors
    /// [`KeyError::Pem`] for anything else, also for keys of other algorithms and curves.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| KeyError::Pem)
    }

    /// Writes PKCS#8. Secret.
    ///
    /// # Errors
    /// [`KeyError::Pem`] if it cannot be encoded, which does not happen.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.0.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Pem)
    }
}

/// A key that signs, of one of the three algorithms. `Debug` shows the algorithm only.
///
/// ```
/// use session_core::OsEntropy;
/// use session_jwt::{Algorithm, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::Es256, &OsEntropy)?;
/// let again = SigningKey::from_jwk(&key.to_jwk())?;
/// assert_eq!(again.kid(), key.kid());
/// assert_eq!(format!("{key:?}"), "SigningKey(Es256, ..)");
/// # Ok::<_, session_jwt::KeyError>(())
/// ```
pub enum SigningKey {
    /// HS256.
    Hs256(HmacKey),
    /// EdDSA.
    EdDsa(Ed25519Key),
    /// ES256.
    Es256(P256Key),
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed.
    pub fn generate(algorithm: Algorithm, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        Ok(match algorithm {
            Algorithm::Hs256 => Self::Hs256(HmacKey::generate(entropy)?),
            Algorithm::EdDsa => Self::EdDsa(Ed25519Key::generate(entropy)?),
            Algorithm::Es256 => Self::Es256(P256Key::generate(entropy)?),
        })
    }

    /// Reads a private JWK: `oct`, `OKP` with `Ed25519`, or `EC` with `P-256`. Its `kid` is not kept.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] if it is none of these, [`KeyError::Mismatch`] if its halves do not belong together, and as
    /// [`HmacKey::from_bytes`].
    pub fn from_jwk(json: &str) -> Result<Self, KeyError> {
        Self::from_parsed(&serde_json::from_str(json).map_err(|_| KeyError::Jwk)?)
    }

    pub(crate) fn from_parsed(jwk: &Jwk) -> Result<Self, KeyError> {
        if !jwk.is_for("sign") {
            return Err(KeyError::Jwk);
        }
        match jwk.kind() {
            Some(Algorithm::Hs256) => {
                let secret = jwk.k.as_ref().and_then(|k| encoding::decode(k.0.as_bytes())).ok_or(KeyError::Jwk)?;
                HmacKey::from_bytes(&Zeroizing::new(secret)).map(Self::Hs256)
            }
            Some(Algorithm::EdDsa) => {
                let public = PublicKey::from_parsed(jwk)?;
                let key = Ed25519Key(ed25519_dalek::SigningKey::from_bytes(&*jwk.private()?));
                Self::EdDsa(key).belongs_to(&public)
            }
            Some(Algorithm::Es256) => {
                let public = PublicKey::from_parsed(jwk)?;
                let key = p256::ecdsa::SigningKey::from_slice(&*jwk.private()?).map_err(|_| KeyError::Invalid)?;
                Self::Es256(P256Key(key)).belongs_to(&public)
            }
            None => Err(KeyError::Jwk),
        }
    }

    fn belongs_to(self, public: &PublicKey) -> Result<Self, KeyError> {
        if self.kid() == public.thumbprint() { Ok(self) } else { Err(KeyError::Mismatch) }
    }

    /// Writes the private JWK. Secret.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        encode_json(&self.jwk(), 512)
    }

    pub(crate) fn jwk(&self) -> Jwk {
        let private = |bytes: &[u8]| SecretText(Zeroizing::new(encoding::encode(bytes)));
        match self {
            Self::Hs256(key) => Jwk::secret(private(&key.bytes), self.kid()),
            Self::EdDsa(key) => PublicKey::ed25519(key.0.verifying_key()).jwk().with_private(private(key.0.as_bytes())),
            Self::Es256(key) => {
                let scalar = Zeroizing::new(key.0.to_bytes());
                PublicKey::p256(*key.0.verifying_key()).jwk().with_private(private(&scalar))
            }
        }
    }

    /// The algorithm of this key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hs256(_) => Algorithm::Hs256,
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    /// The public half; an HMAC key has none.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Hs256(_) => None,
            Self::EdDsa(key) => Some(PublicKey::ed25519(key.0.verifying_key())),
            Self::Es256(key) => Some(PublicKey::p256(*key.0.verifying_key())),
        }
    }

    /// The name of the key: the thumbprint of the public half (RFC 7638), or for an HMAC key, something as unique that
    /// does not help to find it.
    #[must_use]
    pub fn kid(&self) -> String {
        match self {
            Self::Hs256(key) => key.kid(),
            Self::EdDsa(key) => PublicKey::ed25519(key.0.verifying_key()).thumbprint(),
            Self::Es256(key) => PublicKey::p256(*key.0.verifying_key()).thumbprint(),
        }
    }

    /// Appends a dot and the signature of all that `token` holds. `None` if the library failed to sign.
    pub(crate) fn sign(&self, token: &mut String) -> Option<()> {
        let message = token.as_bytes();
        match self {
            Self::Hs256(key) => append(token, &key.mac.clone().chain_update(message).finalize().into_bytes()),
            Self::EdDsa(key) => append(token, &key.0.try_sign(message).ok()?.to_bytes()),
            Self::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.0.try_sign(message).ok()?;
                append(token, &signature.to_bytes());
            }
        }
        Some(())
    }
}

fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    encoding::encode_to(signature, token);
}

/// `value` as JSON. The text is secret, so its buffer is never moved: `capacity` is more than it needs.
pub(crate) fn encode_json(value: &impl serde::Serialize, capacity: usize) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    match serde_json::to_writer(&mut *bytes, value).map(|()| String::from_utf8(std::mem::take(&mut *bytes))) {
        Ok(Ok(text)) => Zeroizing::new(text),
        Ok(Err(_)) | Err(_) => unreachable!("structs of strings and numbers are JSON"),
    }
}

fn random(entropy: &dyn Entropy) -> Result<Zeroizing<[u8; 32]>, EntropyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(&mut *bytes)?;
    Ok(bytes)
}

impl From<HmacKey> for SigningKey {
    fn from(key: HmacKey) -> Self {
        Self::Hs256(key)
    }
}

impl From<Ed25519Key> for SigningKey {
    fn from(key: Ed25519Key) -> Self {
        Self::EdDsa(key)
    }
}

impl From<P256Key> for SigningKey {
    fn from(key: P256Key) -> Self {
        Self::Es256(key)
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519Key(..)")
    }
}

impl fmt::Debug for P256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P256Key(..)")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, ..)", self.algorithm())
    }
}
