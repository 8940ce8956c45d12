//! [`TokenRequirement`]: what a route wants of an access token, and whether a token has it.

use std::time::Duration;

use session_core::adapter::BearerRejectionKind;
use session_core::store::Freshness;
use session_core::{Assurance, Timestamp};

use crate::tokens::claims::Claims;
use crate::tokens::issuer_claims::IssuerClaims;

/// What a route wants of an access token, beside that it is valid: the parameter of the extractors of an adapter.
///
/// ```
/// use std::time::Duration;
/// use session_core::Assurance;
/// use session_jwt::TokenRequirement;
///
/// struct Payments;
///
/// impl TokenRequirement for Payments {
///     const SCOPES: &'static [&'static str] = &["payments:write"];
///     const LEVEL: Option<Assurance> = Some(Assurance::Aal2);
///     const MAX_AGE: Option<Duration> = Some(Duration::from_secs(300));
/// }
/// ```
pub trait TokenRequirement: Send + Sync + 'static {
    /// The scope tokens that it must have, all of them; else 403 `insufficient_scope`.
    const SCOPES: &'static [&'static str] = &[];
    /// The level at which the user must have authenticated; else 401 `insufficient_user_authentication` (RFC 9470): the client
    /// lets the user log in once more, more strongly, in place of the session.
    const LEVEL: Option<Assurance> = None;
    /// How long ago at most that may have been, else the same. Tokens tell it in whole seconds.
    const MAX_AGE: Option<Duration> = None;
    /// Whether a copy of its session will do, where sessions are cached: for `LiveBearer`, which asks whether it is alive. Whoever
    /// must not be told "yes" for as long after its end as the cache allows, asks for [`Freshness::Latest`].
    const FRESHNESS: Freshness = Freshness::Cached;
}

/// Any valid access token will do.
#[derive(Clone, Copy, Debug)]
pub struct AnyToken;

impl TokenRequirement for AnyToken {}

impl Claims {
    /// Whether the token has at `now` what `R` wants; for adapters.
    ///
    /// # Errors
    /// [`BearerRejectionKind::InsufficientScope`], [`BearerRejectionKind::InsufficientAuthentication`].
    pub fn meets<R: TokenRequirement>(&self, now: Timestamp) -> Result<(), BearerRejectionKind> {
        demand::<R>(|scope| self.has_scope(scope), self.level, Some(self.authenticated_at), now)
    }
}

impl IssuerClaims {
    /// Whether the token has at `now` what `R` wants; for adapters. Never a level: what its `acr` means knows its issuer alone.
    ///
    /// # Errors
    /// [`BearerRejectionKind::InsufficientScope`], [`BearerRejectionKind::InsufficientAuthentication`].
    pub fn meets<R: TokenRequirement>(&self, now: Timestamp) -> Result<(), BearerRejectionKind> {
        demand::<R>(|scope| self.has_scope(scope), None, self.authenticated_at, now)
    }
}

fn demand<R: TokenRequirement>(
    has_scope: impl Fn(&str) -> bool,
    reached: Option<Assurance>,
    authenticated_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), BearerRejectionKind> {
    if !R::SCOPES.iter().all(|scope| has_scope(scope)) {
        return Err(BearerRejectionKind::InsufficientScope);
    }
    let is_strong = R::LEVEL.is_none_or(|level| reached.is_some_and(|reached| reached >= level));
    let is_recent = R::MAX_AGE.is_none_or(|max_age| authenticated_at.is_some_and(|at| now < at + max_age));
    if is_strong && is_recent { Ok(()) } else { Err(BearerRejectionKind::InsufficientAuthentication) }
}

/// The levels that will do for `level`, as access tokens name them: `acr_values` of a challenge (RFC 9470).
#[must_use]
pub const fn acr_values(level: Assurance) -> &'static str {
    match level {
        Assurance::Aal1 => "aal1 aal2 aal3",
        Assurance::Aal2 => "aal2 aal3",
        Assurance::Aal3 => "aal3",
    }
}
