//! [`AccountClaims`]: what the application has to say in an access token.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use session_core::Scope;

use super::payload::RESERVED;

/// What the application says of an account in an access token: roles, a tenant, a plan.
///
/// The holder of a token can read it, and it stays true until the token expires: put in what gateways and other services
/// decide by, and nothing that must be withdrawn at once. `Debug` shows the names only.
///
/// ```
/// use session_jwt::{AccountClaims, ClaimError};
///
/// #[derive(serde::Serialize)]
/// struct Mine<'a> { roles: &'a [&'a str], tenant: u32 }
///
/// let claims = AccountClaims::new().claims(&Mine { roles: &["admin"], tenant: 7 })?.claim("plan", "gold")?;
/// assert_eq!(AccountClaims::new().claim("sub", "mallory").unwrap_err(), ClaimError::Reserved);
/// # Ok::<_, ClaimError>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct AccountClaims {
    pub(super) extra: Map<String, Value>,
    scope: Option<Scope>,
}

/// A claim of the application cannot be written, or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The name is that of a claim which the library sets, or is empty.
    #[error("the name of this claim is taken: {RESERVED:?} are set by the library")]
    Reserved,
    /// The value is not JSON, or the claims are no object.
    #[error("the claim cannot be written as JSON; several at once must be a struct or a map")]
    Value,
    /// The token has no such claim, or one of another type.
    #[error("the token does not have the claims of this type; give claims that may be missing #[serde(default)]")]
    Type,
}

impl AccountClaims {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the account may do now: a token gets what is both in here and in what its session was granted. Without it, all
    /// that was granted.
    pub fn limit_scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Of `granted`, what the account may do now.
    pub(crate) fn limit(&self, granted: Scope) -> Scope {
        match &self.scope {
            Some(limit) => granted.intersection(limit),
            None => granted,
        }
    }

    /// One claim. Replaces one of the same name.
    ///
    /// # Errors
    /// [`ClaimError::Reserved`], [`ClaimError::Value`].
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Result<Self, ClaimError> {
        let (name, value) = (name.into(), serde_json::to_value(value).map_err(|_| ClaimError::Value)?);
        if name.is_empty() || RESERVED.contains(&name.as_str()) {
            return Err(ClaimError::Reserved);
        }
        self.extra.insert(name, value);
        Ok(self)
    }

    /// The fields of a struct, or the entries of a map, each as a claim.
    ///
    /// # Errors
    /// [`ClaimError::Reserved`], [`ClaimError::Value`].
    pub fn claims(self, values: &impl Serialize) -> Result<Self, ClaimError> {
        let Ok(Value::Object(values)) = serde_json::to_value(values) else { return Err(ClaimError::Value) };
        values.into_iter().try_fold(self, |claims, (name, value)| claims.claim(name, value))
    }
}

impl fmt::Debug for AccountClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccountClaims").field(&self.extra.keys().collect::<Vec<_>>()).finish()
    }
}
