//! One HTTP request and its session: what every adapter needs, without HTTP types.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use crate::error::Error;
use crate::manager::SessionManager;
use crate::policy::cookie::{PresentedCookie, SetCookie};
use crate::session::handle::Session;

/// The session of one request, loaded when it is first asked for. Cheap to clone.
///
/// An adapter makes one from the `Cookie` header, hands it to extractors, and calls [`finish`](Self::finish) before it
/// sends the response head. A request that never asks for its session costs no store call.
#[derive(Clone)]
pub struct RequestSession {
    inner: Arc<Inner>,
}

struct Inner {
    manager: SessionManager,
    presented: PresentedCookie,
    session: OnceCell<Session>,
    consulted: AtomicBool,
}

/// What the response must carry. An adapter sets these headers whatever else the response holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ResponseHeaders {
    /// `Set-Cookie`. With it goes `Cache-Control: no-store`, replacing any other; the one never without the other.
    pub set_cookie: Option<SetCookie>,
    /// Whether the response depends on the cookie: `Vary: Cookie`.
    pub vary_cookie: bool,
}

impl RequestSession {
    /// The session of a request that presented this.
    #[must_use]
    pub fn new(manager: SessionManager, presented: PresentedCookie) -> Self {
        Self {
            inner: Arc::new(Inner { manager, presented, session: OnceCell::new(), consulted: AtomicBool::new(false) }),
        }
    }

    /// The manager this request belongs to.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.inner.manager
    }

    /// The session; loaded at the first call, at most once. Costs what [`SessionManager::open`] costs.
    ///
    /// # Errors
    /// As [`SessionManager::open`]. Nothing is kept then; asking again tries again.
    pub async fn session(&self) -> Result<&Session, Error> {
        let inner = &self.inner;
        inner.consulted.store(true, Ordering::Relaxed);
        inner.session.get_or_try_init(|| inner.manager.open(&inner.presented)).await
    }

    /// Commits the session if it was asked for, and ends the request: the session cannot be changed any more.
    ///
    /// The headers belong on the response whether or not the commit succeeded: there is a cookie only if its session was
    /// committed, here or earlier in the request.
    pub async fn finish(&self) -> (Result<(), Error>, ResponseHeaders) {
        match self.finish_unchanged() {
            Some(headers) => (Ok(()), headers),
            None => self.finish_changed().await,
        }
    }

    /// [`finish`](Self::finish), if a commit would be a no-op: the session was not asked for, or it was only read and no
    /// activity is to be recorded. Else `None`, and nothing is done. For adapters, which need not await anything then.
    #[must_use]
    pub fn finish_unchanged(&self) -> Option<ResponseHeaders> {
        match self.inner.session.get() {
            Some(session) => session.close_if_settled().map(|cookie| self.headers(cookie)),
            None => Some(self.headers(None)),
        }
    }

    /// [`finish`](Self::finish), after [`finish_unchanged`](Self::finish_unchanged) has returned `None`.
    pub async fn finish_changed(&self) -> (Result<(), Error>, ResponseHeaders) {
        let Some(session) = self.inner.session.get() else { return (Ok(()), self.headers(None)) };
        let outcome = self.inner.manager.commit_changes(session).await;
        let cookie = session.state().close();
        // The cookie of a session that ended could only overwrite that of a login under way.
        let cookie = if matches!(outcome, Err(Error::Gone)) { None } else { cookie };
        (outcome, self.headers(cookie))
    }

    fn headers(&self, set_cookie: Option<SetCookie>) -> ResponseHeaders {
        ResponseHeaders { set_cookie, vary_cookie: self.inner.consulted.load(Ordering::Relaxed) }
    }
}

impl fmt::Debug for RequestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSession").field("loaded", &self.inner.session.initialized()).finish_non_exhaustive()
    }
}
