//! What happens to a response on its way out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;
use session_core::Error;
use session_core::adapter::{RequestSession, ResponseHeaders};

use crate::csrf;
use crate::headers;
use crate::layer::Config;
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
        /// The application is at work.
        Handling { #[pin] inner: F, session: RequestSession },
        /// It is done; what it did to the session is written.
        Committing { commit: Commit, response: Option<Response<B>> },
        /// The application was not asked.
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
                    if let Some(wanted) = session.finish_unchanged() {
                        return Poll::Ready(Ok(with_headers(restyled(response, config), &wanted, config)));
                    }
                    let commit = commit(session.clone());
                    state.set(State::Committing { commit, response: Some(response) });
                }
                StateProj::Committing { commit, response } => {
                    let (outcome, wanted) = ready!(commit.as_mut().poll(cx));
                    let outcome = outcome.map_err(Rejection::from);
                    let response = response.take().ok_or(Rejection::Internal);
                    let response = outcome.and(response).unwrap_or_else(rejected);
                    return Poll::Ready(Ok(with_headers(restyled(response, config), &wanted, config)));
                }
                StateProj::Rejected { rejection } => {
                    return Poll::Ready(Ok(restyled(rejected(*rejection), config)));
                }
            }
        }
    }
}

fn commit(request: RequestSession) -> Commit {
    Box::pin(async move { request.finish().await })
}

fn rejected<B: From<Bytes>>(rejection: Rejection) -> Response<B> {
    rejection.response().map(B::from)
}

/// The response, in the application's words if it is a rejection.
fn restyled<B: From<Bytes>>(mut response: Response<B>, config: &Config) -> Response<B> {
    let Some(rejection) = response.extensions().get::<Rejection>().copied() else { return response };
    if let Some(restyle) = &config.restyle {
        headers::restyle(&mut response, restyle(rejection));
    }
    if rejection == Rejection::CrossOrigin {
        headers::add_vary(response.headers_mut(), HeaderValue::from_static(csrf::VARY));
    }
    response
}

/// The response with what the session demands.
fn with_headers<B: From<Bytes>>(mut response: Response<B>, wanted: &ResponseHeaders, config: &Config) -> Response<B> {
    match headers::apply(wanted, response.headers_mut()) {
        Ok(()) => response,
        Err(rejection) => restyled(rejected(rejection), config),
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
