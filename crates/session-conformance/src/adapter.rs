//! What an adapter to an HTTP framework provides: [`AdapterHarness`].

use std::fmt;

use async_trait::async_trait;
use session_core::{Error, Login, Session, SessionManager};
use tokio::sync::{mpsc, oneshot};

use crate::outcome::Failure;

/// Sends the requests of whole-request cases through one HTTP adapter.
///
/// The cases check what a browser sees: `Set-Cookie`, which never comes without a `Cache-Control` that is `private` and
/// `no-store`; the same `Cache-Control` in each response to a logged-in user; `Vary: Cookie` on each response that depends
/// on the session; and of each error the status and the body `{"error":"<code>"}`:
///
/// | [`Error`] | status | code |
/// |---|---|---|
/// | `Store` | 503 | `session_store_unavailable` |
/// | `Entropy` | 503 | `session_entropy_unavailable` |
/// | `Gone` | 401 | `session_gone` |
/// | `NotAuthenticated` | 401 | `unauthenticated` |
/// | `LimitReached` | 409 | `session_limit_reached` |
/// | `Superseded` | 409 | `session_superseded` |
/// | `Conflict` | 409 | `session_conflict` |
/// | `WrongUser` | 403 | `wrong_user` |
/// | `TooLarge`, `TooManyValues` | 413 | `session_too_large` |
/// | `Value` | 500 | `session_value_invalid` |
///
/// A test with `harness = false` runs them:
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use async_trait::async_trait;
/// use session_conformance::{AdapterHarness, Failure, Handler, HttpRequest, HttpResponse};
/// use session_core::SessionManager;
/// # mod my_adapter {
/// #     use super::*;
/// #     pub struct App(SessionManager);
/// #     impl App {
/// #         pub fn with_sessions(manager: SessionManager) -> Self { Self(manager) }
/// #         pub fn route<F>(self, _: &str, _: impl Fn(session_core::Session) -> F) -> Self { self }
/// #         pub fn route_without_session(self, _: &str) -> Self { self }
/// #         pub async fn answer(&self, _: HttpRequest) -> Result<HttpResponse, Failure> { Err("".into()) }
/// #     }
/// # }
///
/// #[derive(Debug)]
/// struct MyAdapter;
///
/// #[async_trait]
/// impl AdapterHarness for MyAdapter {
///     fn adapter(&self) -> &'static str {
///         "mine"
///     }
///
///     async fn send(
///         &self,
///         manager: SessionManager,
///         request: HttpRequest,
///         handler: Option<Handler>,
///     ) -> Result<HttpResponse, Failure> {
///         let app = my_adapter::App::with_sessions(manager);
///         let app = match handler {
///             Some(handler) => app.route(request.path, move |session| {
///                 let handler = handler.clone();
///                 async move { handler.run(session).await }
///             }),
///             None => app.route_without_session(request.path),
///         };
///         app.answer(request).await
///     }
/// }
///
/// fn main() -> ExitCode {
///     session_conformance::adapter_main(MyAdapter)
/// }
/// ```
#[async_trait]
pub trait AdapterHarness: fmt::Debug + Send + Sync + 'static {
    /// The name of the adapter in the names of tests: `tower`.
    fn adapter(&self) -> &'static str;

    /// Sends `request` to an application that has one route, inside the adapter with its standard settings, and returns
    /// the response.
    ///
    /// The route asks for its session, runs `handler` with it, and answers 200 if that succeeds, else as the adapter
    /// answers its errors. Without a handler the route does not ask for its session, and answers 200.
    ///
    /// Dropping the future drops the request, as when a client disconnects: it must not go on in another task.
    ///
    /// # Errors
    /// If there is no response: the case then fails.
    async fn send(
        &self,
        manager: SessionManager,
        request: HttpRequest,
        handler: Option<Handler>,
    ) -> Result<HttpResponse, Failure>;

    /// Whether the adapter has token routes. Without them, cases about refresh tokens ask the manager.
    fn has_token_routes(&self) -> bool {
        false
    }

    /// Sends a token request to an application that has the token routes of the adapter, and returns the response.
    ///
    /// # Errors
    /// As [`send`](Self::send); or there are no such routes.
    async fn send_token_request(
        &self,
        _manager: SessionManager,
        _request: TokenRequest,
    ) -> Result<HttpResponse, Failure> {
        Err("the adapter has no token routes".into())
    }
}

/// What an app without cookies sends to token routes. Its tokens travel in the body; it has no name.
#[derive(Clone)]
pub enum TokenRequest {
    /// `grant_type=password`, with credentials for which the application logs in like this; and the refresh token of the
    /// session that is replaced, unless it is empty.
    LogIn {
        /// What the application answers to the credentials.
        login: Login,
        /// The parameter `refresh_token`.
        replaces: String,
    },
    /// `grant_type=refresh_token`.
    Refresh {
        /// The parameter `refresh_token`.
        refresh_token: String,
    },
    /// A revocation (RFC 7009).
    Revoke {
        /// The parameter `token`.
        token: String,
    },
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogIn { .. } => "LogIn",
            Self::Refresh { .. } => "Refresh",
            Self::Revoke { .. } => "Revoke",
        })
    }
}

/// What a client sends. Its body is empty.
#[derive(Clone)]
pub struct HttpRequest {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Absolute, without a query.
    pub path: &'static str,
    /// Names and values in order; a name may occur more than once. Values may hold characters beyond ASCII.
    pub headers: Vec<(&'static str, String)>,
}

/// What a client receives.
#[derive(Clone)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// All headers, one entry for each occurrence.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The values of the header `name`, in whatever case it is written.
    pub(crate) fn header<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What a case does with the session of a request, in place of an application's handler. Clones are the same handler,
/// which a request runs once.
#[derive(Clone, Debug)]
pub struct Handler {
    to_case: mpsc::UnboundedSender<Running>,
}

/// A handler that has its session and waits for the case to end it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) session: Session,
    pub(crate) finish: oneshot::Sender<Result<(), Error>>,
}

impl Handler {
    /// A handler, and where its case learns that it runs.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Running>) {
        let (to_case, running) = mpsc::unbounded_channel();
        (Self { to_case }, running)
    }

    /// Runs the handler with the session of the request. Takes as long as the case keeps the request waiting.
    ///
    /// # Errors
    /// The error that the adapter has to answer with.
    pub async fn run(&self, session: Session) -> Result<(), Error> {
        let (finish, finished) = oneshot::channel();
        // Neither fails unless the adapter runs the handler twice.
        let _ = self.to_case.send(Running { session, finish });
        finished.await.unwrap_or(Err(Error::ResponseSent))
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse").field("status", &self.status).finish_non_exhaustive()
    }
}
