//! The extractors [`Bearer`], [`ForeignBearer`] and [`LiveBearer`].

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use session_core::adapter::BearerRejectionKind;
use session_core::{SessionManager, SessionSummary};
use session_jwt::{AnyToken, Claims, IssuerClaims, TokenRequirement, TokenSource};

use super::auth::InsideAuth;
use super::rejection::BearerRejection;
use crate::LocalBoxFuture;
use crate::head::Head;
use crate::refusal::log_missing;

/// The claims of a valid access token that meets the requirement `R`. Dereferences to [`Claims`]. No round trip: that a
/// session was revoked is noticed when the token expires; that it began before
/// [`not_before`](session_core::Policy::not_before), at once, unless there is only a [`verifier`](crate::BearerAuth::verifier),
/// which knows no policy of sessions.
///
/// As `Option<Bearer>`, for routes that also work without a token: `None` without one. If it is invalid, the request is
/// answered with a rejection. Without a [`BearerAuth`](crate::BearerAuth) around the route there is nothing that could answer:
/// `None` then, whatever the token, and the first time in each worker an error in the log. (With session-tower it is an error, 500.)
///
/// ```
/// use session_actix::{Bearer, TokenRequirement};
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
/// [`BearerRejection`] with [`BearerRejectionKind::Missing`], and [`BearerRejectionKind::LayerMissing`] without a
/// [`BearerAuth`](crate::BearerAuth) around the route. After all else it does not return: `BearerAuth` answers.
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

impl<R: TokenRequirement> FromRequest for Bearer<R> {
    type Error = BearerRejection;
    type Future = LocalBoxFuture<Result<Self, BearerRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(extract::<R, _>(request.clone(), async |source, head| {
            Ok(Self { claims: source.open::<R>(head).await?, requirement: PhantomData })
        }))
    }
}

/// What `open` makes of the request, at a route that wants `R`. Unless there is no token, or nowhere to take one from, this does
/// not return what is not there.
async fn extract<R: TokenRequirement, T>(
    request: HttpRequest,
    open: impl AsyncFnOnce(&TokenSource, &Head<'_>) -> Result<T, BearerRejectionKind>,
) -> Result<T, BearerRejection> {
    let inside = request.extensions().get::<InsideAuth>().cloned();
    let Some(InsideAuth { source, refuser }) = inside else {
        thread_local!(static LOGGED: Cell<bool> = const { Cell::new(false) });
        let rejection = BearerRejection::from(BearerRejectionKind::LayerMissing);
        log_missing(&LOGGED, &request, &rejection);
        return Err(rejection);
    };
    match open(&source, &Head(&request)).await {
        Ok(opened) => Ok(opened),
        Err(kind @ BearerRejectionKind::Missing) => Err(BearerRejection::at::<R>(&source, kind)),
        Err(kind) => Err(refuser.refuse(&request, BearerRejection::at::<R>(&source, kind)).await),
    }
}

/// The claims of a valid access token of other software, which [`BearerAuth::verifier`](crate::BearerAuth::verifier) or
/// [`BearerAuth::remote`](crate::BearerAuth::remote) verifies. Dereferences to [`IssuerClaims`]. No round trip, but for
/// keys.
///
/// Tokens of others often live for an hour: the [lifetime](session_jwt::TokenPolicy::lifetime) of the verifier's policy, five
/// minutes by default, must be as long. A [level](TokenRequirement::LEVEL) is never met: what an `acr` means knows its issuer
/// alone.
///
/// # Errors
/// As [`Bearer`].
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

impl<R: TokenRequirement> FromRequest for ForeignBearer<R> {
    type Error = BearerRejection;
    type Future = LocalBoxFuture<Result<Self, BearerRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(extract::<R, _>(request.clone(), async |source, head| {
            Ok(Self { claims: source.open_foreign::<R>(head).await?, requirement: PhantomData })
        }))
    }
}

/// A [`Bearer`] whose session is alive by the store: for what a session that was revoked a moment ago must not do.
/// Dereferences to [`Bearer`]. One round trip; where sessions are cached, none after the first, and "a moment" is what the cache
/// allows. A requirement that says [`Latest`](TokenRequirement::FRESHNESS) has its round trip each time.
///
/// As `Option<LiveBearer>`: `None` without a token. If it is invalid, if its session has ended, or if the store failed, the
/// request is answered with a rejection.
///
/// # Errors
/// As [`Bearer`].
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

impl<R: TokenRequirement> FromRequest for LiveBearer<R> {
    type Error = BearerRejection;
    type Future = LocalBoxFuture<Result<Self, BearerRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(extract::<R, _>(request.clone(), async |source, head| {
            let claims = source.open::<R>(head).await?;
            let (session, manager) = source.live_session::<R>(&claims, head).await?;
            Ok(Self { bearer: Bearer { claims, requirement: PhantomData }, session, manager })
        }))
    }
}
