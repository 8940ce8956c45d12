//! [`BearerAuth`]: where access tokens are verified.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{Error, HttpMessage as _, ResponseError as _};
use session_core::adapter::Challenge;
use session_core::{Clock, SystemClock};
use session_jwt::{Dpop, RemoteVerifier, TokenService, TokenSource, Verifier};

use super::rejection::BearerRejection;
use crate::LocalBoxFuture;
use crate::head::Head;
use crate::refusal::{Refusals, Refuser};

/// The next nonce for proofs of possession.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Tells the extractors inside it how access tokens are verified. Does not look at requests itself.
///
/// ```
/// use std::sync::Arc;
/// use actix_web::{Scope, web};
/// use session_actix::{Bearer, BearerAuth};
/// use session_jwt::TokenService;
///
/// async fn me(bearer: Bearer) -> String {
///     format!("Hello {}", bearer.user.as_str()) // 401 without a valid token
/// }
///
/// fn configure(config: &mut web::ServiceConfig, tokens: Arc<TokenService>) {
///     config.service(web::scope("/api").wrap(BearerAuth::new(tokens)).route("/me", web::get().to(me)));
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BearerAuth {
    source: TokenSource,
}

/// What the extractors find in the extensions of a request.
#[derive(Clone)]
pub(super) struct InsideAuth {
    pub(super) source: TokenSource,
    pub(super) refuser: Refuser<BearerRejection>,
}

impl BearerAuth {
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
    /// # fn demo(tokens: std::sync::Arc<session_jwt::TokenService>) -> Result<(), session_actix::ChallengeError> {
    /// use session_actix::{BearerAuth, Challenge};
    ///
    /// let challenge = Challenge::new().realm("orders")?;
    /// let auth = BearerAuth::new(tokens).challenge(challenge);
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
    /// # fn demo(tokens: std::sync::Arc<session_jwt::TokenService>) -> Result<(), session_actix::DpopError> {
    /// use session_actix::{BearerAuth, Dpop};
    ///
    /// let auth = BearerAuth::new(tokens).dpop(Dpop::new("https://api.example")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dpop(self, dpop: Dpop) -> Self {
        Self { source: self.source.with_dpop(dpop) }
    }
}

impl<S, B> Transform<S, ServiceRequest> for BearerAuth
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = BearerAuthService<S>;
    type InitError = ();
    type Future = Ready<Result<BearerAuthService<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(BearerAuthService { inner, source: self.source.clone() }))
    }
}

/// The service that [`BearerAuth`] makes of another one.
pub struct BearerAuthService<S> {
    inner: S,
    source: TokenSource,
}

impl<S> fmt::Debug for BearerAuthService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthService").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for BearerAuthService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<Result<Self::Response, Error>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let refusals = Refusals::new();
        let outer = request.extensions().get::<InsideAuth>().map(|outer| outer.source.clone());
        let source = self.source.for_request(&Head(request.request()), outer.as_ref());
        let nonces = source.hands_out_nonces(&Head(request.request())).then(|| source.clone());
        request.extensions_mut().insert(InsideAuth { source, refuser: refusals.refuser() });
        let handled = refusals.or(self.inner.call(request));
        Box::pin(async move {
            let mut response = match handled.await {
                Ok(response) => response.map(ServiceResponse::map_into_boxed_body)?,
                Err((request, rejection)) => ServiceResponse::new(request, rejection.error_response()),
            };
            let nonce = nonces.and_then(|source| source.nonce());
            if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
                let headers = response.headers_mut();
                headers.insert(DPOP_NONCE, nonce);
                if !headers.contains_key(CACHE_CONTROL) {
                    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                }
            }
            Ok(response)
        })
    }
}
