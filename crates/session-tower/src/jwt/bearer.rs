//! [`BearerLayer`], and the extractors [`Bearer`] and [`LiveBearer`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Request};
use session_core::{Clock, SessionManager, SessionSummary, SystemClock};
use session_jwt::{Claims, TokenService, Verifier, VerifyError};
use tower_layer::Layer;
use tower_service::Service;

use super::rejection::BearerRejection;

/// Tells the extractors inside it who verifies access tokens. Looks at no request itself.
///
/// ```
/// use std::sync::Arc;
/// use axum::{Router, routing::get};
/// use session_jwt::TokenService;
/// use session_tower::{Bearer, BearerLayer};
///
/// async fn me(bearer: Bearer) -> String {
///     format!("Hello {}", bearer.user.as_str()) // 401 without a valid token
/// }
///
/// fn api(hybrid: Arc<TokenService>) -> Router {
///     Router::new().route("/me", get(me)).layer(BearerLayer::new(hybrid))
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BearerLayer {
    by: By,
}

#[derive(Clone)]
enum By {
    TokenService(Arc<TokenService>),
    Verifier(Arc<Verifier>, Arc<dyn Clock>),
}

impl BearerLayer {
    /// By the issuer itself, which can ask the store too.
    pub fn new(hybrid: Arc<TokenService>) -> Self {
        Self { by: By::TokenService(hybrid) }
    }

    /// By public keys alone: on a server that has no store. [`LiveBearer`] cannot be used there.
    pub fn verifier(verifier: Arc<Verifier>) -> Self {
        Self::verifier_with_clock(verifier, SystemClock)
    }

    /// As [`verifier`](Self::verifier), with another clock than the operating system's.
    pub fn verifier_with_clock(verifier: Arc<Verifier>, clock: impl Clock) -> Self {
        Self { by: By::Verifier(verifier, Arc::new(clock)) }
    }
}

impl By {
    fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        match self {
            Self::TokenService(hybrid) => hybrid.verify(token),
            Self::Verifier(verifier, clock) => verifier.verify(token, clock.now()),
        }
    }
}

impl fmt::Debug for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokenService(_) => "TokenService",
            Self::Verifier(..) => "Verifier",
        })
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> BearerService<S> {
        BearerService { inner, by: self.by.clone() }
    }
}

/// The service that [`BearerLayer`] makes of another one.
#[derive(Clone, Debug)]
pub struct BearerService<S> {
    inner: S,
    by: By,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for BearerService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.by.clone());
        self.inner.call(request)
    }
}

/// The claims of a valid access token. Dereferences to [`Claims`]. No round trip: a session that was revoked is noticed
/// when the token expires.
///
/// As `Option<Bearer>`, for routes that take something else too: `None` without a token, and a rejection for an invalid
/// one.
///
/// # Errors
/// [`BearerRejection`]
#[derive(Clone, Debug)]
pub struct Bearer(Claims);

impl Deref for Bearer {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, BearerRejection> {
        let by = parts.extensions.get::<By>().ok_or(BearerRejection::LayerMissing)?;
        let token = token(&parts.headers)?.ok_or(BearerRejection::Missing)?;
        by.verify(token).map(Self).map_err(|_| BearerRejection::Invalid)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Bearer {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, BearerRejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(bearer) => Ok(Some(bearer)),
            Err(BearerRejection::Missing) => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}

/// A [`Bearer`] whose session the store says is alive: for what must not be done with a session that was revoked a moment
/// ago. Dereferences to [`Bearer`]. One round trip.
///
/// # Errors
/// [`BearerRejection`]
#[derive(Clone, Debug)]
pub struct LiveBearer {
    bearer: Bearer,
    session: SessionSummary,
    manager: SessionManager,
}

impl LiveBearer {
    /// The session, as it is stored now.
    #[must_use]
    pub fn session(&self) -> &SessionSummary {
        &self.session
    }

    /// Where the session is kept: to list and revoke the user's sessions.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.manager
    }
}

impl Deref for LiveBearer {
    type Target = Bearer;

    fn deref(&self) -> &Bearer {
        &self.bearer
    }
}

impl<S: Send + Sync> FromRequestParts<S> for LiveBearer {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, BearerRejection> {
        let bearer = <Bearer as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let Some(By::TokenService(hybrid)) = parts.extensions.get::<By>().cloned() else {
            return Err(BearerRejection::LayerMissing);
        };
        match hybrid.check_session(&bearer).await {
            Ok(Some(session)) => Ok(Self { bearer, session, manager: hybrid.manager().clone() }),
            Ok(None) => Err(BearerRejection::Invalid),
            Err(_) => Err(BearerRejection::StoreUnavailable),
        }
    }
}

/// The token in the `Authorization` header, if its scheme is `Bearer` (in any case, RFC 9110).
fn token(headers: &HeaderMap) -> Result<Option<&str>, BearerRejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BearerRejection::Malformed);
    }
    let value = value.to_str().map_err(|_| BearerRejection::Malformed)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() { Err(BearerRejection::Malformed) } else { Ok(Some(token)) }
}
