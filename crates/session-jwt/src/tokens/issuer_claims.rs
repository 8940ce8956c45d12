//! [`IssuerClaims`]: what an access token of other software states.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use session_core::Timestamp;

use super::account_claims::ClaimError;
use super::claims::LAST_SECOND;
use super::error::VerifyError;
use super::payload::Audience;
use super::policy::TokenPolicy;

/// What a verified access token of other software states: of Keycloak, Entra ID, Auth0. Only verification creates one:
/// holding it proves that every check has passed.
///
/// Such tokens know nothing of our sessions, so little is required: `iss`, `aud`, `sub` and `exp`. `nbf`, `iat` and `scope`
/// are checked if they are there. `Debug` hides the subject and the token.
#[derive(Clone)]
#[non_exhaustive]
pub struct IssuerClaims {
    /// Whom the issuer means (`sub`): unique among its users, and no name of another issuer's.
    pub subject: String,
    /// The application that the token was issued to (`client_id`, or `azp`).
    pub client: Option<String>,
    /// What the token may be used for (`scope`), separated by blanks: see [`has_scope`](Self::has_scope).
    pub scope: Option<String>,
    /// When the user authenticated (`auth_time`).
    pub authenticated_at: Option<Timestamp>,
    /// How strongly (`acr`), in the terms of the issuer.
    pub acr: Option<String>,
    /// The identifier of this token (`jti`).
    pub token_id: Option<String>,
    /// When the token was issued (`iat`).
    pub issued_at: Option<Timestamp>,
    /// When the token expires (`exp`). A verifier adds the leeway.
    pub expires_at: Timestamp,
    payload: Vec<u8>,
}

/// Members that occur twice are refused.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    iss: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    aud: Option<Audience<'a>>,
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    auth_time: Option<f64>,
    client_id: Option<String>,
    azp: Option<String>,
    scope: Option<serde_json::Value>,
    acr: Option<serde_json::Value>,
    jti: Option<String>,
}

impl IssuerClaims {
    /// Whether the token may be used for `scope`, a single one.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.as_deref().is_some_and(|scopes| scopes.split(' ').any(|one| one == scope))
    }

    /// All claims of the token: any type that reads what it needs from an object, in which there are other claims too.
    ///
    /// # Errors
    /// [`ClaimError::Type`] if the token's are not of this type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ClaimError> {
        serde_json::from_slice(&self.payload).map_err(|_| ClaimError::Type)
    }

    /// Reads a signed payload and checks it: the only way to get [`IssuerClaims`].
    pub(super) fn check(json: Vec<u8>, policy: &TokenPolicy, now: Timestamp) -> Result<Self, VerifyError> {
        let raw: Read<'_> = serde_json::from_slice(&json).map_err(|_| VerifyError::Payload)?;
        if raw.iss.ok_or(VerifyError::Missing("iss"))? != policy.issuer() {
            return Err(VerifyError::Issuer);
        }
        if !raw.aud.ok_or(VerifyError::Missing("aud"))?.includes(policy.audience()) {
            return Err(VerifyError::Audience);
        }
        let subject = raw.sub.filter(|sub| !sub.is_empty()).ok_or(VerifyError::Missing("sub"))?;
        let expires_at = time(raw.exp, "exp")?.ok_or(VerifyError::Missing("exp"))?;
        let issued_at = time(raw.iat, "iat")?;
        let (earliest, latest) = (now - policy.leeway(), now + policy.leeway());
        if earliest >= expires_at {
            return Err(VerifyError::Expired);
        }
        if time(raw.nbf, "nbf")?.is_some_and(|nbf| nbf > latest) {
            return Err(VerifyError::NotYetValid);
        }
        if issued_at.is_some_and(|issued_at| issued_at > latest) {
            return Err(VerifyError::IssuedInFuture);
        }
        let begins = issued_at.unwrap_or(latest);
        if expires_at.since(begins) > policy.lifetime() || issued_at.is_some_and(|begins| expires_at <= begins) {
            return Err(VerifyError::Lifetime);
        }
        let text = |value: Option<serde_json::Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        Ok(Self {
            subject,
            client: raw.client_id.or(raw.azp),
            scope: text(raw.scope),
            authenticated_at: time(raw.auth_time, "auth_time")?,
            acr: text(raw.acr),
            token_id: raw.jti,
            issued_at,
            expires_at,
            payload: json,
        })
    }
}

/// A `NumericDate`, which may have a fraction (RFC 7519, section 2).
fn time(claim: Option<f64>, name: &'static str) -> Result<Option<Timestamp>, VerifyError> {
    let Some(seconds) = claim else { return Ok(None) };
    if !(0.0..=LAST_SECOND as f64).contains(&seconds) {
        return Err(VerifyError::Invalid(name));
    }
    Ok(Some(Timestamp::from_millis((seconds * 1000.0) as i64)))
}

impl fmt::Debug for IssuerClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerClaims")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
