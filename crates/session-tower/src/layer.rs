//! [`SessionLayer`] and its service: how a request gets its session.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::BoxError;
use axum_core::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use session_core::SessionManager;
use session_core::adapter::{LoginPage, LoginPageError, OriginGuard, RejectionKind, RequestSession};
use tower_layer::Layer;
use tower_service::Service;

use crate::config::Config;
use crate::head::Head;
use crate::rejection::Rejection;
use crate::request_line::RequestLine;
use crate::response::{Exchange, ResponseFuture};

/// Gives every request inside it a session, commits the session before the response is sent, and refuses requests that
/// other sites made a browser send (see [`OriginGuard`]).
///
/// A request that does not ask for its session costs two small allocations (inside a router a third, where axum's
/// extensions outgrow their table) and no store call. One that does costs what
/// [`SessionManager::open`] and [`SessionManager::commit`] cost; if the commit is a no-op, the response does not wait.
///
/// Everything that must survive a failed commit belongs outside this layer (CORS headers, say): the handler's response
/// is replaced then. Nothing is committed if a panic of the handler reaches this layer, if the inner service returns an
/// error instead of a response, or if the client disconnects before the handler is done. What makes a response of a panic
/// (`CatchPanicLayer` of tower-http) belongs outside, too: inside, that is a response like any other, and what the handler
/// did until it panicked is committed.
///
/// Services inside may have any body; the response has the one of axum. Axum's own is passed on as it is, any other is boxed,
/// as an axum router does with it anyway.
///
/// # Headers
/// - `Set-Cookie`, if the session began, ended, or has a new token; always with `Cache-Control: private, no-store`, which
///   then replaces the application's.
/// - `Cache-Control: private, no-store`, or what the [policy](session_core::PolicyBuilder::authenticated_caching) says, in
///   each response to a logged-in user that has no `Cache-Control` of its own: if the session was asked for, and a user was
///   logged in when it was loaded or after a commit. And in the response to a logout. With it, `CDN-Cache-Control` and
///   `Surrogate-Control` go, which would overrule it; whoever wants them sets `Cache-Control`, too.
/// - `Vary: Cookie`, if the session was asked for.
/// - `Clear-Site-Data` after a logout, if the [policy](session_core::PolicyBuilder::clear_site_data) wants it.
///
/// A page that shows values of an anonymous session has `Vary: Cookie` only; set `Cache-Control` where a cache ignores that.
///
/// # Plain http
/// Browsers drop a `Secure` cookie that came over plain http, unless the host is the machine itself: then each login succeeds, and
/// the next request is a visitor's. The first time, a warning in the log says so, and what to do.
///
/// # Audit
/// Events say in which [request](session_core::RequestContext) they happened. Its client's address and its id are the
/// application's knowledge, and so is the whole path where this layer is inside of a nested router: a middleware outside adds
/// them as [`RequestInfo`](crate::RequestInfo).
///
/// ```
/// # fn demo(app: axum::Router, manager: session_core::SessionManager) -> axum::Router {
/// use std::net::SocketAddr;
///
/// use axum::extract::{ConnectInfo, Request};
/// use axum::middleware::{Next, from_fn};
/// use session_tower::{RequestInfo, SessionLayer};
///
/// app.layer(SessionLayer::new(manager)).layer(from_fn(
///     async |ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next| {
///         let info = RequestInfo::new().client(peer.ip()).path(request.uri().path());
///         request.extensions_mut().insert(info);
///         next.run(request).await
///     },
/// ))
/// # }
/// ```
///
/// # Two sessions
/// Layers nest if their cookies have different names: a back office inside a shop, say, with a manager and a policy of its
/// own. Extractors give the session of the innermost layer, [`Session::outer`](crate::Session::outer) that of the layer around
/// it. Each layer commits its own session and sets its own cookie; one may fail without the other. With the same name, requests
/// are refused with [`RejectionKind::LayerNested`].
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
    /// its own layer. Of nested layers, the innermost that has words for it words a rejection.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) {
    /// use http::Response;
    /// use session_tower::SessionLayer;
    ///
    /// let sessions = SessionLayer::new(manager).on_rejection(|rejection, request| {
    ///     let mut response = Response::new(format!("Sorry: {rejection}. {}", request.uri().path()).into());
    ///     *response.status_mut() = rejection.status();
    ///     response
    /// });
    /// # }
    /// ```
    ///
    /// For this, each request costs one allocation: a copy of its method and target.
    pub fn on_rejection<F>(mut self, render: F) -> Self
    where
        F: Fn(Rejection, &RequestLine) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.config_mut().render = Some(Arc::new(render));
        self
    }

    /// Leads who is not logged in to the login page at `path`, with the page that they wanted as the parameter `next`. The login
    /// hands that to [`safe_next`](crate::safe_next) before it leads back: it is in the address, where strangers can write it.
    ///
    /// A `GET` or `HEAD` that is rejected with [`RejectionKind::Unauthenticated`] or [`Gone`](RejectionKind::Gone) is answered with
    /// 303, and with the cookies and headers of the session, as any rejection. All others are answered as without this, or as
    /// [`on_rejection`](Self::on_rejection) words them: a form that is sent, whose values a redirect would lose; the login page
    /// itself. A script that expects JSON follows redirects, too: give an API a layer of its own, without this.
    ///
    /// `next` is the target that the layer got: in a router that is nested in another, wrap the outer one. For this, each request
    /// costs what [`on_rejection`](Self::on_rejection) costs.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) -> Result<(), session_tower::LoginPageError> {
    /// use session_tower::{SessionLayer, safe_next};
    ///
    /// let sessions = SessionLayer::new(manager).redirect_to_login("/login")?;
    ///
    /// /// Where a login leads to; `next` is the parameter of its address.
    /// fn after_login(next: &str) -> &str {
    ///     safe_next(next).unwrap_or("/")
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LoginPageError`] if `path` is no page of this site: see [`LoginPage::new`].
    pub fn redirect_to_login(mut self, path: &str) -> Result<Self, LoginPageError> {
        self.config_mut().login = Some(LoginPage::new(path)?);
        Ok(self)
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
pub(crate) struct RequestSessionExt {
    pub(crate) session: RequestSession,
    /// That of the session layer around this one.
    pub(crate) outer: Option<Arc<Self>>,
}

impl RequestSessionExt {
    /// Whether the cookie of this layer, or of one around it, has this name.
    fn has_cookie(&self, name: &str) -> bool {
        self.session.manager().policy().cookie().name() == name
            || self.outer.as_ref().is_some_and(|outer| outer.has_cookie(name))
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: http_body::Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let config = Arc::clone(&self.config);
        let line = config.words_rejections().then(|| Box::new(RequestLine::of(&request)));
        match begin(&config, &mut request) {
            Ok(RequestSessionExt { session, outer }) => {
                let exchange = Exchange { config, line, is_nested: outer.is_some() };
                ResponseFuture::handling(self.inner.call(request), session, exchange)
            }
            Err(rejection) => ResponseFuture::rejected(rejection.into(), Exchange { config, line, is_nested: false }),
        }
    }
}

/// Gives the request its session, or says why it must not reach the application.
fn begin<B>(config: &Config, request: &mut Request<B>) -> Result<RequestSessionExt, RejectionKind> {
    let outer = request.extensions_mut().remove::<RequestSessionExt>();
    if outer.as_ref().is_some_and(|outer| outer.has_cookie(config.manager.policy().cookie().name())) {
        return Err(RejectionKind::LayerNested);
    }
    let session = config.guard.begin_request(&config.manager, &Head::from(&*request))?;
    let extensions = request.extensions_mut();
    if extensions.is_empty() {
        *extensions = config.extensions.clone();
    }
    let session = RequestSessionExt { session, outer: outer.map(Arc::new) };
    extensions.insert(session.clone());
    Ok(session)
}
