//! [`Verifier`].

use arc_swap::ArcSwap;
use session_core::Timestamp;

use super::claims::{Check, Claims};
use super::error::VerifyError;
use super::gate::Gate;
use super::header::AcceptedTypes;
use super::issuer_claims::IssuerClaims;
use super::logout_claims::LogoutClaims;
use super::policy::TokenPolicy;
use super::verifying_keys::VerifyingKeys;
use crate::dpop::key::ProvenKey;

/// Verifies the tokens of one issuer. No I/O, and no clock.
///
/// Accepted are tokens whose `iss` is the policy's issuer, byte for byte, and whose `aud` is the policy's audience or an
/// array of strings that contains it (RFC 7519, RFC 9068). `exp`, `iat`, `auth_time` and, if present, `nbf` are whole,
/// non-negative numbers of seconds; `sid` is a [`SessionId`](session_core::SessionId); `jti`, `sub` and `amr` are required.
/// Other claims are ignored.
///
/// ```
/// use session_core::{OsEntropy, Timestamp};
/// use session_jwt::{Algorithm, KeyRing, Rotation, TokenPolicy, Verifier, VerifyError, VerifyingKeys};
///
/// let now = Timestamp::from_millis(1_767_225_600_000);
/// let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy)?;
/// let policy = TokenPolicy::new("https://login.example", "https://api.example")?;
/// let verifier = Verifier::new(policy, VerifyingKeys::from_ring(&ring));
/// assert_eq!(verifier.verify("not.a.token", now).unwrap_err(), VerifyError::Header);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Verifier {
    policy: TokenPolicy,
    gate: Gate,
    keys: ArcSwap<VerifyingKeys>,
}

impl Verifier {
    /// For tokens of [`AccessTokens`](crate::AccessTokens): the header must equal, byte for byte, one that such an issuer
    /// writes for these keys.
    #[must_use]
    pub fn new(policy: TokenPolicy, keys: VerifyingKeys) -> Self {
        Self { policy, gate: Gate::Exact, keys: ArcSwap::from_pointee(keys) }
    }

    /// For tokens with the same claims from other software, whose headers are written differently. All other checks are the
    /// same. Of the header, three members are interpreted:
    ///
    /// - `kid` names a key. Without it, the token is verified with the only key for its `alg`; if there are several, with
    ///   none.
    /// - `alg` is that key's algorithm, in any spelling ([`AlgorithmNames`](crate::AlgorithmNames)).
    /// - `typ` is `at+jwt` or `application/at+jwt` in any case; see [`allow_generic_type`](Self::allow_generic_type).
    ///
    /// `crit`, `b64`, `zip` and `enc` are refused, and members that occur twice. Others are ignored (RFC 7515, section 4):
    /// no key is ever taken from a token or from where it points to (`jwk`, `jku`, `x5c`, `x5u`).
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
        Self { policy, gate: Gate::Parsed(AcceptedTypes::AccessToken), keys: ArcSwap::from_pointee(keys) }
    }

    /// Also accepts tokens whose `typ` is `JWT`, or that have none, from an issuer that does not write the `at+jwt` of RFC
    /// 9068. Nothing in the header then tells an access token from an ID token, or from whatever else this issuer signs with
    /// these keys: only the audience does. So the audience of the policy must be one that the issuer gives to access tokens
    /// alone, never a client id. Without effect on a verifier made by [`new`](Self::new).
    ///
    /// ```
    /// use session_core::Timestamp;
    /// use session_jwt::{TokenPolicy, Verifier, VerifyError, VerifyingKeys};
    ///
    /// let document = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}"#;
    /// let policy = TokenPolicy::new("https://partner.example", "https://api.example")?;
    /// let verifier = Verifier::for_issuer(policy, VerifyingKeys::from_jwks(document)?);
    /// // {"alg":"EdDSA","kid":"a","typ":"JWT"}
    /// let token = "eyJhbGciOiJFZERTQSIsImtpZCI6ImEiLCJ0eXAiOiJKV1QifQ.e30.AAAA";
    /// let now = Timestamp::from_millis(1_767_225_600_000);
    /// assert_eq!(verifier.verify(token, now).unwrap_err(), VerifyError::Type);
    /// let verifier = verifier.allow_generic_type();
    /// assert_eq!(verifier.verify(token, now).unwrap_err(), VerifyError::Signature);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn allow_generic_type(self) -> Self {
        let gate = match self.gate {
            Gate::Exact => Gate::Exact,
            Gate::Parsed(_) => Gate::Parsed(AcceptedTypes::AlsoGeneric),
        };
        Self { gate, ..self }
    }

    /// Verifies an access token of other software, which has none of the claims of ours: see [`IssuerClaims`]. All other
    /// checks are the same. The [lifetime](TokenPolicy::lifetime) of the policy must be as long as the issuer's.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify_foreign(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<IssuerClaims, VerifyError> {
        self.verify_foreign_with(token, None, now)
    }

    /// As [`verify_foreign`](Self::verify_foreign), with the proof of a key: the token must be bound to it, and to none without
    /// one.
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify_foreign_with(
        &self,
        token: impl AsRef<[u8]>,
        key: Option<&ProvenKey>,
        now: Timestamp,
    ) -> Result<IssuerClaims, VerifyError> {
        let payload = self.gate.open(token.as_ref(), &self.keys.load(), now)?;
        IssuerClaims::check(payload, &self.policy, now, key.into())
    }

    /// Verifies a logout token of an OpenID provider (Back-Channel Logout 1.0, section 2.6), for an application that ends
    /// sessions by itself; else see [`BackchannelLogout`](crate::BackchannelLogout). The audience of the policy is the
    /// application's client id, and its [lifetime](TokenPolicy::lifetime) the longest that a logout token may have.
    ///
    /// `typ` is `logout+jwt`; `JWT` or none only with [`allow_generic_type`](Self::allow_generic_type). `iss`, `aud`, `iat`,
    /// `exp`, `jti`, `events` and one of `sub` and `sid` are required, `nonce` is refused. `alg` is that of the key, never
    /// `none`. That the token was not used before, is not checked.
    ///
    /// ```
    /// use std::time::Duration;
    /// use session_core::Timestamp;
    /// use session_jwt::{TokenPolicy, Verifier, VerifyError, VerifyingKeys};
    ///
    /// let document = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}"#;
    /// let policy = TokenPolicy::builder("https://login.example", "our-client-id").lifetime(Duration::from_secs(120));
    /// let verifier = Verifier::for_issuer(policy.build()?, VerifyingKeys::from_jwks(document)?);
    /// // {"alg":"EdDSA","kid":"a","typ":"at+jwt"}: an access token
    /// let token = "eyJhbGciOiJFZERTQSIsImtpZCI6ImEiLCJ0eXAiOiJhdCtqd3QifQ.e30.AAAA";
    /// let now = Timestamp::from_millis(1_767_225_600_000);
    /// assert_eq!(verifier.verify_logout(token, now).unwrap_err(), VerifyError::Type);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`VerifyError`]
    pub fn verify_logout(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<LogoutClaims, VerifyError> {
        let payload = self.gate.for_logout().open(token.as_ref(), &self.keys.load(), now)?;
        LogoutClaims::check(&payload, &self.policy, now)
    }

    /// Verifies a token, which is presented by whoever has it, and returns its claims. One that is bound to a key is refused.
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
        let payload = self.gate.open(token.as_ref(), &self.keys.load(), now)?;
        Claims::read(payload, &self.policy, now, Check::Full, key.into())
    }

    /// Replaces the keys, after the JWKS document was reloaded. Running verifications finish with the previous ones. Never
    /// blocks.
    pub fn set_keys(&self, keys: VerifyingKeys) {
        self.keys.store(keys.into());
    }
}
