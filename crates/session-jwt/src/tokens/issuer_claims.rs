//! [`IssuerClaims`]: what an access token of other software states.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use session_core::Timestamp;

use super::account_claims::ClaimError;
use super::claims::{Possession, names_scope};
use super::error::VerifyError;
use super::logout_claims::mentions_logout;
use super::members::{Members, Times};
use super::payload::Confirmation;
use super::policy::TokenPolicy;

/// What names the client: RFC 9068, OpenID Connect (Keycloak, Auth0, Entra ID), Okta, and Entra ID in version 1.
const CLIENT: [&str; 4] = ["client_id", "azp", "cid", "appid"];
/// What names the scope: RFC 9068, and Entra ID and Okta.
const SCOPE: [&str; 2] = ["scope", "scp"];

/// What a verified access token of other software states: of Keycloak, Entra ID, Auth0, Okta. Only verification creates one:
/// holding it proves that every check has passed.
///
/// Such tokens know nothing of our sessions, so little is required: `iss`, `aud`, `sub` and `exp`. `nbf`, `iat`, `auth_time`
/// and `scope` are checked if they are there; a claim that is `null` is not. Without `iat`, the token has at most the
/// policy's [lifetime](TokenPolicy::lifetime) left. A claim that occurs twice is an error, and so is a logout token. `Debug`
/// hides the subject and the token.
#[derive(Clone)]
#[non_exhaustive]
pub struct IssuerClaims {
    /// Whom the issuer means (`sub`): unique among its users, and no name of another issuer's.
    pub subject: String,
    /// The application that the token was issued to (`client_id`, `azp`, `cid` or `appid`).
    pub client: Option<String>,
    /// What the token may be used for (`scope`, or `scp`; a text or an array), separated by blanks: see [`has_scope`](Self::has_scope).
    pub scope: Option<String>,
    /// The thumbprint of the key that the token is bound to (`cnf.jkt`, RFC 9449): whoever presented it has proved to have it.
    pub key: Option<String>,
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

impl IssuerClaims {
    /// Whether the token may be used for `scope`, a single one.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        names_scope(self.scope.as_deref(), scope)
    }

    /// All claims of the token: any type that reads what it needs from an object, in which there are other claims too.
    ///
    /// # Errors
    /// [`ClaimError::Type`] if the token's are not of this type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ClaimError> {
        serde_json::from_slice(&self.payload).map_err(|_| ClaimError::Type)
    }

    /// Reads a signed payload and checks it: the only way to get [`IssuerClaims`].
    pub(super) fn check(
        json: Vec<u8>,
        policy: &TokenPolicy,
        now: Timestamp,
        possession: Possession<'_>,
    ) -> Result<Self, VerifyError> {
        let claims = Members::parse(&json)?;
        claims.check_names(policy)?;
        // Signed by the same keys, and maybe without a `typ` of its own.
        if mentions_logout(&claims) {
            return Err(VerifyError::Type);
        }
        let subject = claims.text("sub")?.ok_or(VerifyError::Missing("sub"))?;
        let Times { issued_at, expires_at } = claims.check_times(policy, now)?;
        let authenticated_at = claims.time("auth_time")?;
        if authenticated_at.is_some_and(|at| at > now + policy.ahead()) {
            return Err(VerifyError::Invalid("auth_time"));
        }
        let mut client = None;
        for name in CLIENT {
            let named = claims.text(name)?;
            client = client.or(named);
        }
        let acr = claims.get::<Value>("acr")?.and_then(|acr| acr.as_str().map(str::to_owned));
        let (scope, token_id) = (scope(&claims)?, claims.text("jti")?);
        let key = match claims.get("cnf")? {
            None => None,
            Some(Confirmation::Key(key)) => Some(key.into_inner().into_owned()),
            Some(Confirmation::Unknown) => return Err(VerifyError::Confirmation),
        };
        possession.allows(key.as_deref())?;
        Ok(Self { subject, client, scope, key, authenticated_at, acr, token_id, issued_at, expires_at, payload: json })
    }
}

/// One text, or an array of scopes. None of them has a blank: it would be read as two.
fn scope(claims: &Members<'_>) -> Result<Option<String>, VerifyError> {
    for name in SCOPE {
        match claims.get::<Value>(name)? {
            None => {}
            Some(Value::String(text)) => return Ok(Some(text)),
            Some(value) => {
                let all: Vec<String> = serde_json::from_value(value).map_err(|_| VerifyError::Invalid(name))?;
                if all.iter().any(|one| one.is_empty() || one.contains(' ')) {
                    return Err(VerifyError::Invalid(name));
                }
                return Ok(Some(all.join(" ")));
            }
        }
    }
    Ok(None)
}

impl fmt::Debug for IssuerClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerClaims")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
