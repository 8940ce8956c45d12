//! What happens to a response on its way out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;
use session_core::{Error, RequestSession, ResponseHeaders};

use crate::csrf;
use crate::headers;
use crate::layer::Config;
use crate::rejection::Rejection;
use crate::slot::Slot;

type Commit = Pin<Box<dyn Future<Output = (Result<(), Error>, ResponseHeaders)> + Send>>;

pin_project! {
    /// The response future of [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        /// The application is at work.
        Handling { #[pin] inner: F, slot: Slot },
        /// It is done; what it did to the session is written.
        Committing { commit: Commit, response: Option<Response<B>>, slot: Slot },
        /// The application was not asked.
        Rejected { rejection: Rejection, config: Arc<Config> },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) fn handling(inner: F, slot: Slot) -> Self {
        Self { state: State::Handling { inner, slot } }
    }

    pub(crate) fn rejected(rejection: Rejection, config: Arc<Config>) -> Self {
        Self { state: State::Rejected { rejection, config } }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: From<Bytes>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Handling { inner, slot } => {
                    let response = ready!(inner.poll(cx))?;
                    let Some(request) = slot.consulted() else {
                        return Poll::Ready(Ok(restyled(response, slot.config())));
                    };
                    let commit = commit(request.clone());
                    let slot = slot.clone();
                    state.set(State::Committing { commit, response: Some(response), slot });
                }
                StateProj::Committing { commit, response, slot } => {
                    let (outcome, wanted) = ready!(commit.as_mut().poll(cx));
                    let outcome = outcome.map_err(Rejection::from);
                    let response = response.take().ok_or(Rejection::Internal);
                    let response = outcome.and(response).unwrap_or_else(rejected);
                    return Poll::Ready(Ok(with_headers(restyled(response, slot.config()), &wanted, slot.config())));
                }
                StateProj::Rejected { rejection, config } => {
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
