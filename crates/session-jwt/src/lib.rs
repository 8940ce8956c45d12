//! Access tokens for sessions: short-lived JWTs (RFC 9068, `typ: at+jwt`) that are checked without a store.
//!
//! - [`KeyRing`]: the keys that sign, the ones that will, and the ones whose tokens still live. [`SigningKey`] for
//!   HS256, EdDSA (Ed25519) or ES256 (P-256).
//! - [`AccessTokens`]: issues, and verifies its own.
//! - [`Verifier`]: verifies only, with public keys ([`VerifyingKeys`]) from a [`Jwks`] document.
//!
//! ```
//! use std::time::Duration;
//! use session_core::{Assurance, Authentication, OsEntropy, SessionId, Timestamp, UserId};
//! use session_jwt::{AccessTokens, Algorithm, Subject, KeyRing, Rotation, TokenPolicy, Verifier, VerifyingKeys};
//!
//! let now = Timestamp::from_millis(1_767_225_600_000);
//! let policy = TokenPolicy::new("https://login.example", "https://api.example")?;
//! let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), now, &OsEntropy)?;
//! let tokens = AccessTokens::new(policy.clone(), ring)?;
//!
//! let authentication = Authentication::new(UserId::new("alice")?, now, Assurance::Aal1);
//! let session = SessionId::generate(Some(&authentication.user), &OsEntropy)?;
//! let deadline = now + Duration::from_secs(8 * 3600);
//! let token = tokens.issue(&Subject { session, authentication: &authentication, deadline }, now)?;
//!
//! // On another server, which has the public keys only:
//! let keys = VerifyingKeys::from_jwks(&tokens.jwks(now).to_json())?;
//! let claims = Verifier::new(policy, keys).verify(token.expose(), now)?;
//! assert_eq!(claims.session, session);
//! assert_eq!(claims.user, authentication.user);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What verification does
//!
//! In this order, and nothing is looked at before the step before it has passed:
//!
//! 1. The token has at most [`MAX_TOKEN_LEN`] bytes, and exactly three segments.
//! 2. The header segment is, byte for byte, one that our own keys would have written. Nothing in a header is
//!    interpreted, so `alg`, `typ`, `kid`, `crit` or `jku` cannot confuse anybody. ([`Verifier::for_issuer`] has a strict
//!    parser instead, for issuers that write the same header differently.)
//! 3. The signature is base64url without padding, in its one spelling, and is the key's. HMACs are compared in constant
//!    time; Ed25519 signatures are verified strictly.
//! 4. The payload is parsed once, into typed [`Claims`]: a claim that is missing, has another JSON type or occurs twice
//!    is an error.
//! 5. Issuer, audience, and times. A token is expired when `now >= exp + leeway`.
//!
//! There is no I/O in it, and no clock: `now` is an argument.
//!
//! # What it does not do
//!
//! An access token stays valid until it expires, although its session was ended: that is the price of not asking the
//! store. Keep the lifetime short (the default is 5 minutes), or compare [`Claims::session`] with a feed of
//! revocations. To present an access token is no activity of the session. The payload is signed, not encrypted: its
//! holder can read it.
//!
//! Deny lists are keyed by [`Claims::token_id`], never by the token's text: an ECDSA signature has two valid forms.

mod algorithm;
mod claims;
mod encoding;
mod header;
mod hybrid;
mod jwk;
mod key;
mod policy;
mod public;
mod ring;
mod ring_file;
mod seal;
mod secret;
#[cfg(test)]
mod tests;
mod tokens;
mod verify;
mod verifying_keys;

pub use algorithm::Algorithm;
pub use claims::Claims;
pub use hybrid::{
    AccountStatus, Accounts, AccountsError, HybridConfigError, TokenPair, TokenService, TokenServiceError,
};
pub use jwk::Jwks;
pub use key::{Ed25519Key, HmacKey, KeyError, P256Key, SigningKey};
pub use policy::{TokenPolicy, TokenPolicyError};
pub use public::PublicKey;
pub use ring::{KeyInfo, KeyRing, KeyState, Rotation};
pub use seal::{JwtSeal, SealError};
pub use tokens::{AccessToken, AccessTokens, IssueError, Subject};
pub use verify::{MAX_TOKEN_LEN, Verifier, VerifyError};
pub use verifying_keys::VerifyingKeys;
