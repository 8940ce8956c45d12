//! The one path from text to [`Claims`].

use std::fmt;

use arc_swap::ArcSwap;
use session_core::Timestamp;

use crate::claims::{self, Claims};
use crate::encoding;
use crate::header::Header;
use crate::policy::TokenPolicy;
use crate::verifying_keys::{VerifyingKey, VerifyingKeys};

/// The longest token that is looked at, and that is issued, in bytes.
pub const MAX_TOKEN_LEN: usize = 8 * 1024;

/// The longest signature, in bytes.
const MAX_SIGNATURE_LEN: usize = 64;

/// Why a token was refused. It never repeats anything of the token.
///
/// To a client, all of them are the same `401` with `error="invalid_token"` (RFC 6750); the difference is for logs and
/// tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Longer than [`MAX_TOKEN_LEN`].
    #[error("the token is too long")]
    TooLong,
    /// Not three segments, all of them non-empty.
    #[error("the token has not exactly three segments")]
    Segments,
    /// [`Verifier::new`]: not a header that a key of ours writes, so perhaps of a key that is retired.
    /// [`Verifier::for_issuer`]: not an object of `alg`, `kid` and `typ`.
    #[error("the header is not one of ours")]
    Header,
    /// `typ` is not that of an access token.
    #[error("the token is not an access token")]
    Type,
    /// `kid` names no key that verifies now.
    #[error("the token is signed by an unknown key")]
    Key,
    /// `alg` is not the algorithm of the key.
    #[error("the algorithm is not that of the key")]
    Algorithm,
    /// Signature or payload are not base64url without padding, in its one spelling.
    #[error("a segment is not base64url")]
    Encoding,
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// The payload is not one JSON object.
    #[error("the payload is not an object of claims")]
    Payload,
    /// A claim occurs twice.
    #[error("a claim occurs twice")]
    Duplicate,
    /// This claim is missing.
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    /// This claim has a wrong JSON type, or a value that is none.
    #[error("the claim {0} has a wrong type or value")]
    Invalid(&'static str),
    /// Another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// Another audience.
    #[error("the token is for another audience")]
    Audience,
    /// At or after `exp`, and the leeway is over.
    #[error("the token has expired")]
    Expired,
    /// Before `nbf`.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Before `iat`.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// Between `iat` and `exp` lies more than the policy's lifetime, or no time at all.
    #[error("the token lives too long, or not at all")]
    Timeouts,
}

/// How the header of a token leads to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It is compared with the headers that we write.
    Exact,
    /// It is read, strictly.
    Parsed,
}

/// Verifies the tokens of one issuer. No I/O, and no clock.
///
/// What is accepted: `iss` is the policy's issuer, byte for byte. `aud` is the policy's audience, or an array of
/// strings with it (RFC 7519, RFC 9068). `exp`, `iat` and `auth_time` are whole, non-negative numbers of seconds, and
/// so is `nbf` if it is there; `sid` is a [`SessionId`](session_core::SessionId); `jti`, `sub` and `amr` are required.
/// Other claims are ignored.
///
/// ```
/// use session_core::{OsEntropy, Timestamp};
/// use session_jwt::{Algorithm, KeyRing, Rotation, TokenPolicy, Verifier, VerifyError};
///
/// let now = Timestamp::from_millis(1_767_225_600_000);
/// let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy)?;
/// let policy = TokenPolicy::new("https://login.example", "https://api.example")?;
/// let verifier = Verifier::new(policy, ring.verifying_keys());
/// assert_eq!(verifier.verify("not.a.token", now).unwrap_err(), VerifyError::Header);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Verifier {
    policy: TokenPolicy,
    gate: Gate,
    keys: ArcSwap<VerifyingKeys>,
}

impl Verifier {
    /// For tokens of [`AccessTokens`](crate::AccessTokens): the header is compared byte for byte with what such an
    /// issuer writes for these keys.
    #[must_use]
    pub fn new(policy: TokenPolicy, keys: VerifyingKeys) -> Self {
        Self { policy, gate: Gate::Exact, keys: ArcSwap::from_pointee(keys) }
    }

    /// For tokens with the same claims from other software, which writes the members of the header in its own way. The
    /// header must be an object of `alg`, `kid` and `typ` and nothing else; `kid` names a key, `alg` is that key's,
    /// `typ` is `at+jwt` or `application/at+jwt` in any case. The rest is as for our own tokens.
    ///
    /// ```
    /// use session_core::Timestamp;
    /// use session_jwt::{TokenPolicy, Verifier, VerifyError, VerifyingKeys};
    ///
    /// let document = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}"#;
    /// let policy = TokenPolicy::new("https://partner.example", "https://api.example")?;
    /// let verifier = Verifier::for_issuer(policy, VerifyingKeys::from_jwks(document)?);
    /// // {"alg":"none","kid":"a","typ":"at+jwt"}
    /// let token = "eyJhbGciOiJub25lIiwia2lkIjoiYSIsInR5cCI6ImF0K2p3dCJ9.e30.AAAA";
    /// let now = Timestamp::from_millis(1_767_225_600_000);
    /// assert_eq!(verifier.verify(token, now).unwrap_err(), VerifyError::Algorithm);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn for_issuer(policy: TokenPolicy, keys: VerifyingKeys) -> Self {
        Self { policy, gate: Gate::Parsed, keys: ArcSwap::from_pointee(keys) }
    }

    /// Checks a token, and says what it says.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<Claims, VerifyError> {
        check(token.as_ref(), &self.keys.load(), self.gate, &self.policy, now)
    }

    /// Replacement the keys, when the JWKS document was read again. Verifications that run go on with the keys before;
    /// nobody waits.
    pub fn set_keys(&self, keys: VerifyingKeys) {
        self.keys.store(keys.into());
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("policy", &self.policy)
            .field("gate", &self.gate)
            .field("keys", &*self.keys.load())
            .finish()
    }
}

pub(crate) fn check(
    token: &[u8],
    keys: &VerifyingKeys,
    gate: Gate,
    policy: &TokenPolicy,
    now: Timestamp,
) -> Result<Claims, VerifyError> {
    claims::read(&payload(token, keys, gate, now)?, policy, now)
}

/// The payload of a token, once the signature has been found to be that of one of the keys.
pub(crate) fn payload(token: &[u8], keys: &VerifyingKeys, gate: Gate, now: Timestamp) -> Result<Vec<u8>, VerifyError> {
    if token.len() > MAX_TOKEN_LEN {
        return Err(VerifyError::TooLong);
    }
    let Segments { header, payload, signature, signed } = Segments::cut(token).ok_or(VerifyError::Segments)?;
    let key = match gate {
        Gate::Exact => keys.by_header(header, now).ok_or(VerifyError::Header)?,
        Gate::Parsed => named(header, keys, now)?,
    };
    let mut buffer = [0; MAX_SIGNATURE_LEN];
    let signature = decode_signature(signature, &mut buffer)?;
    if !key.verify(signed, signature) {
        return Err(VerifyError::Signature);
    }
    encoding::decode(payload).ok_or(VerifyError::Encoding)
}

/// A token, cut at its dots.
struct Segments<'t> {
    header: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
    /// Header and payload, with the dot between them.
    signed: &'t [u8],
}

impl<'t> Segments<'t> {
    /// Exactly three, none of them empty.
    fn cut(token: &'t [u8]) -> Option<Self> {
        let dot = |text: &[u8]| text.iter().position(|byte| *byte == b'.');
        let header = &token[..dot(token)?];
        let rest = &token[header.len() + 1..];
        let payload = &rest[..dot(rest)?];
        let signature = &rest[payload.len() + 1..];
        let signed = &token[..header.len() + 1 + payload.len()];
        let complete = ![header, payload, signature].iter().any(|segment| segment.is_empty());
        (complete && dot(signature).is_none()).then_some(Self { header, payload, signature, signed })
    }
}

/// The key that the header of another issuer names.
fn named<'k>(segment: &[u8], keys: &'k VerifyingKeys, now: Timestamp) -> Result<&'k VerifyingKey, VerifyError> {
    let json = Header::decode(segment)?;
    let header = Header::parse(&json)?;
    let key = keys.by_kid(header.kid(), now).ok_or(VerifyError::Key)?;
    if header.is_for(key.algorithm()) { Ok(key) } else { Err(VerifyError::Algorithm) }
}

/// A signature that is longer than any of ours is as wrong as one that is too short.
fn decode_signature<'b>(text: &[u8], buffer: &'b mut [u8; MAX_SIGNATURE_LEN]) -> Result<&'b [u8], VerifyError> {
    use base64::{DecodeSliceError, Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    match URL_SAFE_NO_PAD.decode_slice(text, buffer) {
        Ok(length) => Ok(&buffer[..length]),
        Err(DecodeSliceError::DecodeError(_)) => Err(VerifyError::Encoding),
        Err(DecodeSliceError::OutputSliceTooSmall) => Err(VerifyError::Signature),
    }
}
