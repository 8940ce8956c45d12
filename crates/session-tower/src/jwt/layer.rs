//! [`BearerLayer`]: where access tokens are verified, and what is said when there is none.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use session_core::adapter::Challenge;
use session_core::{Clock, SystemClock};
use session_jwt::{Dpop, RemoteVerifier, TokenService, TokenSource, Verifier};
use tower_layer::Layer;
use tower_service::Service;

use crate::head::Head;

/// The next nonce for proofs of possession.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

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

    /// Tokens that are bound to the key of their client are accepted, with a proof of that key (DPoP, RFC 9449); if that is
    /// [required](crate::DpopMode::Required), no others are. Without it, a bound token is refused.
    ///
    /// An application in a browser at another origin needs CORS to allow the request header `DPoP`, and to expose `DPoP-Nonce`
    /// and `WWW-Authenticate`.
    ///
    /// ```
    /// # fn demo(tokens: std::sync::Arc<session_jwt::TokenService>) -> Result<(), session_tower::DpopError> {
    /// use session_tower::{BearerLayer, Dpop};
    ///
    /// let layer = BearerLayer::new(tokens).dpop(Dpop::new("https://api.example")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dpop(self, dpop: Dpop) -> Self {
        Self { source: self.source.with_dpop(dpop) }
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

impl<S, B, R> Service<Request<B>> for BearerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BearerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let head = Head::from(&request);
        let source = self.source.for_request(&head, request.extensions().get());
        let nonces = source.hands_out_nonces(&head).then(|| source.clone());
        request.extensions_mut().insert(source);
        BearerFuture { inner: self.inner.call(request), nonces }
    }
}

pin_project! {
    /// The future of [`BearerService`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct BearerFuture<F> {
        #[pin]
        inner: F,
        nonces: Option<TokenSource>,
    }
}

impl<F: Future<Output = Result<Response<R>, E>>, R, E> Future for BearerFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx));
        let nonce = this.nonces.take().and_then(|source| source.nonce());
        if let (Ok(response), Some(nonce)) = (&mut answer, nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok())) {
            response.headers_mut().insert(DPOP_NONCE, nonce);
            response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        Poll::Ready(answer)
    }
}

impl<F> fmt::Debug for BearerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerFuture").finish_non_exhaustive()
    }
}
