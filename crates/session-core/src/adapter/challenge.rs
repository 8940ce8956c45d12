//! `WWW-Authenticate` of answers to requests with and without access tokens.

use std::fmt::Write as _;
use std::time::Duration;

use super::rejection::BearerRejectionKind;

/// What challenges say of the resource server, beside the error: RFC 6750, section 3, RFC 9449, section 7.1, and RFC 9728,
/// section 5.1. Nothing, unless it is told.
///
/// ```
/// use session_core::adapter::{BearerRejectionKind, Challenge, Requirement};
///
/// let challenge = Challenge::new()
///     .realm("orders")?
///     .resource_metadata("https://api.example/.well-known/oauth-protected-resource")?;
/// let value = challenge.of(BearerRejectionKind::InsufficientScope, &Requirement { scope: Some("orders:write"), ..Requirement::NONE });
/// assert_eq!(
///     value.as_deref(),
///     Some(concat!(
///         r#"Bearer realm="orders", error="insufficient_scope", "#,
///         r#"error_description="the access token does not have the scope that is needed", scope="orders:write", "#,
///         r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#,
///     ))
/// );
/// # Ok::<_, session_core::adapter::ChallengeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Challenge {
    realm: Option<String>,
    resource_metadata: Option<String>,
    dpop: Option<DpopChallenge>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DpopChallenge {
    algorithms: String,
    is_required: bool,
}

/// The text cannot be part of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a parameter of a challenge must have 1 to 512 visible ASCII characters or blanks, and no quote or backslash")]
pub struct ChallengeError;

/// What a route wants of an access token, as a challenge says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirement<'r> {
    /// The scope that is needed, separated by blanks.
    pub scope: Option<&'r str>,
    /// The levels of authentication that will do, as in the claim `acr`, separated by blanks.
    pub acr_values: Option<&'r str>,
    /// How long ago the user may have authenticated.
    pub max_age: Option<Duration>,
}

impl Requirement<'_> {
    /// Any valid token will do.
    pub const NONE: Self = Self { scope: None, acr_values: None, max_age: None };
}

impl Challenge {
    /// Only what the error demands.
    pub fn new() -> Self {
        Self::default()
    }

    /// The protection space (RFC 9110).
    ///
    /// # Errors
    /// [`ChallengeError`]
    pub fn realm(self, realm: impl Into<String>) -> Result<Self, ChallengeError> {
        Ok(Self { realm: Some(quotable(realm.into())?), ..self })
    }

    /// The URL of the document that describes this resource and its authorization servers (RFC 9728).
    ///
    /// # Errors
    /// [`ChallengeError`]
    pub fn resource_metadata(self, url: impl Into<String>) -> Result<Self, ChallengeError> {
        Ok(Self { resource_metadata: Some(quotable(url.into())?), ..self })
    }

    /// Tokens may be bound to a key whose proofs are signed with one of `algorithms`, separated by blanks (RFC 9449, section
    /// 7.1); or they must be, and the scheme `Bearer` is not offered.
    ///
    /// # Errors
    /// [`ChallengeError`]
    pub fn dpop(self, algorithms: impl Into<String>, is_required: bool) -> Result<Self, ChallengeError> {
        let algorithms = quotable(algorithms.into())?;
        Ok(Self { dpop: Some(DpopChallenge { algorithms, is_required }), ..self })
    }

    /// The value of `WWW-Authenticate` for a rejection, at a route that wants `requirement`. `None` where no other token
    /// would help.
    #[must_use]
    pub fn of(&self, kind: BearerRejectionKind, requirement: &Requirement<'_>) -> Option<String> {
        let error = kind.challenge()?;
        let is_of_proof = matches!(kind, BearerRejectionKind::InvalidProof | BearerRejectionKind::NonceNeeded);
        let offers_bearer = self.dpop.as_ref().is_none_or(|dpop| !dpop.is_required && !is_of_proof);
        let mut text = String::new();
        if offers_bearer {
            self.add("Bearer", None, kind, error, requirement, &mut text);
        }
        if let Some(dpop) = &self.dpop {
            self.add("DPoP", Some(&dpop.algorithms), kind, error, requirement, &mut text);
        }
        Some(text)
    }

    /// Appends the challenge of one scheme.
    fn add(
        &self,
        scheme: &str,
        algorithms: Option<&str>,
        kind: BearerRejectionKind,
        error: Option<&str>,
        requirement: &Requirement<'_>,
        text: &mut String,
    ) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(scheme);
        let mut first = true;
        let mut add = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{} {name}=\"{value}\"", if std::mem::take(&mut first) { "" } else { "," });
        };
        if let Some(realm) = &self.realm {
            add("realm", realm);
        }
        if let Some(error) = error {
            add("error", error);
            add("error_description", &kind.to_string());
        }
        if let Some(scope) = requirement.scope {
            add("scope", scope);
        }
        if kind == BearerRejectionKind::InsufficientAuthentication {
            if let Some(acr_values) = requirement.acr_values {
                add("acr_values", acr_values);
            }
            if let Some(max_age) = requirement.max_age {
                add("max_age", &max_age.as_secs().to_string());
            }
        }
        if let Some(algorithms) = algorithms {
            add("algs", algorithms);
        }
        if let Some(url) = &self.resource_metadata {
            add("resource_metadata", url);
        }
    }
}

/// What needs no escape in a quoted string (RFC 9110), nor in the stricter grammar of RFC 6750.
fn quotable(text: String) -> Result<String, ChallengeError> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if (1..=512).contains(&text.len()) && text.bytes().all(is_plain) { Ok(text) } else { Err(ChallengeError) }
}
