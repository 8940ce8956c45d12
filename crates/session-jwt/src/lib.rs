//! Access tokens for sessions: short-lived JWTs (RFC 9068, `typ: at+jwt`) that are verified without a store.
//!
//! - [`KeyRing`]: the key that signs, its successor, and those whose tokens have not expired yet. A [`SigningKey`] is for
//!   HS256, EdDSA (Ed25519) or ES256 (P-256), or is held by an [`ExternalSigner`].
//! - [`AccessTokens`]: issues, and verifies its own tokens.
//! - [`Verifier`]: only verifies, with public keys ([`VerifyingKeys`]) from a [`Jwks`] document. [`RemoteVerifier`] fetches
//!   the document, and keeps it fresh.
//! - [`TokenService`]: pairs of an access token and a refresh token, whose session is in a store.
//! - [`BackchannelLogout`]: ends sessions when an OpenID provider says so.
//! - [`Dpop`]: tokens that are bound to a key of their client (RFC 9449).
//! - [`JwtSeal`]: client-side sessions, signed with the same kind of keys, and encrypted if it is asked to.
//!
//! ```
//! use std::time::Duration;
//! use session_core::{Assurance, Authentication, OsEntropy, Proof, SessionId, Timestamp, UserId};
//! use session_jwt::{AccessTokens, Algorithm, KeyRing, Rotation, Subject, TokenPolicy, Verifier, VerifyingKeys};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Timestamp::from_millis(1_767_225_600_000);
//! let policy = TokenPolicy::new("https://login.example", "https://api.example")?;
//! let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy)?;
//! let tokens = AccessTokens::new(policy.clone(), ring)?;
//!
//! let authentication = Authentication::new(UserId::new("alice")?, Proof::new(Assurance::Aal1, now).method("pwd"));
//! let session = SessionId::generate(Some(&authentication.user), &OsEntropy)?;
//! let deadline = now + Duration::from_secs(8 * 3600);
//! let token = tokens.issue(&Subject::new(session, &authentication, deadline), now).await?;
//!
//! // On another server, which has only the public keys:
//! let keys = VerifyingKeys::from_jwks(&tokens.jwks(now).to_json())?;
//! let claims = Verifier::new(policy, keys).verify(token.expose(), now)?;
//! assert_eq!(claims.session, session);
//! assert_eq!(claims.user, authentication.user);
//! # Ok(())
//! # }
//! ```
//!
//! # Verification
//!
//! In this order; no step runs before the previous one has passed:
//!
//! 1. The token has at most [`MAX_TOKEN_LEN`] bytes and exactly three segments.
//! 2. The header segment equals, byte for byte, one that our own keys write. Nothing in a header is interpreted, so there
//!    is nothing to attack with `alg`, `typ`, `kid`, `crit` or `jku`. ([`Verifier::for_issuer`] has a strict parser
//!    instead, for issuers that write the same header differently; it finds a key by `kid` and `alg`, in its own set.)
//! 3. The signature is canonical base64url without padding, and was made by the key. HMACs are compared in constant time;
//!    Ed25519 signatures are verified strictly.
//! 4. The payload is parsed once, into typed [`Claims`]: a claim that is missing, has another JSON type or occurs twice
//!    is an error.
//! 5. Issuer, audience and times. A token has expired when `now >= exp + leeway`.
//!
//! Verification does no I/O and reads no clock: `now` is an argument.
//!
//! # Limits
//!
//! An access token stays valid until it expires, even after its session was revoked: the price of not asking the store.
//! Keep the lifetime short (the default is 5 minutes), or compare [`Claims::session`] with a feed of revocations.
//! Presenting an access token is not activity of the session. The payload is signed, not encrypted: the holder can read it.
//!
//! Key deny lists by [`Claims::token_id`], never by the text of the token: an ECDSA signature has two valid forms.
//!
//! # Features
//! | feature | brings |
//! |---|---|
//! | `experimental-dbsc` | `DeviceBinding`: sessions in cookies that are bound to a device, as a draft has them; it changes with the draft |

mod algorithm;
#[cfg(feature = "experimental-dbsc")]
mod dbsc;
mod dpop;
mod encoding;
mod keys;
mod oauth;
mod remote;
mod seal;
#[cfg(test)]
mod tests;
mod token_service;
mod tokens;

pub use algorithm::{Algorithm, AlgorithmNames};
#[cfg(feature = "experimental-dbsc")]
pub use dbsc::binding::{BindingEnforcement, BindingState, DeviceBinding, DeviceBindingError};
pub use dpop::key::ProvenKey;
pub use dpop::policy::{Dpop, DpopError, DpopMode};
pub use dpop::proof::ProofError;
pub use keys::error::KeyError;
pub use keys::external::{ExternalSigner, SigningError};
pub use keys::jwks::Jwks;
pub use keys::ring::{KeyInfo, KeyRing, KeyState};
pub use keys::rotation::{Rotation, RotationBuilder};
pub use keys::signing_key::SigningKey;
pub use keys::verifying_key::PublicKey;
pub use oauth::answer::Answer;
pub use oauth::attempt::{Attempt, Pending, Refusal};
pub use oauth::backchannel::{BackchannelLogout, ProviderUsers};
pub use oauth::clients::{ClientSecret, ClientStatus, Clients};
pub use oauth::endpoint::{LoginRequest, Step, TokenEndpoint, TokenRoute};
pub use oauth::fields::Fields;
pub use oauth::requirement::{AnyToken, TokenRequirement, acr_values};
pub use oauth::source::TokenSource;
pub use remote::fetch::{BoxError, FetchError, FetchJwks, JwksDocument};
pub use remote::limits::{FetchLimits, FetchLimitsBuilder, FetchLimitsError};
pub use remote::verifier::{JwksUrlError, RemoteVerifier, RemoteVerifyError};
pub use seal::JwtSeal;
pub use token_service::{AccountStatus, Accounts, AccountsError, TokenPair, TokenService, TokenServiceError};
pub use tokens::access_tokens::{AccessToken, AccessTokens, IssueError, Subject};
pub use tokens::account_claims::{AccountClaims, ClaimError};
pub use tokens::claims::Claims;
pub use tokens::error::VerifyError;
pub use tokens::gate::MAX_TOKEN_LEN;
pub use tokens::issuer_claims::IssuerClaims;
pub use tokens::logout_claims::LogoutClaims;
pub use tokens::policy::{TokenPolicy, TokenPolicyBuilder, TokenPolicyError};
pub use tokens::verifier::Verifier;
pub use tokens::verifying_keys::VerifyingKeys;
pub use zeroize::Zeroizing;
