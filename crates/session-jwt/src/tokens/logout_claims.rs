//! [`LogoutClaims`]: what a logout token states.

use std::fmt;

use session_core::Timestamp;

use super::claims::MAX_ID_LEN;
use super::error::VerifyError;
use super::members::{Members, Times};
use super::policy::TokenPolicy;

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a verified logout token states (OpenID Connect Back-Channel Logout 1.0, section 2.4). Only verification creates one:
/// holding it proves that every check has passed, but whether the token was used before.
///
/// `Debug` hides the subject and the session.
#[derive(Clone)]
#[non_exhaustive]
pub struct LogoutClaims {
    /// The provider (`iss`): what its sessions are told apart by
    /// ([`Login::provider_session`](session_core::Login::provider_session)).
    pub issuer: String,
    /// Whom the provider means (`sub`): unique among its users, and no name of another provider's.
    pub subject: Option<String>,
    /// The session of the provider that has ended (`sid`). Without it, all of the subject's have. One of the two is there.
    pub sid: Option<String>,
    /// The identifier of this token (`jti`).
    pub token_id: String,
    /// When the token was issued (`iat`).
    pub issued_at: Timestamp,
    /// When the token expires (`exp`). A verifier adds the leeway.
    pub expires_at: Timestamp,
}

impl LogoutClaims {
    /// Reads a signed payload and checks it: the only way to get [`LogoutClaims`].
    pub(super) fn check(json: &[u8], policy: &TokenPolicy, now: Timestamp) -> Result<Self, VerifyError> {
        let claims = Members::parse(json)?;
        claims.check_names(policy)?;
        let Times { issued_at, expires_at } = claims.check_times(policy, now)?;
        let issued_at = issued_at.ok_or(VerifyError::Missing("iat"))?;
        if !is_logout(&claims)? {
            return Err(VerifyError::Missing("events"));
        }
        // An ID token has it: neither is taken for the other.
        if claims.has("nonce") {
            return Err(VerifyError::Invalid("nonce"));
        }
        let token_id = claims.text("jti")?.ok_or(VerifyError::Missing("jti"))?;
        if token_id.len() > MAX_ID_LEN {
            return Err(VerifyError::Invalid("jti"));
        }
        let (subject, sid) = (name(&claims, "sub")?, name(&claims, "sid")?);
        if subject.is_none() && sid.is_none() {
            return Err(VerifyError::Missing("sub"));
        }
        Ok(Self { issuer: policy.issuer().to_owned(), subject, sid, token_id, issued_at, expires_at })
    }
}

/// Whether `events` has the member that makes it one, with an object as its value.
pub(super) fn is_logout(claims: &Members<'_>) -> Result<bool, VerifyError> {
    let Some(events) = claims.get::<&serde_json::value::RawValue>("events")? else { return Ok(false) };
    let invalid = |_| VerifyError::Invalid("events");
    let events = Members::parse(events.get().as_bytes()).map_err(invalid)?;
    if !events.has(EVENT) {
        return Ok(false);
    }
    let event: Option<serde_json::Map<String, serde_json::Value>> = events.get(EVENT).map_err(invalid)?;
    if event.is_some() { Ok(true) } else { Err(VerifyError::Invalid("events")) }
}

/// Whether `events` has that member, whatever its value: then it is nothing else.
pub(super) fn mentions_logout(claims: &Members<'_>) -> bool {
    let Ok(Some(events)) = claims.get::<&serde_json::value::RawValue>("events") else { return false };
    match Members::parse(events.get().as_bytes()) {
        Ok(events) => events.has(EVENT),
        Err(error) => error == VerifyError::Duplicate,
    }
}

/// A text that may be missing. An empty one is not taken for a missing one: without `sid`, more ends.
fn name(claims: &Members<'_>, name: &'static str) -> Result<Option<String>, VerifyError> {
    match claims.get::<String>(name)? {
        Some(text) if text.is_empty() => Err(VerifyError::Invalid(name)),
        text => Ok(text),
    }
}

impl fmt::Debug for LogoutClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutClaims")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
