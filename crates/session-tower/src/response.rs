//! What happens to a response on its way out: the session is committed, then come the headers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::BoxError;
use axum_core::body::Body;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};
use pin_project_lite::pin_project;
use session_core::adapter::{Finish, RejectionKind, RequestSession, ResponseHeaders, vary};

use crate::config::Config;
use crate::head::{apply, values};
use crate::rejection::Rejection;
use crate::request_line::RequestLine;

pin_project! {
    /// The response future of [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
        exchange: Exchange,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        /// The application is working on the response.
        Handling { #[pin] inner: F, session: RequestSession },
        /// There is a response; the session is being committed.
        Committing { commit: Finish, response: Option<Response<Body>> },
        /// The application never saw the request.
        Rejected { rejection: Rejection },
    }
}

/// What a response needs to know of its request, and of the layer it passes.
pub(crate) struct Exchange {
    pub(crate) config: Arc<Config>,
    /// If the words of a rejection depend on it.
    pub(crate) line: Option<Box<RequestLine>>,
    /// Whether there is another session layer around this one.
    pub(crate) is_nested: bool,
}

impl<F> ResponseFuture<F> {
    pub(crate) fn handling(inner: F, session: RequestSession, exchange: Exchange) -> Self {
        Self { state: State::Handling { inner, session }, exchange }
    }

    pub(crate) fn rejected(rejection: Rejection, exchange: Exchange) -> Self {
        Self { state: State::Rejected { rejection }, exchange }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, exchange) = (this.state, this.exchange);
        loop {
            match state.as_mut().project() {
                StateProj::Handling { inner, session } => {
                    let response = ready!(inner.poll(cx))?.map(Body::new);
                    if let Some(headers) = session.finish_unchanged() {
                        return Poll::Ready(Ok(exchange.with_headers(exchange.rendered(response), &headers)));
                    }
                    let commit = session.finish_changed();
                    state.set(State::Committing { commit, response: Some(response) });
                }
                StateProj::Committing { commit, response } => {
                    let (outcome, headers) = ready!(Pin::new(commit).poll(cx));
                    let response = response.take();
                    let response = match outcome.map_err(Rejection::from) {
                        Ok(()) => match response {
                            Some(response) => exchange.rendered(response),
                            None => exchange.rendered(rejected(RejectionKind::Internal.into())),
                        },
                        Err(rejection) => keep_cookies(response, exchange.rendered(rejected(rejection))),
                    };
                    return Poll::Ready(Ok(exchange.with_headers(response, &headers)));
                }
                StateProj::Rejected { rejection } => {
                    return Poll::Ready(Ok(exchange.rendered(rejected(*rejection))));
                }
            }
        }
    }
}

impl Exchange {
    /// The response; if it is a rejection, in the application's words and with the `Vary` that belongs to it.
    fn rendered(&self, mut response: Response<Body>) -> Response<Body> {
        let Some(rejection) = response.extensions().get::<Rejection>().copied() else { return response };
        if let (Some(line), None) = (&self.line, response.extensions().get::<Worded>()) {
            let version = match self.config.login(rejection, line) {
                Some(location) => {
                    // It is no 401 any more.
                    response.headers_mut().remove(WWW_AUTHENTICATE);
                    Some(see_other(location))
                }
                None => self.config.render.as_ref().map(|render| render(rejection, line)),
            };
            if let Some(version) = version {
                response.extensions_mut().insert(Worded);
                replace(&mut response, version);
            }
        }
        let headers = response.headers_mut();
        let edit = rejection.kind().varies_by().and_then(|names| vary(values(headers, "vary"), names));
        // Only a cookie can fail.
        let _ = apply(edit, headers);
        response
    }

    /// The response with the headers of the session.
    fn with_headers(&self, mut response: Response<Body>, wanted: &ResponseHeaders) -> Response<Body> {
        if wanted.is_empty() {
            return response;
        }
        let headers = response.headers_mut();
        let edits = wanted.edits(|name| values(headers, name));
        if apply(edits, headers).is_err() {
            return self.rendered(rejected(RejectionKind::Internal.into()));
        }
        if self.is_nested && wanted.set_cookie.is_some() {
            let ours = 1 + wanted.removed_cookies.len();
            let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().rev().take(ours).cloned().collect();
            response.extensions_mut().get_or_insert_default::<InnerCookies>().0.extend(cookies.into_iter().rev());
        }
        response
    }
}

/// Marks a rejection that has the words of a layer: layers around this one leave it as it is.
#[derive(Clone)]
struct Worded;

/// The cookies that inner session layers set and removed.
#[derive(Clone, Default)]
struct InnerCookies(Vec<HeaderValue>);

fn rejected(rejection: Rejection) -> Response<Body> {
    rejection.response().map(Body::from)
}

fn see_other(location: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Puts the application's version of a rejection in place of ours, and keeps the other headers: those of CORS, say.
fn replace(response: &mut Response<Body>, version: Response<Bytes>) {
    let (version, body) = version.into_parts();
    let headers = response.headers_mut();
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
        headers.remove(name);
    }
    headers.extend(version.headers);
    *response.status_mut() = version.status;
    *response.body_mut() = Body::from(body);
}

/// `rejection`, with the session cookies of `response`, which it replaces: the sessions of inner layers are committed, and
/// nobody else gets their tokens.
fn keep_cookies(response: Option<Response<Body>>, mut rejection: Response<Body>) -> Response<Body> {
    let inner = response.and_then(|mut response| response.extensions_mut().remove::<InnerCookies>());
    if let Some(inner) = inner {
        let headers = rejection.headers_mut();
        for cookie in &inner.0 {
            headers.append(SET_COOKIE, cookie.clone());
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        rejection.extensions_mut().insert(inner);
    }
    rejection
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
