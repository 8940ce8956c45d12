//! What a middleware shares with its services, and extractors with their middleware.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use session_core::SessionManager;
use session_core::adapter::{LoginPage, OriginGuard, RequestSession};

use crate::refusal::Refuser;
use crate::rejection::Rejection;
use crate::request_line::RequestLine;

/// How an application words a rejection.
type Render = dyn Fn(Rejection, &RequestLine) -> HttpResponse + Send + Sync;

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) manager: SessionManager,
    pub(crate) guard: OriginGuard,
    pub(crate) render: Option<Arc<Render>>,
    /// Where who is not logged in is led to.
    pub(crate) login: Option<LoginPage>,
}

impl Config {
    /// Whether the words of a rejection depend on its request.
    pub(crate) fn words_rejections(&self) -> bool {
        self.render.is_some() || self.login.is_some()
    }

    /// Where the response to a rejected request leads, if to a login.
    pub(crate) fn login(&self, rejection: Rejection, line: &RequestLine) -> Option<String> {
        let page = self.login.as_ref()?;
        page.location(rejection.kind(), line.uri().path(), line.return_to().as_deref())
    }
}

/// What extractors find in the extensions of a request. A type of its own, so that only this crate finds it.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) session: SessionOfRequest,
    pub(crate) refuser: Refuser<Rejection>,
    /// That of the middleware around this one.
    pub(crate) outer: Option<Rc<Self>>,
    pub(crate) place: Place,
}

/// Whether a request is still inside a middleware. Its response cannot say so: an error has no request whose extensions could
/// be put back.
#[derive(Clone, Default)]
pub(crate) struct Place {
    is_left: Rc<Cell<bool>>,
}

/// Leaves its place when it is dropped.
pub(crate) struct Stay(pub(crate) Place);

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.is_left.set(true);
    }
}

impl Inside {
    /// What belongs to the innermost middleware that the request is in; after the outermost, to that.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        let extensions = request.extensions();
        let mut inside = extensions.get::<Self>()?;
        while let (true, Some(outer)) = (inside.place.is_left.get(), &inside.outer) {
            inside = outer;
        }
        Some(inside.clone())
    }
}

/// The session of a request.
#[derive(Clone)]
pub(crate) struct SessionOfRequest {
    pub(crate) session: RequestSession,
    /// That of the middleware around this one.
    pub(crate) outer: Option<Arc<Self>>,
}

impl SessionOfRequest {
    /// Whether the cookie of this middleware, or of one around it, has this name.
    pub(crate) fn has_cookie(&self, name: &str) -> bool {
        self.session.manager().policy().cookie().name() == name
            || self.outer.as_ref().is_some_and(|outer| outer.has_cookie(name))
    }
}
