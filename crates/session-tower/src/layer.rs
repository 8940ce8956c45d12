//! [`SessionLayer`] and its service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::COOKIE;
use http::{Extensions, Request, Response};
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::{EventKind, SessionManager};
use tower_layer::Layer;
use tower_service::Service;

use crate::csrf::{Enforcement, Guard, OriginError, Unstated};
use crate::future::ResponseFuture;
use crate::rejection::Rejection;
use crate::slot::Slot;

/// Gives every request inside it a session, commits the session before the response is sent, and refuses requests that
/// other sites made a browser send.
///
/// A request that does not ask for its session costs two small allocations (inside a router, a third: there axum's
/// extensions outgrow their table) and no store call. One that does costs what [`SessionManager::open`] and
/// [`SessionManager::commit`] cost; if there is nothing to commit, it awaits nothing at its end.
///
/// Everything that ought to survive a failed commit belongs outside this layer (CORS headers, say): the handler's
/// response is replaced then. Nothing is committed if the handler panics, if the inner service returns an error instead
/// of a response, or if the client goes away before the handler is done.
///
/// # CSRF guard
/// On by default, for methods other than `GET`, `HEAD` and `OPTIONS`, and for websocket handshakes that carry a
/// session. It covers anonymous visitors and logins too. A request passes if
/// - `Sec-Fetch-Site`, which all current browsers send to https and loopback addresses, is `same-origin` or `none`;
/// - or it is absent, and `Origin` names the host the request was sent to;
/// - or `Origin` is [trusted](Self::trusted_origin);
/// - or both are absent: not a browser of this decade ([refused](Self::require_origin) if you like).
///
/// All others are refused with [`Rejection::CrossOrigin`] and reported as [`EventKind::CrossOrigin`]. `SameSite`
/// cookies alone do not do this: other subdomains are the same site. A proxy in front must leave `Host`, `Origin` and
/// `Sec-Fetch-Site` as they are; if it rewrites `Host`, name the site's own origin as trusted.
#[derive(Clone)]
#[must_use]
pub struct SessionLayer {
    // Shared from the start: axum clones a layer, and applies it, for every request.
    config: Arc<Config>,
}

type Restyle = dyn Fn(Rejection) -> Response<Bytes> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) manager: SessionManager,
    guard: Guard,
    pub(crate) restyle: Option<Arc<Restyle>>,
    /// What a request without extensions begins with: see [`room`].
    room: Extensions,
}

impl SessionLayer {
    /// Sessions of `manager`, with the CSRF guard on.
    pub fn new(manager: SessionManager) -> Self {
        Self { config: Arc::new(Config { manager, guard: Guard::new(), restyle: None, room: room() }) }
    }

    /// Lets the CSRF guard pass requests from another origin: `https://host` or `https://host:port`.
    ///
    /// # Errors
    /// [`OriginError`] if it is not written as browsers send it, and so would never match.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) -> Result<(), session_tower::OriginError> {
    /// use session_tower::SessionLayer;
    ///
    /// let sessions = SessionLayer::new(manager).trusted_origin("https://accounts.example.org")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trusted_origin(mut self, origin: impl AsRef<str>) -> Result<Self, OriginError> {
        self.config_mut().guard.trust(origin.as_ref())?;
        Ok(self)
    }

    /// Makes the CSRF guard refuse requests with neither `Sec-Fetch-Site` nor `Origin`: scripts must then send one.
    pub fn require_origin(mut self) -> Self {
        self.config_mut().guard.unstated = Unstated::Refuse;
        self
    }

    /// Makes the CSRF guard report what it would refuse, and refuse nothing: to find out before it is turned on.
    pub fn report_cross_origin_only(mut self) -> Self {
        self.config_mut().guard.enforcement = Enforcement::ReportOnly;
        self
    }

    /// Turns the CSRF guard off, for an application that has another one around it.
    pub fn without_csrf_guard(mut self) -> Self {
        self.config_mut().guard.enforcement = Enforcement::Off;
        self
    }

    /// Lets the application word the rejections: those of the layer, of extractors, and those that handlers return.
    ///
    /// `restyle` gives the status, the body, and headers that replace those of the same name. Cookies, `Cache-Control`
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
    pub fn on_rejection<F>(mut self, restyle: F) -> Self
    where
        F: Fn(Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.config_mut().restyle = Some(Arc::new(restyle));
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

/// Empty extensions with room for four values: the session, and the three that axum adds. For three there is room at
/// first; with the fourth, each request would move them to a larger table. A copy is as large as what is copied.
fn room() -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(0_u8);
    extensions.insert(0_u16);
    extensions.insert(0_u32);
    extensions.insert(0_u64);
    extensions.clear();
    extensions
}

impl Config {
    /// Prepares the request, or says why it must not reach the application.
    fn admit<B>(&self, request: &mut Request<B>) -> Result<RequestSession, Rejection> {
        if request.extensions().get::<Slot>().is_some() {
            return Err(Rejection::LayerNested);
        }
        let cookies = request.headers().get_all(COOKIE).iter().map(|value| value.as_bytes());
        let presented = self.manager.read_cookie(cookies);
        self.check_origin(request, &presented)?;
        let session = RequestSession::new(self.manager.clone(), presented);
        let extensions = request.extensions_mut();
        if extensions.is_empty() {
            *extensions = self.room.clone();
        }
        extensions.insert(Slot(session.clone()));
        Ok(session)
    }

    fn check_origin<B>(&self, request: &Request<B>, presented: &PresentedCookie) -> Result<(), Rejection> {
        let with_session = !matches!(presented, PresentedCookie::Nothing);
        let allows = || self.guard.allows(request.method(), request.uri(), request.headers(), with_session);
        if self.guard.enforcement == Enforcement::Off || allows() {
            return Ok(());
        }
        self.manager.report(EventKind::CrossOrigin, None, None);
        match self.guard.enforcement {
            Enforcement::Refuse => Err(Rejection::CrossOrigin),
            Enforcement::ReportOnly | Enforcement::Off => Ok(()),
        }
    }
}

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
        match self.config.admit(&mut request) {
            Ok(session) => ResponseFuture::handling(self.inner.call(request), session, Arc::clone(&self.config)),
            Err(rejection) => ResponseFuture::rejected(rejection, Arc::clone(&self.config)),
        }
    }
}
