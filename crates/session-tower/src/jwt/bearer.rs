//! [`BearerLayer`], the extractors [`Bearer`] and [`LiveBearer`], and their [`BearerRejection`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::IntoResponse;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use session_core::adapter::{BearerRejectionKind, bearer_token, report_refusal};
use session_core::{Clock, EventKind, SessionManager, SessionSummary, SystemClock};
use session_jwt::{Claims, TokenService, Verifier, VerifyError};
use tower_layer::Layer;
use tower_service::Service;

use crate::head::Head;
use crate::rejection::json_response;

/// Tells the extractors inside it how access tokens are verified. Does not look at requests itself.
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
/// fn api(tokens: Arc<TokenService>) -> Router {
///     Router::new().route("/me", get(me)).layer(BearerLayer::new(tokens))
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BearerLayer {
    source: TokenSource,
}

/// Where the tokens come from.
#[derive(Clone)]
enum TokenSource {
    Service(Arc<TokenService>),
    Verifier(Arc<Verifier>, Arc<dyn Clock>),
}

impl BearerLayer {
    /// Tokens of this service, which can ask the store too.
    pub fn new(tokens: Arc<TokenService>) -> Self {
        Self { source: TokenSource::Service(tokens) }
    }

    /// Tokens of another server, verified with its public keys alone. There is no store for [`LiveBearer`] to ask.
    pub fn verifier(verifier: Arc<Verifier>) -> Self {
        Self::verifier_with_clock(verifier, SystemClock)
    }

    /// As [`verifier`](Self::verifier), with another clock than the operating system's.
    pub fn verifier_with_clock(verifier: Arc<Verifier>, clock: impl Clock) -> Self {
        Self { source: TokenSource::Verifier(verifier, Arc::new(clock)) }
    }
}

impl TokenSource {
    /// An event, where there is a manager that has observers.
    fn report_invalid(&self, head: &Head<'_>) {
        if let Self::Service(tokens) = self {
            report_refusal(tokens.manager(), head, EventKind::InvalidAccessToken);
        }
    }

    fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        match self {
            Self::Service(tokens) => tokens.verify(token),
            Self::Verifier(verifier, clock) => verifier.verify(token, clock.now()),
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service(_) => "Service",
            Self::Verifier(..) => "Verifier",
        })
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> BearerService<S> {
        BearerService { inner, source: self.source.clone() }
    }
}

/// The service that [`BearerLayer`] makes of another one.
#[derive(Clone, Debug)]
pub struct BearerService<S> {
    inner: S,
    source: TokenSource,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for BearerService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.source.clone());
        self.inner.call(request)
    }
}

/// The claims of a valid access token. Dereferences to [`Claims`]. No round trip: that a session was revoked is noticed
/// when the token expires; that it began before [`not_before`](session_core::Policy::not_before), at once, unless there is
/// only a [`verifier`](BearerLayer::verifier), which knows no policy of sessions.
///
/// As `Option<Bearer>`, for routes that also work without a token: `None` without one, and a rejection if it is invalid.
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
        let source = parts.extensions.get::<TokenSource>().ok_or(BearerRejectionKind::LayerMissing)?;
        let head = Head::from(&*parts);
        let token = bearer_token(&head)?.ok_or(BearerRejectionKind::Missing)?;
        match source.verify(token) {
            Ok(claims) => Ok(Self(claims)),
            Err(_) => {
                source.report_invalid(&head);
                Err(BearerRejectionKind::Invalid.into())
            }
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Bearer {
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

/// A [`Bearer`] whose session is alive by the store: for what a session that was revoked a moment ago must not do.
/// Dereferences to [`Bearer`]. One round trip.
///
/// As `Option<LiveBearer>`: `None` without a token, and a rejection if it is invalid, if its session has ended, or if the
/// store failed.
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

    /// The manager: to list and revoke the user's sessions.
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
        let source: Option<TokenSource> = parts.extensions.get().cloned();
        let Some(source @ TokenSource::Service(tokens)) = &source else {
            return Err(BearerRejectionKind::LayerMissing.into());
        };
        match tokens.check_session(&bearer).await {
            Ok(Some(session)) => Ok(Self { bearer, session, manager: tokens.manager().clone() }),
            Ok(None) => {
                source.report_invalid(&Head::from(&*parts));
                Err(BearerRejectionKind::Invalid.into())
            }
            Err(_) => Err(BearerRejectionKind::StoreUnavailable.into()),
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for LiveBearer {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, BearerRejection> {
        none_if_missing(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await)
    }
}

/// Why a request with or without an access token was not answered by the application: a [`BearerRejectionKind`], as a
/// response.
///
/// The response has a status, a `WWW-Authenticate` header with 400 and 401 (RFC 6750), and the body
/// `{"error":"<code>"}`. It never says why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BearerRejection(BearerRejectionKind);

impl BearerRejection {
    /// Which one it is.
    #[must_use]
    pub const fn kind(self) -> BearerRejectionKind {
        self.0
    }
}

impl From<BearerRejectionKind> for BearerRejection {
    fn from(kind: BearerRejectionKind) -> Self {
        Self(kind)
    }
}

impl IntoResponse for BearerRejection {
    fn into_response(self) -> Response<Body> {
        let mut response = json_response(self.0.status(), self.0.body());
        if let Some(challenge) = self.0.challenge() {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.map(Body::from)
    }
}

impl fmt::Display for BearerRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)?;
        if self.0 == BearerRejectionKind::LayerMissing {
            f.write_str("; add `.layer(BearerLayer::new(tokens))` after it")?;
        }
        Ok(())
    }
}

impl std::error::Error for BearerRejection {}
