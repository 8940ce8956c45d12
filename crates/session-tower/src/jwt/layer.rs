//! [`BearerLayer`]: where access tokens are verified, and what is said when there is none.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use session_core::adapter::{BearerRejectionKind, Challenge, Requirement, bearer_token, report_refusal};
use session_core::{Clock, EventKind, SystemClock};
use session_jwt::{
    Claims, IssuerClaims, RemoteVerifier, RemoteVerifyError, TokenRequirement, TokenService, Verifier, VerifyError,
    acr_values,
};
use tower_layer::Layer;
use tower_service::Service;

use super::rejection::BearerRejection;
use crate::head::Head;

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

/// Where the tokens come from, and what to say when there is none.
#[derive(Clone)]
pub(super) struct TokenSource {
    pub(super) issuer: Issuer,
    challenge: Arc<Challenge>,
}

#[derive(Clone)]
pub(super) enum Issuer {
    Service(Arc<TokenService>),
    Verifier(Arc<Verifier>, Arc<dyn Clock>),
    Remote(RemoteVerifier),
}

impl BearerLayer {
    /// Tokens of this service, which can ask the store too.
    pub fn new(tokens: Arc<TokenService>) -> Self {
        Self::of(Issuer::Service(tokens))
    }

    /// Tokens of another server, verified with its public keys alone. There is no store for
    /// [`LiveBearer`](crate::LiveBearer) to ask.
    pub fn verifier(verifier: Arc<Verifier>) -> Self {
        Self::verifier_with_clock(verifier, SystemClock)
    }

    /// Tokens of another server, whose public keys are fetched from it.
    pub fn remote(verifier: RemoteVerifier) -> Self {
        Self::of(Issuer::Remote(verifier))
    }

    /// As [`verifier`](Self::verifier), with another clock than the operating system's.
    pub fn verifier_with_clock(verifier: Arc<Verifier>, clock: impl Clock) -> Self {
        Self::of(Issuer::Verifier(verifier, Arc::new(clock)))
    }

    /// What `WWW-Authenticate` says beside the error: a realm, and where the metadata of the resource is (RFC 9728).
    ///
    /// ```
    /// # fn demo(tokens: std::sync::Arc<session_jwt::TokenService>) -> Result<(), session_tower::ChallengeError> {
    /// use session_tower::{BearerLayer, Challenge};
    ///
    /// let challenge = Challenge::new().realm("orders")?;
    /// let layer = BearerLayer::new(tokens).challenge(challenge);
    /// # Ok(())
    /// # }
    /// ```
    pub fn challenge(self, challenge: Challenge) -> Self {
        Self { source: TokenSource { challenge: Arc::new(challenge), ..self.source } }
    }

    fn of(issuer: Issuer) -> Self {
        Self { source: TokenSource { issuer, challenge: Arc::default() } }
    }
}

impl TokenSource {
    /// The claims of the token in the `Authorization` header, if they meet `R`.
    pub(super) async fn open<R: TokenRequirement>(&self, head: &Head<'_>) -> Result<Claims, BearerRejectionKind> {
        let token = bearer_token(head)?.ok_or(BearerRejectionKind::Missing)?;
        let (verified, now) = match &self.issuer {
            Issuer::Service(tokens) => (tokens.verify(token), tokens.manager().now()),
            Issuer::Verifier(verifier, clock) => {
                let now = clock.now();
                (verifier.verify(token, now), now)
            }
            Issuer::Remote(verifier) => (known(verifier.verify(token).await)?, verifier.now()),
        };
        let Ok(claims) = verified else {
            self.report_invalid(head);
            return Err(BearerRejectionKind::Invalid);
        };
        claims.meets::<R>(now).map(|()| claims)
    }

    /// The claims of the token of other software in the `Authorization` header, if it has the scope that `R` wants.
    pub(super) async fn open_foreign<R: TokenRequirement>(
        &self,
        head: &Head<'_>,
    ) -> Result<IssuerClaims, BearerRejectionKind> {
        let token = bearer_token(head)?.ok_or(BearerRejectionKind::Missing)?;
        let (verified, now) = match &self.issuer {
            Issuer::Service(_) => return Err(BearerRejectionKind::LayerMissing),
            Issuer::Verifier(verifier, clock) => {
                let now = clock.now();
                (verifier.verify_foreign(token, now), now)
            }
            Issuer::Remote(verifier) => (known(verifier.verify_foreign(token).await)?, verifier.now()),
        };
        let claims = verified.map_err(|_| BearerRejectionKind::Invalid)?;
        claims.meets::<R>(now).map(|()| claims)
    }

    /// An event, where there is a manager that has observers.
    pub(super) fn report_invalid(&self, head: &Head<'_>) {
        if let Issuer::Service(tokens) = &self.issuer {
            report_refusal(tokens.manager(), head, EventKind::InvalidAccessToken);
        }
    }

    /// The rejection at a route that wants `R`.
    pub(super) fn reject<R: TokenRequirement>(&self, kind: BearerRejectionKind) -> BearerRejection {
        let scope = R::SCOPES.join(" ");
        let requirement = Requirement {
            scope: Some(scope.as_str()).filter(|scope| !scope.is_empty()),
            acr_values: R::LEVEL.map(acr_values),
            max_age: R::MAX_AGE,
        };
        BearerRejection::of(kind, &self.challenge, &requirement)
    }
}

/// Whether there are keys to verify with: without them, nothing is known of a token.
fn known<T>(answer: Result<T, RemoteVerifyError>) -> Result<Result<T, VerifyError>, BearerRejectionKind> {
    match answer {
        Ok(claims) => Ok(Ok(claims)),
        Err(RemoteVerifyError::Token(error)) => Ok(Err(error)),
        Err(_) => Err(BearerRejectionKind::KeysUnavailable),
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.issuer {
            Issuer::Service(_) => "Service",
            Issuer::Verifier(..) => "Verifier",
            Issuer::Remote(_) => "Remote",
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
