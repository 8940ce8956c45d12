//! [`SessionLayer`] and its service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use session_core::SessionManager;
use session_core::adapter::{OriginGuard, RejectionKind, RequestSession};
use tower_layer::Layer;
use tower_service::Service;

use crate::config::Config;
use crate::future::ResponseFuture;
use crate::headers::Head;
use crate::rejection::Rejection;

/// Gives every request inside it a session, commits the session before the response is sent, and refuses requests that
/// other sites made a browser send (see [`OriginGuard`]).
///
/// A request that does not ask for its session costs two small allocations (inside a router a third, where axum's
/// extensions outgrow their table) and no store call. One that does costs what
/// [`SessionManager::open`] and [`SessionManager::commit`] cost; if the commit is a no-op, the response does not wait.
///
/// Everything that must survive a failed commit belongs outside this layer (CORS headers, say): the handler's response
/// is replaced then. Nothing is committed if the handler panics, if the inner service returns an error instead of a
/// response, or if the client disconnects before the handler is done.
#[derive(Clone)]
#[must_use]
pub struct SessionLayer {
    // Shared from the start: axum clones a layer, and applies it, for every request.
    config: Arc<Config>,
}

impl SessionLayer {
    /// Sessions of `manager`, behind the default [`OriginGuard`].
    pub fn new(manager: SessionManager) -> Self {
        Self { config: Arc::new(Config::new(manager)) }
    }

    /// Replaces the guard against cross-site request forgery.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) -> Result<(), session_tower::OriginError> {
    /// use session_tower::{OriginGuard, SessionLayer};
    ///
    /// let guard = OriginGuard::new().trusted_origin("https://accounts.example.org")?;
    /// let sessions = SessionLayer::new(manager).origin_guard(guard);
    /// # Ok(())
    /// # }
    /// ```
    pub fn origin_guard(mut self, guard: OriginGuard) -> Self {
        self.config_mut().guard = guard;
        self
    }

    /// Lets the application word the rejections: those of the layer, of extractors, and those that handlers return.
    ///
    /// `render` gives the status, the body, and headers that replace those of the same name. Cookies, `Cache-Control`
    /// and `Vary` of the session are added afterwards. For pages in one place and JSON in another, give each router
    /// its own layer.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) {
    /// use session_tower::{Rejection, SessionLayer};
    ///
    /// let sessions = SessionLayer::new(manager).on_rejection(|rejection: Rejection| {
    ///     let mut response = http::Response::new(format!("Sorry: {rejection}.").into());
    ///     *response.status_mut() = rejection.status();
    ///     response
    /// });
    /// # }
    /// ```
    pub fn on_rejection<F>(mut self, render: F) -> Self
    where
        F: Fn(Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.config_mut().render = Some(Arc::new(render));
        self
    }

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("manager", &self.config.manager)
            .field("guard", &self.config.guard)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, config: Arc::clone(&self.config) }
    }
}

/// The service that [`SessionLayer`] makes of another one.
#[derive(Clone)]
pub struct SessionService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> fmt::Debug for SessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("manager", &self.config.manager).finish_non_exhaustive()
    }
}

/// The session of a request, in its extensions. A type of its own, so that only this crate finds it.
#[derive(Clone)]
pub(crate) struct RequestSessionExt(pub(crate) RequestSession);

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<Bytes>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let config = Arc::clone(&self.config);
        match begin(&config, &mut request) {
            Ok(session) => ResponseFuture::handling(self.inner.call(request), session, config),
            Err(rejection) => ResponseFuture::rejected(rejection.into(), config),
        }
    }
}

/// Gives the request its session, or says why it must not reach the application.
fn begin<B>(config: &Config, request: &mut Request<B>) -> Result<RequestSession, RejectionKind> {
    if request.extensions().get::<RequestSessionExt>().is_some() {
        return Err(RejectionKind::LayerNested);
    }
    let session = config.guard.begin_request(&config.manager, &Head::from(&*request))?;
    let extensions = request.extensions_mut();
    if extensions.is_empty() {
        *extensions = config.extensions.clone();
    }
    extensions.insert(RequestSessionExt(session.clone()));
    Ok(session)
}
