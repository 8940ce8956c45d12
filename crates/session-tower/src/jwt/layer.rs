//! [`BearerLayer`]: where access tokens are verified, and what is said when there is none.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use session_core::adapter::Challenge;
use session_core::{Clock, SystemClock};
use session_jwt::{RemoteVerifier, TokenService, TokenSource, Verifier};
use tower_layer::Layer;
use tower_service::Service;

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

impl BearerLayer {
    /// Tokens of this service, which can ask the store too.
    pub fn new(tokens: Arc<TokenService>) -> Self {
        Self { source: TokenSource::service(tokens) }
    }

    /// Tokens of another server, verified with its public keys alone. There is no store for
    /// [`LiveBearer`](crate::LiveBearer) to ask.
    pub fn verifier(verifier: Arc<Verifier>) -> Self {
        Self::verifier_with_clock(verifier, SystemClock)
    }

    /// Tokens of another server, whose public keys are fetched from it.
    pub fn remote(verifier: RemoteVerifier) -> Self {
        Self { source: TokenSource::remote(verifier) }
    }

    /// As [`verifier`](Self::verifier), with another clock than the operating system's.
    pub fn verifier_with_clock(verifier: Arc<Verifier>, clock: impl Clock) -> Self {
        Self { source: TokenSource::verifier(verifier, clock) }
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
        Self { source: self.source.with_challenge(challenge) }
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
