//! The issuer: [`AccessTokens`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use session_core::{Authentication, Entropy, EntropyError, OsEntropy, SessionId, Timestamp};
use zeroize::Zeroizing;

use crate::claims::{Claims, Payload, acr};
use crate::encoding;
use crate::header::{self, Type};
use crate::jwk::Jwks;
use crate::policy::{TokenPolicy, TokenPolicyError};
use crate::ring::KeyRing;
use crate::verify::{Gate, MAX_TOKEN_LEN, VerifyError, check};
use crate::verifying_keys::VerifyingKeys;

/// No token was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The session has less than a second left.
    #[error("the session ends now; there is no access to give")]
    SessionExpired,
    /// The user, the methods and the names of the policy make more than [`MAX_TOKEN_LEN`] bytes.
    #[error("the token would be longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The library could not sign.
    #[error("signing failed")]
    Signing,
}

/// For whom a token is.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The session.
    pub session: SessionId,
    /// Who is logged in and how.
    pub authentication: &'a Authentication,
    /// When the session is over at the latest: no token outlives it.
    pub deadline: Timestamp,
}

/// An access token, on its way to the client. `Debug` hides it; it is wiped when dropped.
pub struct AccessToken {
    text: Zeroizing<String>,
    expires_in: Duration,
}

impl AccessToken {
    /// The text, for the one place that sends it: a token response.
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

/// Issues access tokens with a [`KeyRing`], and verifies them. Share it behind an [`Arc`]; no call waits for another.
///
/// The crate's documentation shows how a token is issued. From time to time, the keys are rotated:
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
/// // Each hour:
/// if let Some(ring) = tokens.ring().rotate(SystemClock.now(), &OsEntropy)? {
///     let _stored = ring.to_json(); // a file with mode 0600, before the ring is used
///     tokens.set_ring(ring)?;
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct AccessTokens {
    policy: TokenPolicy,
    keys: ArcSwap<Keys>,
    entropy: Arc<dyn Entropy>,
}

/// A ring, and what follows from it: made once for each ring, not for each token.
struct Keys {
    ring: KeyRing,
    verifying: VerifyingKeys,
    /// A header segment and its dot, for each key of the ring.
    headers: Vec<String>,
}

impl Keys {
    fn new(ring: KeyRing, policy: &TokenPolicy) -> Result<Self, TokenPolicyError> {
        if ring.rotation.verify_for < policy.lifetime() + policy.leeway() {
            return Err(TokenPolicyError::VerifyFor);
        }
        let header =
            |entry: &crate::ring::Entry| header::segment(Type::Access, entry.key.algorithm(), &entry.kid) + ".";
        Ok(Self { verifying: ring.verifying_keys(), headers: ring.entries.iter().map(header).collect(), ring })
    }
}

impl AccessTokens {
    /// An issuer with this policy and these keys.
    ///
    /// # Errors
    /// [`TokenPolicyError::VerifyFor`] if the ring would drop a key while its tokens are valid.
    pub fn new(policy: TokenPolicy, ring: KeyRing) -> Result<Self, TokenPolicyError> {
        let keys = ArcSwap::from_pointee(Keys::new(ring, &policy)?);
        Ok(Self { policy, keys, entropy: Arc::new(OsEntropy) })
    }

    /// Takes the names of tokens (`jti`) from another generator than the operating system's: for tests.
    #[must_use]
    pub fn with_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Issues a token that is valid for the policy's lifetime, or until the session's deadline if that is earlier.
    ///
    /// # Errors
    /// [`IssueError`]
    pub fn issue(&self, subject: &Subject<'_>, now: Timestamp) -> Result<AccessToken, IssueError> {
        let keys = self.keys.load();
        let iat = seconds(now);
        let exp = (iat + self.policy.lifetime().as_secs()).min(seconds(subject.deadline));
        if exp <= iat {
            return Err(IssueError::SessionExpired);
        }
        let mut id = [0; 16];
        self.entropy.fill(&mut id)?;
        let payload = Payload {
            iss: self.policy.issuer(),
            sub: subject.authentication.user.as_str(),
            aud: self.policy.audience(),
            exp,
            iat,
            jti: &encoding::encode(id),
            client_id: self.policy.client(),
            sid: subject.session,
            auth_time: seconds(subject.authentication.at),
            acr: acr(subject.authentication.level),
            amr: &subject.authentication.methods,
        };
        let Ok(payload) = serde_json::to_vec(&payload) else { unreachable!("strings and numbers are JSON") };
        let signing = keys.ring.signing(now);
        let (entry, header) = (&keys.ring.entries[signing], &keys.headers[signing]);
        let length = header.len() + payload.len().div_ceil(3) * 4 + 1 + 86;
        if length > MAX_TOKEN_LEN {
            return Err(IssueError::TooLong);
        }
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(header);
        encoding::encode_to(payload, &mut text);
        entry.key.sign(&mut text).ok_or(IssueError::Signing)?;
        Ok(AccessToken { text, expires_in: Duration::from_secs(exp - iat) })
    }

    /// Checks a token of ours, and says what it says.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<Claims, VerifyError> {
        check(token.as_ref(), &self.keys.load().verifying, Gate::Exact, &self.policy, now)
    }

    /// Replacement the keys, after a rotation or when a stored ring was loaded. Calls that run go on with the keys before;
    /// nobody waits.
    ///
    /// # Errors
    /// [`TokenPolicyError::VerifyFor`] if the ring would drop a key while its tokens are valid. Nothing changes then.
    pub fn set_ring(&self, ring: KeyRing) -> Result<(), TokenPolicyError> {
        self.keys.store(Arc::new(Keys::new(ring, &self.policy)?));
        Ok(())
    }

    /// The keys in use.
    #[must_use]
    pub fn ring(&self) -> KeyRing {
        self.keys.load().ring.clone()
    }

    /// The document for those who verify our tokens.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Jwks {
        self.keys.load().ring.jwks(now)
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &TokenPolicy {
        &self.policy
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("policy", &self.policy).field("ring", &self.keys.load().ring).finish()
    }
}

/// Whole seconds since the epoch. A clock before 1970 shows the epoch.
pub(crate) fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0) / 1000
}
