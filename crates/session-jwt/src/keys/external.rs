//! Keys that are elsewhere: [`ExternalSigner`].

use std::fmt;

use async_trait::async_trait;

/// Signs with a private key that this process does not hold: that of a key management service or a hardware module. For
/// [`SigningKey::external`](crate::SigningKey::external).
///
/// Called for every token that is issued, and not limited in time: set a limit in its client, or around
/// [`AccessTokens::issue`](crate::AccessTokens::issue).
///
/// ```
/// use async_trait::async_trait;
/// use session_jwt::{ExternalSigner, SigningError};
/// # #[derive(Debug)] struct Kms;
/// # impl Kms { async fn sign_ecdsa_sha256(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, std::io::Error> { Ok(vec![]) } }
///
/// #[derive(Debug)]
/// struct KmsSigner {
///     client: Kms,
///     key_id: String,
/// }
///
/// #[async_trait]
/// impl ExternalSigner for KmsSigner {
///     async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
///         // Log the cause here: it goes no further.
///         self.client.sign_ecdsa_sha256(&self.key_id, message).await.map_err(|_| SigningError::Unavailable)
///     }
/// }
/// ```
#[async_trait]
pub trait ExternalSigner: fmt::Debug + Send + Sync + 'static {
    /// The signature of `message` with the algorithm of the key, as JWS has it (RFC 7518, RFC 8037): 64 bytes for EdDSA and
    /// ES256, as many as the modulus has for RS256 and PS256. Hashing is part of the algorithm: services that sign digests
    /// get the SHA-256 of `message`. For ES256, the ASN.1 form that most services return is understood, too.
    ///
    /// The signature is verified before it is used.
    ///
    /// # Errors
    /// [`SigningError::Unavailable`] or [`SigningError::Refused`].
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The cryptographic library failed.
    #[error("signing failed")]
    Failed,
    /// The external signer cannot be reached, is busy or too slow: retry.
    #[error("the external signer is not available")]
    Unavailable,
    /// The external signer does not sign with this key: it is disabled, or the caller is not permitted to use it.
    #[error("the external signer refused to sign")]
    Refused,
    /// What the external signer returned is no signature of the public key that it was said to have.
    #[error("the external signer returned a wrong signature")]
    WrongSignature,
}
