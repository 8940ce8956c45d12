//! What a request is given on its way in, and what happens to its response on the way out: the session is committed, then
//! come the headers.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE, WWW_AUTHENTICATE,
};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _};
use session_core::adapter::{RejectionKind, RequestSession, ResponseHeaders, vary};

use crate::config::{Config, Inside, Place, SessionOfRequest, Stay};
use crate::head::{Head, apply, values};
use crate::refusal::Refuser;
use crate::rejection::Rejection;
use crate::request_line::RequestLine;

/// What a response needs to know of its request, and of the middleware it passes.
pub(crate) struct Exchange {
    pub(crate) config: Arc<Config>,
    /// If the words of a rejection depend on it.
    pub(crate) line: Option<RequestLine>,
    /// Whether there is another session middleware around this one.
    pub(crate) is_nested: bool,
    /// As long as extractors find the session of this one.
    pub(crate) stay: Option<Stay>,
}

/// What comes out of the service inside, or the rejection that an extractor ended the request with.
type Handled<B> = Result<Result<ServiceResponse<B>, Error>, (HttpRequest, Rejection)>;

impl Exchange {
    /// Gives the request its session, or says why it must not reach the application.
    pub(crate) fn begin(
        &mut self,
        request: &HttpRequest,
        refuser: Refuser<Rejection>,
    ) -> Result<RequestSession, RejectionKind> {
        let Config { manager, guard, .. } = &*self.config;
        let around = Inside::of(request);
        self.is_nested = around.is_some();
        let outer = around.as_ref().map(|around| Arc::new(around.session.clone()));
        if outer.as_ref().is_some_and(|outer| outer.has_cookie(manager.policy().cookie().name())) {
            return Err(RejectionKind::LayerNested);
        }
        let session = guard.begin_request(manager, &Head(request))?;
        let of_request = SessionOfRequest { session: session.clone(), outer };
        let place = Place::default();
        self.stay = Some(Stay(place.clone()));
        request.extensions_mut().insert(Inside { session: of_request, refuser, outer: around.map(Rc::new), place });
        Ok(session)
    }

    /// The response, when there is one: with the session committed, and its headers.
    pub(crate) async fn answer<B: MessageBody + 'static>(
        mut self,
        handled: impl Future<Output = Handled<B>>,
        session: RequestSession,
    ) -> Result<ServiceResponse, Error> {
        // However this ends, the request is no longer inside then.
        let _stay = self.stay.take();
        match handled.await {
            Ok(Ok(response)) => {
                let (request, response) = response.into_parts();
                let (outcome, headers) = session.finish().await;
                let outcome = outcome.map_err(Rejection::from);
                let response = self.finished(response.map_into_boxed_body(), outcome, &headers);
                Ok(ServiceResponse::new(request, response))
            }
            Ok(Err(error)) => {
                let (outcome, headers) = session.finish().await;
                Err(self.passed_on(error, outcome.map_err(Rejection::from), headers))
            }
            // The handler did not come to an end: nothing is committed.
            Err((request, rejection)) => {
                let headers = session.finish_unchanged().unwrap_or_else(|| self.given_up());
                let response = self.with_headers(self.rejected(rejection), &headers);
                Ok(ServiceResponse::new(request, response))
            }
        }
    }

    /// The error, whose response is what [`finished`](Self::finished) makes of it, whenever it is made; or the rejection in
    /// its place.
    fn passed_on(self, mut error: Error, outcome: Result<(), Rejection>, headers: ResponseHeaders) -> Error {
        let Err(rejection) = outcome else {
            error.add_response_mapper(move |response| self.finished(response, outcome, &headers));
            return error;
        };
        let mut failed = Error::from(rejection);
        failed.add_response_mapper(move |_| self.finished(error.error_response(), outcome, &headers));
        failed
    }

    /// The response, or the rejection in its place, after the session was committed with this outcome.
    fn finished(
        &self,
        response: HttpResponse,
        outcome: Result<(), Rejection>,
        headers: &ResponseHeaders,
    ) -> HttpResponse {
        let response = match outcome {
            Ok(()) => self.rendered(response),
            Err(rejection) => keep_cookies(response, self.rejected(rejection)),
        };
        self.with_headers(response, headers)
    }

    /// A rejection as it is answered.
    pub(crate) fn rejected(&self, rejection: Rejection) -> HttpResponse {
        self.rendered(rejection.error_response())
    }

    /// The response; if it is a rejection, in the application's words and with the `Vary` that belongs to it.
    fn rendered(&self, mut response: HttpResponse) -> HttpResponse {
        let Some(rejection) = response.extensions().get::<Rejection>().copied() else { return response };
        let line = self.line.as_ref().filter(|_| !response.extensions().contains::<Worded>());
        if let Some(line) = line {
            let version = match self.config.login(rejection, line) {
                Some(location) => {
                    // It is no 401 any more.
                    response.headers_mut().remove(WWW_AUTHENTICATE);
                    Some(HttpResponse::SeeOther().insert_header((LOCATION, location)).finish())
                }
                None => self.config.render.as_ref().map(|render| render(rejection, line)),
            };
            if let Some(version) = version {
                response = reworded(response, version);
                response.extensions_mut().insert(Worded);
            }
        }
        let headers = response.headers_mut();
        let edit = rejection.kind().varies_by().and_then(|names| vary(values(headers, "vary"), names));
        // Only a cookie can fail.
        let _ = apply(edit, headers);
        response
    }

    /// The response with the headers of the session.
    fn with_headers(&self, mut response: HttpResponse, wanted: &ResponseHeaders) -> HttpResponse {
        let headers = response.headers_mut();
        let edits = wanted.edits(|name| values(headers, name));
        if apply(edits, headers).is_err() {
            return self.rejected(RejectionKind::Internal.into());
        }
        if self.is_nested && wanted.set_cookie.is_some() {
            let ours = 1 + wanted.removed_cookies.len();
            let cookies: Vec<_> = headers.get_all(SET_COOKIE).cloned().collect();
            let ours = cookies.into_iter().rev().take(ours).rev();
            let mut inner = response.extensions_mut().remove::<InnerCookies>().unwrap_or_default();
            inner.0.extend(ours);
            response.extensions_mut().insert(inner);
        }
        response
    }

    /// The headers of a response whose session was given up: as if a user were logged in, which is not known.
    fn given_up(&self) -> ResponseHeaders {
        let cache_control = self.config.manager.policy().authenticated_caching().cache_control();
        ResponseHeaders { vary_cookie: true, cache_control: Some(cache_control), ..ResponseHeaders::default() }
    }
}

/// Marks a rejection that has the words of a middleware: middlewares around this one leave it as it is.
struct Worded;

/// The cookies that inner session middlewares set and removed.
#[derive(Default)]
struct InnerCookies(Vec<HeaderValue>);

/// Puts the application's version of a rejection in place of ours, and keeps the other headers: those of CORS, say.
fn reworded(mut response: HttpResponse, version: HttpResponse) -> HttpResponse {
    let (version, body) = version.into_parts();
    let headers = response.headers_mut();
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING].iter().chain(version.headers().keys()) {
        headers.remove(name);
    }
    for (name, value) in version.headers() {
        headers.append(name.clone(), value.clone());
    }
    *response.status_mut() = version.status();
    response.set_body(body)
}

/// `rejection`, with the session cookies of `response`, which it replaces: the sessions of inner middlewares are committed,
/// and nobody else gets their tokens.
fn keep_cookies(mut response: HttpResponse, mut rejection: HttpResponse) -> HttpResponse {
    let inner = response.extensions_mut().remove::<InnerCookies>();
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
