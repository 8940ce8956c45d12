//! The extractors [`Bearer`] and [`LiveBearer`].

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use session_core::adapter::BearerRejectionKind;
use session_core::{SessionManager, SessionSummary};
use session_jwt::{AnyToken, Claims, IssuerClaims, TokenRequirement, TokenSource};

use super::rejection::BearerRejection;
use crate::head::Head;

/// The claims of a valid access token that meets the requirement `R`. Dereferences to [`Claims`]. No round trip: that a
/// session was revoked is noticed when the token expires; that it began before
/// [`not_before`](session_core::Policy::not_before), at once, unless there is only a [`verifier`](crate::BearerLayer::verifier),
/// which knows no policy of sessions.
///
/// As `Option<Bearer>`, for routes that also work without a token: `None` without one, and a rejection if it is invalid.
///
/// ```
/// use session_tower::{Bearer, TokenRequirement};
///
/// struct Payments;
///
/// impl TokenRequirement for Payments {
///     const SCOPES: &'static [&'static str] = &["payments:write"];
/// }
///
/// async fn pay(bearer: Bearer<Payments>) -> String {
///     format!("{} may pay", bearer.user.as_str())
/// }
/// ```
///
/// # Errors
/// [`BearerRejection`]
pub struct Bearer<R = AnyToken> {
    claims: Claims,
    requirement: PhantomData<fn() -> R>,
}

impl<R> Clone for Bearer<R> {
    fn clone(&self) -> Self {
        Self { claims: self.claims.clone(), requirement: PhantomData }
    }
}

impl<R> fmt::Debug for Bearer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bearer").field(&self.claims).finish()
    }
}

impl<R> Deref for Bearer<R> {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.claims
    }
}

impl<S: Send + Sync, R: TokenRequirement> FromRequestParts<S> for Bearer<R> {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, BearerRejection> {
        let source = parts.extensions.get::<TokenSource>().ok_or(BearerRejectionKind::LayerMissing)?;
        match source.open::<R>(&Head::from(&*parts)).await {
            Ok(claims) => Ok(Self { claims, requirement: PhantomData }),
            Err(kind) => Err(BearerRejection::at::<R>(source, kind)),
        }
    }
}

impl<S: Send + Sync, R: TokenRequirement> OptionalFromRequestParts<S> for Bearer<R> {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, BearerRejection> {
        none_if_missing(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await)
    }
}

/// `None` without a token. Every other rejection stays.
fn none_if_missing<T>(extracted: Result<T, BearerRejection>) -> Result<Option<T>, BearerRejection> {
    match extracted {
        Ok(bearer) => Ok(Some(bearer)),
        Err(rejection) if rejection.kind() == BearerRejectionKind::Missing => Ok(None),
        Err(rejection) => Err(rejection),
    }
}

/// The claims of a valid access token of other software, which [`BearerLayer::verifier`](crate::BearerLayer::verifier) or
/// [`BearerLayer::remote`](crate::BearerLayer::remote) verifies. Dereferences to [`IssuerClaims`]. No round trip, but for
/// keys.
///
/// Tokens of others often live for an hour: the [lifetime](session_jwt::TokenPolicy::lifetime) of the verifier's policy, five
/// minutes by default, must be as long. A [level](TokenRequirement::LEVEL) is never met: what an `acr` means knows its issuer
/// alone.
///
/// # Errors
/// [`BearerRejection`]
pub struct ForeignBearer<R = AnyToken> {
    claims: IssuerClaims,
    requirement: PhantomData<fn() -> R>,
}

impl<R> Clone for ForeignBearer<R> {
    fn clone(&self) -> Self {
        Self { claims: self.claims.clone(), requirement: PhantomData }
    }
}

impl<R> fmt::Debug for ForeignBearer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForeignBearer").field(&self.claims).finish()
    }
}

impl<R> Deref for ForeignBearer<R> {
    type Target = IssuerClaims;

    fn deref(&self) -> &IssuerClaims {
        &self.claims
    }
}

impl<S: Send + Sync, R: TokenRequirement> FromRequestParts<S> for ForeignBearer<R> {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, BearerRejection> {
        let source = parts.extensions.get::<TokenSource>().ok_or(BearerRejectionKind::LayerMissing)?;
        match source.open_foreign::<R>(&Head::from(&*parts)).await {
            Ok(claims) => Ok(Self { claims, requirement: PhantomData }),
            Err(kind) => Err(BearerRejection::at::<R>(source, kind)),
        }
    }
}

impl<S: Send + Sync, R: TokenRequirement> OptionalFromRequestParts<S> for ForeignBearer<R> {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, BearerRejection> {
        none_if_missing(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await)
    }
}

/// A [`Bearer`] whose session is alive by the store: for what a session that was revoked a moment ago must not do.
/// Dereferences to [`Bearer`]. One round trip; where sessions are cached, none after the first, and "a moment" is what the cache
/// allows. A requirement that says [`Latest`](TokenRequirement::FRESHNESS) has its round trip each time.
///
/// As `Option<LiveBearer>`: `None` without a token, and a rejection if it is invalid, if its session has ended, or if the
/// store failed.
///
/// # Errors
/// [`BearerRejection`]
pub struct LiveBearer<R = AnyToken> {
    bearer: Bearer<R>,
    session: SessionSummary,
    manager: SessionManager,
}

impl<R> Clone for LiveBearer<R> {
    fn clone(&self) -> Self {
        Self { bearer: self.bearer.clone(), session: self.session.clone(), manager: self.manager.clone() }
    }
}

impl<R> fmt::Debug for LiveBearer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveBearer")
            .field("bearer", &self.bearer)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl<R> LiveBearer<R> {
    /// The session, as it is stored now; or as a copy of it is.
    #[must_use]
    pub fn session(&self) -> &SessionSummary {
        &self.session
    }

    /// The manager: to list and revoke the user's sessions.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.manager
    }
}

impl<R> Deref for LiveBearer<R> {
    type Target = Bearer<R>;

    fn deref(&self) -> &Bearer<R> {
        &self.bearer
    }
}

impl<S: Send + Sync, R: TokenRequirement> FromRequestParts<S> for LiveBearer<R> {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, BearerRejection> {
        let bearer = <Bearer<R> as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let source = parts.extensions.get::<TokenSource>().ok_or(BearerRejectionKind::LayerMissing)?;
        match source.live_session::<R>(&bearer, &Head::from(&*parts)).await {
            Ok((session, manager)) => Ok(Self { bearer, session, manager }),
            Err(kind) => Err(BearerRejection::at::<R>(source, kind)),
        }
    }
}

impl<S: Send + Sync, R: TokenRequirement> OptionalFromRequestParts<S> for LiveBearer<R> {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, BearerRejection> {
        none_if_missing(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await)
    }
}
