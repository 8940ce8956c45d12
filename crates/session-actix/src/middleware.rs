//! [`SessionMiddleware`] and its service: how a request gets its session.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpResponse};
use session_core::SessionManager;
use session_core::adapter::{LoginPage, LoginPageError, OriginGuard};

use crate::LocalBoxFuture;
use crate::config::Config;
use crate::refusal::Refusals;
use crate::rejection::Rejection;
use crate::request_line::RequestLine;
use crate::response::Exchange;

/// Gives every request inside it a session, commits the session before the response is sent, and refuses requests that
/// other sites made a browser send (see [`OriginGuard`]).
///
/// Wrap an application or a scope in it. A request that does not ask for its session makes no store call. One that does costs
/// what [`SessionManager::open`] and [`SessionManager::commit`] cost; if the commit is a no-op, the response does not wait.
/// Clones share what there is to share: all workers of a server have one guard and one manager.
///
/// # What is committed
/// What handlers did is committed when there is a response. An error is one, in actix-web: of a handler, which its route
/// answers with, or of a middleware inside this one, whose response is given its headers here; the error itself is passed on. If
/// the commit fails, its rejection is the response, or the error, and everything of the handler's is gone; so what must survive belongs outside this middleware
/// (CORS headers, say).
///
/// Nothing is committed if the handler is dropped: because it panics, or because its client disconnects. A client that only
/// ends its side of the connection has not disconnected yet, as actix-web has it: the handler runs to its end and is committed,
/// and nobody hears of it. `HttpServer::h1_allow_half_closed(false)` drops the handler then.
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
/// application's knowledge: a middleware outside adds them as [`RequestInfo`](crate::RequestInfo).
///
/// ```
/// use actix_web::body::MessageBody;
/// use actix_web::dev::{ServiceRequest, ServiceResponse};
/// use actix_web::middleware::{Next, from_fn};
/// use actix_web::{App, Error, HttpMessage as _};
/// use session_actix::{RequestInfo, SessionMiddleware};
///
/// async fn describe(
///     request: ServiceRequest,
///     next: Next<impl MessageBody>,
/// ) -> Result<ServiceResponse<impl MessageBody>, Error> {
///     if let Some(peer) = request.peer_addr() {
///         request.extensions_mut().insert(RequestInfo::new().client(peer.ip()));
///     }
///     next.call(request).await
/// }
///
/// # fn demo(manager: session_core::SessionManager) {
/// let app = App::new().wrap(SessionMiddleware::new(manager)).wrap(from_fn(describe));
/// # }
/// ```
///
/// # Two sessions
/// Middlewares nest if their cookies have different names: a back office inside a shop, say, with a manager and a policy of its
/// own. Extractors give the session of the innermost, [`Session::outer`](crate::Session::outer) that of the one around it. Each
/// commits its own session and sets its own cookie; one may fail without the other. With the same name, requests are refused
/// with [`RejectionKind::LayerNested`](crate::RejectionKind::LayerNested).
#[derive(Clone)]
#[must_use]
pub struct SessionMiddleware {
    config: Arc<Config>,
}

impl SessionMiddleware {
    /// Sessions of `manager`, behind the default [`OriginGuard`].
    pub fn new(manager: SessionManager) -> Self {
        Self { config: Arc::new(Config { manager, guard: OriginGuard::new(), render: None, login: None }) }
    }

    /// Replaces the guard against cross-site request forgery.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) -> Result<(), session_actix::OriginError> {
    /// use session_actix::{OriginGuard, SessionMiddleware};
    ///
    /// let guard = OriginGuard::new().trusted_origin("https://accounts.example.org")?;
    /// let sessions = SessionMiddleware::new(manager).origin_guard(guard);
    /// # Ok(())
    /// # }
    /// ```
    pub fn origin_guard(mut self, guard: OriginGuard) -> Self {
        self.config_mut().guard = guard;
        self
    }

    /// Lets the application word the rejections: those of the middleware, of extractors, and those that handlers return.
    ///
    /// `render` gives the status, the body, and headers that replace those of the same name. Cookies, `Cache-Control`
    /// and `Vary` of the session are added afterwards. For pages in one place and JSON in another, wrap each scope in its own
    /// middleware. Of nested ones, the innermost that has words for it words a rejection.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) {
    /// use actix_web::{HttpResponse, ResponseError as _};
    /// use session_actix::SessionMiddleware;
    ///
    /// let sessions = SessionMiddleware::new(manager).on_rejection(|rejection, request| {
    ///     HttpResponse::build(rejection.status_code()).body(format!("Sorry: {rejection}. {}", request.uri().path()))
    /// });
    /// # }
    /// ```
    ///
    /// For this, each request costs a copy of its method and target.
    pub fn on_rejection<F>(mut self, render: F) -> Self
    where
        F: Fn(Rejection, &RequestLine) -> HttpResponse + Send + Sync + 'static,
    {
        self.config_mut().render = Some(Arc::new(render));
        self
    }

    /// Leads who is not logged in to the login page at `path`, with the page that they wanted as the parameter `next`. The login
    /// hands that to [`safe_next`](crate::safe_next) before it leads back: it is in the address, where strangers can write it.
    ///
    /// A `GET` or `HEAD` that is rejected with [`RejectionKind::Unauthenticated`](crate::RejectionKind::Unauthenticated) or
    /// [`Gone`](crate::RejectionKind::Gone) is answered with
    /// 303, and with the cookies and headers of the session, as any rejection. All others are answered as without this, or as
    /// [`on_rejection`](Self::on_rejection) words them: a form that is sent, whose values a redirect would lose; the login page
    /// itself. A script that expects JSON follows redirects, too: wrap the scope of an API in a middleware of its own, without this.
    ///
    /// For this, each request costs what [`on_rejection`](Self::on_rejection) costs.
    ///
    /// ```
    /// # fn demo(manager: session_core::SessionManager) -> Result<(), session_actix::LoginPageError> {
    /// use session_actix::{SessionMiddleware, safe_next};
    ///
    /// let sessions = SessionMiddleware::new(manager).redirect_to_login("/login")?;
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

impl fmt::Debug for SessionMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware")
            .field("manager", &self.config.manager)
            .field("guard", &self.config.guard)
            .finish_non_exhaustive()
    }
}

impl<S, B> Transform<S, ServiceRequest> for SessionMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = SessionService<S>;
    type InitError = ();
    type Future = Ready<Result<SessionService<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionService { inner, config: Arc::clone(&self.config) }))
    }
}

/// The service that [`SessionMiddleware`] makes of another one.
pub struct SessionService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> fmt::Debug for SessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("manager", &self.config.manager).finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for SessionService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<Result<Self::Response, Error>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let config = Arc::clone(&self.config);
        let line = config.words_rejections().then(|| RequestLine::of(request.request()));
        let mut exchange = Exchange { config, line, is_nested: false, stay: None };
        let refusals = Refusals::new();
        match exchange.begin(request.request(), refusals.refuser()) {
            Ok(session) => {
                let handled = refusals.or(self.inner.call(request));
                Box::pin(exchange.answer(handled, session))
            }
            Err(kind) => {
                let response = exchange.rejected(kind.into());
                Box::pin(ready(Ok(request.into_response(response))))
            }
        }
    }
}
