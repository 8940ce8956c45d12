//! [`Proof`]: the JWT in the `DPoP` header, once its signature has been verified.

use session_core::{Error, KeyThumbprint, Timestamp};
use sha2::{Digest as _, Sha256};

use super::replays::{ProofId, ReplayError};
use crate::algorithm::Algorithm;
use crate::encoding;
use crate::keys::verifying_key::{PublicKey, VerifyingKey};
use crate::tokens::error::VerifyError;
use crate::tokens::gate::{Segments, verify_signature};
use crate::tokens::header::{AcceptedTypes, Header};
use crate::tokens::members::Members;

/// The longest proof, in bytes: one with an RSA key of 4096 bits and long URIs has less.
const MAX_PROOF_LEN: usize = 4096;
/// The longest signature: that of an RSA key of 4096 bits.
const MAX_SIGNATURE_LEN: usize = 512;
/// The longest `jti`, in bytes.
const MAX_ID_LEN: usize = 256;

/// Why a proof of possession was refused. Contains nothing of the proof.
///
/// For logs and tests: a client is told `invalid_dpop_proof` for all of them, but for [`Nonce`](Self::Nonce)
/// (`use_dpop_nonce`), and [`Full`](Self::Full) and [`Store`](Self::Store), after which it repeats the request (503).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is more than one `DPoP` header.
    #[error("there is more than one DPoP proof")]
    Repeated,
    /// It is no JWT of its kind: longer than 4096 bytes, malformed, of another `typ`, of an `alg` that is not accepted, without
    /// a public key, wrongly signed, or it lacks a claim.
    #[error("the DPoP proof is no valid JWT of its kind")]
    Jwt(#[source] VerifyError),
    /// `htm` is not the method of the request.
    #[error("the DPoP proof is for another method")]
    Method,
    /// `htu` is not the URI of the request.
    #[error("the DPoP proof is for another URI")]
    Uri,
    /// `ath` is not the digest of the access token, or is missing beside one.
    #[error("the DPoP proof is for another access token")]
    AccessToken,
    /// It was made too long ago.
    #[error("the DPoP proof is too old; is the clock of the client right?")]
    TooOld,
    /// It was made in the future.
    #[error("the DPoP proof was made in the future; is the clock of the client right?")]
    InFuture,
    /// It has no nonce of this server, or an old one.
    #[error("the DPoP proof needs a recent nonce of this server")]
    Nonce,
    /// It was used before.
    #[error("the DPoP proof was used before")]
    Replayed,
    /// It cannot be told whether it was used before: this process remembers as many as it can.
    #[error("too many DPoP proofs at once; repeat the request later, with another proof")]
    Full,
    /// It cannot be told whether it was used before: the store failed.
    #[error("the store could not tell whether the DPoP proof was used before")]
    Store(#[source] Error),
}

impl ProofError {
    /// Whether it says something about the client. That it lacks a nonce happens to every client once.
    pub(crate) fn is_of_client(&self) -> bool {
        !matches!(self, Self::Nonce | Self::Full | Self::Store(_))
    }
}

impl From<VerifyError> for ProofError {
    fn from(error: VerifyError) -> Self {
        Self::Jwt(error)
    }
}

impl From<ReplayError> for ProofError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Full => Self::Full,
            ReplayError::Store(error) => Self::Store(error),
        }
    }
}

/// What a proof says, signed by the key that it brings.
pub(super) struct Proof {
    pub(super) key: KeyThumbprint,
    /// `jti`, of this key.
    pub(super) id: ProofId,
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) made_at: Timestamp,
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) token_digest: Option<String>,
    pub(super) nonce: Option<String>,
}

impl Proof {
    /// Reads a proof and verifies its signature, by one of these algorithms.
    pub(super) fn open(proof: &[u8], algorithms: &[Algorithm]) -> Result<Self, VerifyError> {
        if proof.len() > MAX_PROOF_LEN {
            return Err(VerifyError::TooLong);
        }
        let Segments { header, payload, signature, signed } = Segments::split(proof).ok_or(VerifyError::Segments)?;
        let (header, jwk) = Header::read_with_key(header, AcceptedTypes::Proof)?;
        let algorithm = header.algorithm().filter(|algorithm| algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or(VerifyError::Algorithm)?;
        let key = PublicKey::from_jwk_of_proof(&jwk).map_err(|_| VerifyError::Key)?;
        let key = match (key.algorithm(), algorithm) {
            // A JWK need not say which padding it is for.
            (Algorithm::Rs256, Algorithm::Ps256) => key.for_ps256().map_err(|_| VerifyError::Key)?,
            (of_key, named) if of_key == named => key,
            _ => return Err(VerifyError::Algorithm),
        };
        let verifying = VerifyingKey::Public(key.material().clone());
        // Who sends it need be nobody's client: longer keys cost a server too much.
        if verifying.signature_len() > MAX_SIGNATURE_LEN {
            return Err(VerifyError::Key);
        }
        verify_signature(&verifying, signed, signature)?;
        let payload = encoding::decode(payload).ok_or(VerifyError::Encoding)?;
        let claims = Members::parse(&payload)?;
        let text = |name| claims.text(name)?.ok_or(VerifyError::Missing(name));
        let jti = text("jti")?;
        if jti.len() > MAX_ID_LEN {
            return Err(VerifyError::Invalid("jti"));
        }
        let key = key.thumbprint().parse().map_err(|_| VerifyError::Key)?;
        Ok(Self {
            id: id(&key, &jti),
            key,
            method: text("htm")?,
            uri: text("htu")?,
            made_at: claims.time("iat")?.ok_or(VerifyError::Missing("iat"))?,
            not_before: claims.time("nbf")?,
            expires_at: claims.time("exp")?,
            token_digest: claims.text("ath")?,
            nonce: claims.text("nonce")?,
        })
    }

    /// Whether it is about this access token.
    pub(super) fn is_about(&self, token: &str) -> bool {
        self.token_digest.as_ref().is_some_and(|claimed| *claimed == encoding::encode(Sha256::digest(token)))
    }
}

/// Whatever else it says: a proof whose `htu` is written differently is the same.
fn id(key: &KeyThumbprint, jti: &str) -> ProofId {
    let digest = Sha256::new().chain_update(key.as_bytes()).chain_update(jti).finalize();
    let mut id = ProofId::default();
    id.copy_from_slice(&digest[..size_of::<ProofId>()]);
    id
}
