//! What happens to a response on its way out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use pin_project_lite::pin_project;
use session_core::Error;
use session_core::adapter::{RejectionKind, RequestSession, ResponseHeaders, vary};

use crate::config::Config;
use crate::headers::{apply, vary_values};
use crate::rejection::Rejection;

type Commit = Pin<Box<dyn Future<Output = (Result<(), Error>, ResponseHeaders)> + Send>>;

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
        Committing { commit: Commit, response: Option<Response<B>> },
        /// The application never saw the request.
        Rejected { rejection: Rejection },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) fn handling(inner: F, session: RequestSession, config: Arc<Config>) -> Self {
        Self { state: State::Handling { inner, session }, config }
    }

    pub(crate) fn rejected(rejection: Rejection, config: Arc<Config>) -> Self {
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
                    let commit = finish_changed(session.clone());
                    state.set(State::Committing { commit, response: Some(response) });
                }
                StateProj::Committing { commit, response } => {
                    let (outcome, headers) = ready!(commit.as_mut().poll(cx));
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

fn finish_changed(session: RequestSession) -> Commit {
    Box::pin(async move { session.finish_changed().await })
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
    match apply(wanted.edits(vary_values(headers)), headers) {
        Ok(()) => response,
        Err(_) => rendered(rejected(RejectionKind::Internal.into()), config),
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
