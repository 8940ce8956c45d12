//! [`AccessTokens`]: the issuer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use session_core::{Authentication, Entropy, EntropyError, KeyThumbprint, OsEntropy, SessionId, Timestamp};
use zeroize::Zeroizing;

use super::account_claims::AccountClaims;
use super::claims::{Check, Claims, Possession};
use super::error::VerifyError;
use super::gate::MAX_TOKEN_LEN;
use super::header::TokenType;
use super::payload::{WrittenAudience, WrittenConfirmation, WrittenPayload, numeric_date};
use super::policy::TokenPolicy;
use super::signer::Signer;
use crate::dpop::key::ProvenKey;
use crate::encoding;
use crate::keys::error::KeyError;
use crate::keys::external::SigningError;
use crate::keys::jwks::Jwks;
use crate::keys::ring::KeyRing;

/// Why no token was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The session expires in less than a second.
    #[error("the session has expired")]
    SessionExpired,
    /// The user, the methods, the names of the policy and the claims of the application need more than [`MAX_TOKEN_LEN`] bytes.
    #[error("the token would be longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
    /// The random generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The key did not sign. After [`SigningError::Unavailable`], retry.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// What a token is issued for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// The session.
    pub session: SessionId,
    /// The user, and how and when they authenticated.
    pub authentication: &'a Authentication,
    /// The absolute deadline of the session: no token outlives it.
    pub deadline: Timestamp,
    /// The client; `None` for that of the policy.
    pub client: Option<&'a str>,
    /// Whom the token is for; if there is none, the audience of the policy.
    pub audiences: &'a [String],
    /// What it may be used for, separated by blanks.
    pub scope: Option<&'a str>,
    /// The key that it is bound to: it is good with proofs of that key alone (RFC 9449).
    pub key: Option<KeyThumbprint>,
    /// What the application has to say.
    pub claims: Option<&'a AccountClaims>,
}

impl<'a> Subject<'a> {
    /// The session `session` of the user in `authentication`, which ends at `deadline` at the latest.
    #[must_use]
    pub fn new(session: SessionId, authentication: &'a Authentication, deadline: Timestamp) -> Self {
        Self { session, authentication, deadline, client: None, audiences: &[], scope: None, key: None, claims: None }
    }
}

/// An access token as issued. Wiped on drop; `Debug` hides it.
pub struct AccessToken {
    text: Zeroizing<String>,
    expires_in: Duration,
}

impl AccessToken {
    /// The text, for the token response and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// How long the token is valid, in whole seconds: `expires_in` of a token response.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// Issues access tokens with a [`KeyRing`], and verifies them. Share it behind an [`Arc`]; calls never block each other.
///
/// The crate documentation shows how a token is issued. Rotate the keys periodically:
///
/// ```
/// use session_core::{Clock, OsEntropy, SystemClock};
/// use session_jwt::{AccessTokens, Algorithm, KeyRing, Rotation, TokenPolicy};
///
/// let now = SystemClock.now();
/// let policy = TokenPolicy::new("https://login.example", "https://api.example")?;
/// let ring = KeyRing::generate(Algorithm::Hs256, Rotation::default(), now, &OsEntropy)?;
/// let tokens = AccessTokens::new(policy, ring)?;
///
/// // Every hour:
/// if let Some(ring) = tokens.ring().rotate(SystemClock.now(), &OsEntropy)? {
///     let _stored = ring.to_json(); // to a file with mode 0600, before the ring is used
///     tokens.set_ring(ring)?;
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AccessTokens {
    policy: TokenPolicy,
    signer: Signer,
    entropy: Arc<dyn Entropy>,
}

impl AccessTokens {
    /// An issuer with this policy and these keys.
    ///
    /// # Errors
    /// [`KeyError::VerifyFor`] if the ring would drop a key while its tokens are still valid.
    pub fn new(policy: TokenPolicy, ring: KeyRing) -> Result<Self, KeyError> {
        let signer = Signer::new(TokenType::Access, ring, policy.lifetime() + policy.leeway())?;
        Ok(Self { policy, signer, entropy: Arc::new(OsEntropy) })
    }

    /// Generates the identifiers of tokens (`jti`) with `entropy` instead of the operating system: for tests.
    #[must_use]
    pub fn with_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Issues a token that is valid for the policy's lifetime, or until the deadline of the session if that is earlier.
    ///
    /// Complete at once, unless an [`ExternalSigner`](crate::ExternalSigner) holds the key; the caller limits its time.
    ///
    /// # Errors
    /// [`IssueError`]
    pub async fn issue(&self, subject: &Subject<'_>, now: Timestamp) -> Result<AccessToken, IssueError> {
        let iat = numeric_date(now);
        let exp = (iat + self.policy.lifetime().as_secs()).min(numeric_date(subject.deadline));
        if exp <= iat {
            return Err(IssueError::SessionExpired);
        }
        let mut id = [0; 16];
        self.entropy.fill(&mut id)?;
        // One proof for the three: a weaker one that came later does not make the stronger one look fresh.
        let proof = subject.authentication.strongest();
        let payload = WrittenPayload {
            iss: self.policy.issuer(),
            sub: subject.authentication.user.as_str(),
            aud: match subject.audiences {
                [] => WrittenAudience::One(self.policy.audience()),
                [one] => WrittenAudience::One(one),
                several => WrittenAudience::Several(several),
            },
            exp,
            iat,
            jti: &encoding::encode(id),
            client_id: subject.client.unwrap_or(self.policy.client()),
            sid: subject.session,
            // By a server whose clock is ahead.
            auth_time: numeric_date(proof.at).min(iat),
            acr: proof.level.as_str(),
            amr: &proof.methods,
            scope: subject.scope,
            cnf: subject.key.map(|key| WrittenConfirmation { jkt: key.to_string() }),
            extra: subject.claims.map(|claims| &claims.extra).filter(|extra| !extra.is_empty()),
        };
        let Ok(payload) = serde_json::to_vec(&payload) else { unreachable!("strings, numbers and JSON are JSON") };
        let text = Zeroizing::new(self.signer.sign(&payload, now).await?);
        if text.len() > MAX_TOKEN_LEN {
            return Err(IssueError::TooLong);
        }
        Ok(AccessToken { text, expires_in: Duration::from_secs(exp - iat) })
    }

    /// Verifies one of our tokens, which is presented by whoever has it, and returns its claims. One that is bound to a key is
    /// refused.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<Claims, VerifyError> {
        self.verify_with(token, None, now)
    }

    /// As [`verify`](Self::verify), with the proof of a key: the token must be bound to it, and to none without one.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify_with(
        &self,
        token: impl AsRef<[u8]>,
        key: Option<&ProvenKey>,
        now: Timestamp,
    ) -> Result<Claims, VerifyError> {
        Claims::read(self.signer.open(token.as_ref(), now)?, &self.policy, now, Check::Full, key.into())
    }

    /// For whichever audience of ours it is, and whatever it is bound to.
    pub(crate) fn verify_for_any(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<Claims, VerifyError> {
        Claims::read(self.signer.open(token.as_ref(), now)?, &self.policy, now, Check::AnyAudience, Possession::Any)
    }

    /// The same, also after it has expired, as long as its key is in the ring: to end its session.
    pub(crate) fn verify_at_any_time(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<Claims, VerifyError> {
        Claims::read(self.signer.open(token.as_ref(), now)?, &self.policy, now, Check::AnyTime, Possession::Any)
    }

    /// Replaces the keys, after a rotation or after a stored ring was loaded. Running calls finish with the previous ones.
    /// Never blocks.
    ///
    /// # Errors
    /// [`KeyError::VerifyFor`] if the ring would drop a key while its tokens are still valid. The keys are unchanged then.
    pub fn set_ring(&self, ring: KeyRing) -> Result<(), KeyError> {
        self.signer.set_ring(ring)
    }

    /// The keys in use.
    #[must_use]
    pub fn ring(&self) -> KeyRing {
        self.signer.ring()
    }

    /// The document with the public keys, for verifiers.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Jwks {
        self.ring().jwks(now)
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &TokenPolicy {
        &self.policy
    }
}
