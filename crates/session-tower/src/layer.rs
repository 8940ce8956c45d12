//! [`SessionLayer`], its service, and what happens to a response on its way out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, InvalidHeaderValue, SET_COOKIE, VARY};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use pin_project_lite::pin_project;
use session_core::adapter::{
    Finish, HeaderEdit, OriginGuard, RejectionKind, RequestHead, RequestSession, ResponseHeaders, vary,
};
use session_core::{RequestContext, SessionManager};
use tower_layer::Layer;
use tower_service::Service;

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

type Render = dyn Fn(Rejection) -> Response<Bytes> + Send + Sync;

/// What a layer shares with its services and their responses.
#[derive(Clone)]
struct Config {
    manager: SessionManager,
    guard: OriginGuard,
    render: Option<Arc<Render>>,
    /// What a request without extensions begins with.
    extensions: Extensions,
}

impl Config {
    fn new(manager: SessionManager) -> Self {
        Self { manager, guard: OriginGuard::new(), render: None, extensions: preallocated_extensions() }
    }
}

/// Empty extensions with room for four values: the session, and the three that axum adds. A new table has room for three;
/// each request would have to move them to a larger one. A clone is as large as its original.
fn preallocated_extensions() -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(0_u8);
    extensions.insert(0_u16);
    extensions.insert(0_u32);
    extensions.insert(0_u64);
    extensions.clear();
    extensions
}

pin_project! {
    /// The response future of [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        config: Arc<Config>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        /// The application is working on the response.
        Handling { #[pin] inner: F, session: RequestSession },
        /// There is a response; the session is being committed.
        Committing { commit: Finish, response: Option<Response<B>> },
        /// The application never saw the request.
        Rejected { rejection: Rejection },
    }
}

impl<F, B> ResponseFuture<F, B> {
    fn handling(inner: F, session: RequestSession, config: Arc<Config>) -> Self {
        Self { state: State::Handling { inner, session }, config }
    }

    fn rejected(rejection: Rejection, config: Arc<Config>) -> Self {
        Self { state: State::Rejected { rejection }, config }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: From<Bytes>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, config) = (this.state, &**this.config);
        loop {
            match state.as_mut().project() {
                StateProj::Handling { inner, session } => {
                    let response = ready!(inner.poll(cx))?;
                    if let Some(headers) = session.finish_unchanged() {
                        return Poll::Ready(Ok(with_headers(rendered(response, config), &headers, config)));
                    }
                    let commit = session.finish_changed();
                    state.set(State::Committing { commit, response: Some(response) });
                }
                StateProj::Committing { commit, response } => {
                    let (outcome, headers) = ready!(Pin::new(commit).poll(cx));
                    let response = response.take().ok_or(RejectionKind::Internal.into());
                    let response = outcome.map_err(Rejection::from).and(response).unwrap_or_else(rejected);
                    return Poll::Ready(Ok(with_headers(rendered(response, config), &headers, config)));
                }
                StateProj::Rejected { rejection } => {
                    return Poll::Ready(Ok(rendered(rejected(*rejection), config)));
                }
            }
        }
    }
}

fn rejected<B: From<Bytes>>(rejection: Rejection) -> Response<B> {
    rejection.response().map(B::from)
}

/// The response; if it is a rejection, in the application's words and with the `Vary` that belongs to it.
fn rendered<B: From<Bytes>>(mut response: Response<B>, config: &Config) -> Response<B> {
    let Some(rejection) = response.extensions().get::<Rejection>().copied() else { return response };
    if let Some(render) = &config.render {
        replace(&mut response, render(rejection));
    }
    let headers = response.headers_mut();
    let edit = rejection.kind().varies_by().and_then(|names| vary(vary_values(headers), names));
    // Only a cookie can fail.
    let _ = apply(edit, headers);
    response
}

/// Puts the application's version of a rejection in place of ours, and keeps the other headers: those of CORS, say.
fn replace<B: From<Bytes>>(response: &mut Response<B>, version: Response<Bytes>) {
    let (version, body) = version.into_parts();
    let headers = response.headers_mut();
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
        headers.remove(name);
    }
    headers.extend(version.headers);
    *response.status_mut() = version.status;
    *response.body_mut() = B::from(body);
}

/// The response with the headers of the session.
fn with_headers<B: From<Bytes>>(mut response: Response<B>, wanted: &ResponseHeaders, config: &Config) -> Response<B> {
    let headers = response.headers_mut();
    match apply(wanted.edits(|name| headers.get_all(name).iter().map(HeaderValue::as_bytes)), headers) {
        Ok(()) => response,
        Err(_) => rendered(rejected(RejectionKind::Internal.into()), config),
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The head of a request.
pub(crate) struct Head<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
}

impl<'r, B> From<&'r Request<B>> for Head<'r> {
    fn from(request: &'r Request<B>) -> Self {
        Self { method: request.method(), uri: request.uri(), headers: request.headers() }
    }
}

impl<'r> From<&'r Parts> for Head<'r> {
    fn from(parts: &'r Parts) -> Self {
        Self { method: &parts.method, uri: &parts.uri, headers: &parts.headers }
    }
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    fn authority(&self) -> Option<&[u8]> {
        self.uri.authority().map(|authority| authority.as_str().as_bytes())
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.headers.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn describe(&self, _context: &mut RequestContext) {}
}

/// The values of `Vary`.
fn vary_values(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(VARY).iter().map(HeaderValue::as_bytes)
}

/// Applies edits to the headers of a response.
///
/// # Errors
/// If a cookie cannot be a header value, which no checked cookie policy causes.
pub(crate) fn apply<'h>(
    edits: impl IntoIterator<Item = HeaderEdit<'h>>,
    headers: &mut HeaderMap,
) -> Result<(), InvalidHeaderValue> {
    for edit in edits {
        match edit {
            HeaderEdit::Append(name, value) => {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            HeaderEdit::Set(name, value) => {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            HeaderEdit::Remove(name) => {
                headers.remove(name);
            }
            HeaderEdit::AppendCookie(cookie) => {
                let mut value = HeaderValue::from_str(cookie.expose())?;
                value.set_sensitive(true);
                headers.append(SET_COOKIE, value);
            }
        }
    }
    Ok(())
}
