//! [`SigningKey`].

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use hmac::Mac as _;
use session_core::{Entropy, EntropyError};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::KeyError;
use super::external::{ExternalSigner, SigningError};
use super::jwk::Jwk;
use super::secret::Secret;
use super::verifying_key::{Material, PublicKey, VerifyingKey};
use crate::algorithm::Algorithm;
use crate::encoding;

/// A key that signs. Wiped on drop; `Debug` shows only its algorithm.
///
/// Each constructor yields a key of one algorithm, which never changes:
///
/// ```
/// use session_core::OsEntropy;
/// use session_jwt::{Algorithm, KeyError, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::Es256, &OsEntropy)?;
/// let again = SigningKey::from_pem(&key.to_pem()?)?;
/// assert_eq!((again.algorithm(), again.kid()), (Algorithm::Es256, key.kid()));
/// assert_eq!(format!("{key:?}"), "SigningKey(Es256, ..)");
/// # Ok::<_, KeyError>(())
/// ```
///
/// A public key never becomes an HMAC key:
///
/// ```
/// use session_jwt::{KeyError, SigningKey};
///
/// let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
/// assert_eq!(SigningKey::from_secret(pem.as_bytes()).unwrap_err(), KeyError::NotASecret);
/// assert_eq!(SigningKey::from_secret(b"secret").unwrap_err(), KeyError::TooShort);
/// ```
/// ```compile_fail
/// let key: session_jwt::SigningKey = session_jwt::PublicKey::from_pem("").unwrap().into();
/// ```
pub struct SigningKey {
    private: Private,
    /// What verifies its signatures.
    verifying: VerifyingKey,
    kid: Box<str>,
}

enum Private {
    Hs256(Secret),
    EdDsa(ed25519_dalek::SigningKey),
    Es256(p256::ecdsa::SigningKey),
    /// Elsewhere.
    External(Arc<dyn ExternalSigner>),
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] if the generator failed, [`KeyError::Rsa`] for RS256 and PS256.
    pub fn generate(algorithm: Algorithm, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::Hs256 => {
                // One candidate in sixteen may be a public key. A generator that produces so many of them is broken.
                for _ in 0..32 {
                    match Self::from_secret(&*random(entropy)?) {
                        Err(KeyError::NotASecret) => {}
                        made => return made,
                    }
                }
                Err(KeyError::Entropy(EntropyError))
            }
            Algorithm::EdDsa => Ok(Self::eddsa(ed25519_dalek::SigningKey::from_bytes(&*random(entropy)?))),
            Algorithm::Es256 => {
                // One candidate in 2^32 is out of range. A generator that produces two of them is broken.
                for _ in 0..2 {
                    if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&*random(entropy)?) {
                        return Ok(Self::es256(key));
                    }
                }
                Err(KeyError::Entropy(EntropyError))
            }
            Algorithm::Rs256 | Algorithm::Ps256 => Err(KeyError::Rsa),
        }
    }

    /// An HS256 key: 32 to 1024 bytes from a random generator.
    ///
    /// Whatever may be a public key is refused, in every usual form, and so is one in sixteen of the secrets of 32 bytes (or of
    /// 64 hexadecimal digits, or 43 characters of base64): Ed25519 keys look the same. Draw another, or a longer one.
    ///
    /// # Errors
    /// [`KeyError::TooShort`], [`KeyError::TooLong`], [`KeyError::WellKnown`] or [`KeyError::NotASecret`].
    pub fn from_secret(bytes: &[u8]) -> Result<Self, KeyError> {
        Secret::new(bytes).map(Self::hs256)
    }

    /// An EdDSA (Ed25519) or ES256 (P-256) key in PKCS#8 (`BEGIN PRIVATE KEY`), as OpenSSL writes it. Convert the older
    /// `BEGIN EC PRIVATE KEY` with `openssl pkcs8 -topk8 -nocrypt`.
    ///
    /// # Errors
    /// [`KeyError::Pem`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            return Ok(Self::eddsa(key));
        }
        let key = p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::Pem)?;
        Ok(Self::es256(key))
    }

    /// A key whose private half `signer` holds, and whose public half is `public`; its `kid` is that of `public`. It signs
    /// access tokens, not client-side sessions.
    ///
    /// A stored ring holds the public half of such a key, and [`KeyRing::from_json_with`](crate::KeyRing::from_json_with)
    /// asks for the signer. Rotation generates no successor: make another key where this one is, and
    /// [`publish`](crate::KeyRing::publish) it.
    #[must_use]
    pub fn external(public: &PublicKey, signer: Arc<dyn ExternalSigner>) -> Self {
        let verifying = VerifyingKey::Public(public.material().clone());
        Self { private: Private::External(signer), verifying, kid: public.kid().into() }
    }

    /// Whether an external signer holds it.
    #[must_use]
    pub fn is_external(&self) -> bool {
        matches!(self.private, Private::External(_))
    }

    /// Writes PKCS#8. Secret.
    ///
    /// # Errors
    /// [`KeyError::Pem`] for an HS256 key: PEM has no form for it. [`KeyError::External`] for one that is elsewhere.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let pem = match &self.private {
            Private::Hs256(_) => return Err(KeyError::Pem),
            Private::External(_) => return Err(KeyError::External),
            Private::EdDsa(key) => {
                // Without the public half: OpenSSL does not read version 2 of PKCS#8, which has it.
                let mut bytes = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
                let pem = bytes.to_pkcs8_pem(LineEnding::LF);
                bytes.secret_key.zeroize();
                pem
            }
            Private::Es256(key) => key.to_pkcs8_pem(LineEnding::LF),
        };
        pem.map_err(|_| KeyError::Pem)
    }

    /// Reads a private JWK: `oct`, `OKP` with `Ed25519`, or `EC` with `P-256`. Its `kid` is ignored.
    ///
    /// # Errors
    /// [`KeyError::Jwk`] for anything else, [`KeyError::Mismatch`] if the halves do not belong together, and the errors of
    /// [`from_secret`](Self::from_secret).
    pub fn from_jwk(json: &str) -> Result<Self, KeyError> {
        Self::from_parsed(&serde_json::from_str(json).map_err(|_| KeyError::Jwk)?)
    }

    pub(super) fn from_parsed(jwk: &Jwk) -> Result<Self, KeyError> {
        if !jwk.is_for("sign") {
            return Err(KeyError::Jwk);
        }
        let key = match jwk.algorithm().ok_or(KeyError::Jwk)? {
            Algorithm::Hs256 => return Self::from_secret(&jwk.k()?),
            Algorithm::EdDsa => Self::eddsa(ed25519_dalek::SigningKey::from_bytes(&*jwk.d()?)),
            Algorithm::Es256 => {
                Self::es256(p256::ecdsa::SigningKey::from_slice(&*jwk.d()?).map_err(|_| KeyError::Invalid)?)
            }
            Algorithm::Rs256 | Algorithm::Ps256 => return Err(KeyError::Rsa),
        };
        if *key.kid == *PublicKey::from_parsed(jwk)?.kid() { Ok(key) } else { Err(KeyError::Mismatch) }
    }

    /// Writes the private JWK. Secret. Of a key that is elsewhere, it is the public one.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        encoding::secret_json(&self.jwk(), 512)
    }

    pub(super) fn jwk(&self) -> Jwk {
        match &self.private {
            Private::Hs256(secret) => Jwk::secret(secret.bytes(), &self.kid),
            Private::EdDsa(key) => Material::Ed25519(key.verifying_key()).jwk(&self.kid).with_private(key.as_bytes()),
            Private::Es256(key) => {
                let scalar = Zeroizing::new(key.to_bytes());
                Material::P256(*key.verifying_key()).jwk(&self.kid).with_private(&scalar)
            }
            Private::External(_) => match &self.verifying {
                VerifyingKey::Public(material) => material.jwk(&self.kid),
                VerifyingKey::Hmac(_) => unreachable!("it was made with a public key"),
            },
        }
    }

    /// The algorithm of this key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// The public half; an HS256 key has none.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        match &self.verifying {
            VerifyingKey::Hmac(_) => None,
            VerifyingKey::Public(material) => Some(PublicKey::named(material.clone(), &self.kid)),
        }
    }

    /// The name of the key: the thumbprint of its public half (RFC 7638), or for an HS256 key a value that is equally
    /// unique and reveals nothing about the secret.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Appends a dot and the signature of all that `token` holds. Waits for external signers only.
    pub(crate) async fn sign(&self, token: &mut String) -> Result<(), SigningError> {
        let Private::External(signer) = &self.private else {
            return self.sign_now(token).ok_or(SigningError::Failed);
        };
        let signature = signer.sign(token.as_bytes()).await?;
        // A token that nobody accepts would log users out, and nobody would know why. It is cheap beside the call.
        let signature = self.genuine(token.as_bytes(), signature).ok_or(SigningError::WrongSignature)?;
        append(token, &signature);
        Ok(())
    }

    /// The signature as JWS has it, if it is one of `message`.
    fn genuine(&self, message: &[u8], signature: Vec<u8>) -> Option<Vec<u8>> {
        if self.verifying.verify(message, &signature) {
            return Some(signature);
        }
        if self.algorithm() != Algorithm::Es256 {
            return None;
        }
        let signature = p256::ecdsa::Signature::from_der(&signature).ok()?.to_bytes().to_vec();
        self.verifying.verify(message, &signature).then_some(signature)
    }

    /// As [`sign`](Self::sign), at once. `None` if the library failed to sign, or the key is elsewhere.
    pub(crate) fn sign_now(&self, token: &mut String) -> Option<()> {
        let message = token.as_bytes();
        match &self.private {
            Private::Hs256(secret) => {
                append(token, &secret.mac().clone().chain_update(message).finalize().into_bytes())
            }
            Private::EdDsa(key) => append(token, &key.try_sign(message).ok()?.to_bytes()),
            Private::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).ok()?;
                append(token, &signature.to_bytes());
            }
            Private::External(_) => return None,
        }
        Some(())
    }

    fn hs256(secret: Secret) -> Self {
        Self::named(VerifyingKey::Hmac(secret.mac().clone()), Private::Hs256(secret))
    }

    fn eddsa(key: ed25519_dalek::SigningKey) -> Self {
        Self::named(VerifyingKey::Public(Material::Ed25519(key.verifying_key())), Private::EdDsa(key))
    }

    fn es256(key: p256::ecdsa::SigningKey) -> Self {
        Self::named(VerifyingKey::Public(Material::P256(*key.verifying_key())), Private::Es256(key))
    }

    fn named(verifying: VerifyingKey, private: Private) -> Self {
        Self { kid: verifying.kid().into(), private, verifying }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, ..)", self.algorithm())
    }
}

fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    encoding::encode_to(signature, token);
}

fn random(entropy: &dyn Entropy) -> Result<Zeroizing<[u8; 32]>, EntropyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(&mut *bytes)?;
    Ok(bytes)
}
