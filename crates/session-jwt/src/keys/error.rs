//! [`KeyError`].

use session_core::EntropyError;

/// Why a key, or a set of keys, was refused. Reveals nothing about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The HMAC key is shorter than 32 bytes.
    #[error("an HMAC key must have at least 32 random bytes")]
    TooShort,
    /// The HMAC key is longer than 1024 bytes.
    #[error("an HMAC key must have at most 1024 bytes")]
    TooLong,
    /// The HMAC key is an example from a specification, the default of a product, or a pattern.
    #[error("this HMAC key is no secret: it is a published example or a pattern")]
    WellKnown,
    /// What was given as an HMAC key is, or may be, a public key or a key file, as bytes or as text: see
    /// [`SigningKey::from_secret`](crate::SigningKey::from_secret).
    #[error("this may be a public key or a key file, and no HMAC key; draw another secret, or a longer one")]
    NotASecret,
    /// Not the PEM of a supported key: PKCS#8 for private keys, SubjectPublicKeyInfo for public ones.
    #[error("not the PEM (PKCS#8 or SubjectPublicKeyInfo) of a supported key")]
    Pem,
    /// Not the JWK, or JWKS, of a supported key.
    #[error("not a JWK of a supported key")]
    Jwk,
    /// Not a key of its algorithm: the point is not on the curve or has small order, the scalar is out of range, or an RSA
    /// key is too short, too long, or has an exponent that is none.
    #[error("not a valid key of its algorithm")]
    Invalid,
    /// The public half in a private JWK belongs to another private key.
    #[error("the public half does not belong to the private half")]
    Mismatch,
    /// A private or symmetric key instead of a public one.
    #[error("a private or symmetric key instead of a public one")]
    Private,
    /// The `kid` is empty or longer than 128 bytes.
    #[error("a key without a usable `kid`")]
    Kid,
    /// Two keys have the same `kid`, and in a set of public keys also the same algorithm.
    #[error("two keys with the same `kid`")]
    DuplicateKid,
    /// Symmetric and asymmetric keys in one ring.
    #[error("symmetric and asymmetric keys in one ring")]
    Mixed,
    /// The set has no usable key, or more than 100.
    #[error("a set must have between 1 and 100 usable keys")]
    Count,
    /// RSA keys are not held here: they verify, or sign through an [`ExternalSigner`](crate::ExternalSigner).
    #[error("keys for this algorithm are neither generated nor held by this library")]
    Rsa,
    /// A key that an [`ExternalSigner`](crate::ExternalSigner) holds, where the private key itself is needed: to generate
    /// its successor, to load a stored ring without the signer, or for client-side sessions, which are signed at once.
    #[error("the key is held by an external signer")]
    External,
    /// The ring has no key with this `kid`.
    #[error("no key with this `kid` in the ring")]
    Unknown,
    /// The next key is already published.
    #[error("the next key is already published")]
    NextExists,
    /// The times of a [`Rotation`](crate::Rotation) contradict each other.
    #[error("publish_ahead must be shorter than sign_for, and each time must be between 1 millisecond and 10 years")]
    Rotation,
    /// The ring would drop a key while a token or a cookie that it signed is still valid.
    #[error("the rotation's verify_for is shorter than the time for which a signed token is valid")]
    VerifyFor,
    /// Not a stored key ring of a known format.
    #[error("not a stored key ring")]
    Format,
    /// The random generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
