//! [`Browser`]: a client that keeps its session in a cookie; and its requests, before, while and after their handlers run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use session_core::{Error, Session};
use tokio::sync::oneshot;

use super::client::{Client, LoginOptions};
use super::jar::CookieJar;
use super::node::Node;
use super::support::{HOST, MILLI, NOTE, Note, login, note_of, refused, user_of};
use crate::adapter::{Handler, HttpRequest, HttpResponse, Running};
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// A user agent. Clones share one cookie jar: they are tabs of one browser.
#[derive(Clone)]
pub(super) struct Browser {
    node: Node,
    path: &'static str,
    jar: Arc<Mutex<CookieJar>>,
}

impl Browser {
    /// At this path of the site.
    pub(super) fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// Another browser with a copy of the cookies, which it keeps whatever a response says, as a thief would.
    pub(super) fn stolen(&self) -> Self {
        Self { jar: Arc::new(Mutex::new(self.jar().stolen())), ..self.clone() }
    }

    /// Closes the browser and opens it again: what is left are the persistent cookies.
    pub(super) fn restart(&self) {
        self.jar().drop_transient();
    }

    /// The `Cookie` header it would send now; empty if there is none.
    pub(super) fn header(&self) -> String {
        self.jar().header(self.path)
    }

    /// A request with an unsafe method and the cookies of now.
    pub(super) fn request(&self) -> Request {
        let header = self.header();
        let cookies = [header.as_str()];
        self.node.request(if header.is_empty() { &[] } else { &cookies }).path(self.path)
    }

    /// Sends a request, whose handler then waits with its session.
    pub(super) async fn begin(&self) -> Result<Exchange, Refusal> {
        self.request().begin().await
    }

    /// Stores the cookie of a response, and returns its result.
    pub(super) fn take<T>(&self, reply: Reply<T>) -> Result<T, Refusal> {
        if let Some(set_cookie) = &reply.set_cookie {
            self.jar().store(set_cookie);
        }
        reply.result
    }

    /// A whole request: its handler asks for the session and does `work` with it, and the browser takes the response.
    pub(super) async fn post<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Refusal> {
        self.take(self.request().run(work).await)
    }

    /// Whether there is a stored session for this browser.
    pub(super) async fn has_session(&self) -> Result<bool, Refusal> {
        self.post(|session| Ok(session.id().is_some())).await
    }

    /// The note in its session.
    pub(super) async fn note(&self) -> Result<Option<Note>, Refusal> {
        self.post(note_of).await
    }

    /// Leaves a note in its session.
    pub(super) async fn set_note(&self, note: Note) -> Result<(), Refusal> {
        self.post(|session| session.insert(NOTE, &note)).await
    }

    /// The note in its session is this one.
    pub(super) async fn assert_note(&self, note: Note, what: &str) -> Outcome {
        ensure_eq!(self.note().await?, Some(note), "{what}");
        Ok(())
    }

    fn jar(&self) -> MutexGuard<'_, CookieJar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client for Browser {
    type Change = Exchange;

    fn new(node: &Node) -> Self {
        let jar = CookieJar::new(node.env().clock().clone());
        Self { node: node.clone(), path: "/", jar: Arc::new(Mutex::new(jar)) }
    }

    fn on(&self, node: &Node) -> Self {
        Self { node: node.clone(), ..self.clone() }
    }

    fn precision(&self) -> Duration {
        MILLI
    }

    fn token(&self) -> String {
        let (header, name) = (self.header(), self.node.manager().policy().cookie().name());
        let mut cookies = header.split("; ").filter_map(|pair| pair.split_once('='));
        cookies.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    async fn log_in_with(&self, user: &str, options: LoginOptions) -> Result<(), Refusal> {
        let login = options(login(user)?);
        self.post(|session| session.login(login)).await
    }

    async fn user(&self) -> Result<Option<String>, Refusal> {
        self.post(user_of).await
    }

    async fn log_out(&self) -> Result<(), Refusal> {
        self.post(Session::logout).await
    }

    async fn read(&self) -> Result<bool, Refusal> {
        let user = self.take(self.request().get().run(user_of).await)?;
        Ok(user.is_some())
    }

    async fn begin_change(&self) -> Result<Exchange, Refusal> {
        self.begin().await
    }

    async fn end_change(&self, change: Exchange) -> Result<(), Refusal> {
        let work = |session: &Session| {
            session.insert(NOTE, &Note::Late)?;
            session.regenerate()
        };
        self.take(change.run(work).await)
    }

    async fn begin_anonymous(&self) -> Result<(), Refusal> {
        self.set_note(Note::Anonymous).await
    }

    async fn is_still_anonymous(&self) -> Result<bool, Refusal> {
        Ok(self.note().await? == Some(Note::Anonymous))
    }
}

/// A request that was not sent yet.
pub(super) struct Request {
    node: Node,
    http: HttpRequest,
}

impl Node {
    /// A request with these `Cookie` headers, from a page of the site. Its method is unsafe.
    pub(super) fn request(&self, cookies: &[&str]) -> Request {
        let mut headers = vec![("host", HOST.to_owned()), ("sec-fetch-site", "same-origin".to_owned())];
        headers.extend(cookies.iter().map(|&cookie| ("cookie", cookie.to_owned())));
        Request { node: self.clone(), http: HttpRequest { method: "POST", path: "/", headers } }
    }
}

impl Request {
    /// The same with a safe method.
    pub(super) fn get(mut self) -> Self {
        self.http.method = "GET";
        self
    }

    /// The same to this path.
    pub(super) fn path(mut self, path: &'static str) -> Self {
        self.http.path = path;
        self
    }

    /// Sends it to a handler that asks for the session and does `work` with it.
    pub(super) async fn run<T>(self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Reply<T> {
        match self.start().await {
            Ok(exchange) => exchange.run(work).await,
            Err(reply) => reply.with(None),
        }
    }

    /// Sends it to a handler that does not ask for the session.
    pub(super) async fn run_without_session(self) -> Reply<()> {
        self.send(None).await
    }

    /// Sends it to a handler that asks for the session, and then waits until the case goes on.
    pub(super) async fn begin(self) -> Result<Exchange, Refusal> {
        self.start().await.map_err(|reply| reply.result.err().unwrap_or_else(not_successful))
    }

    async fn start(self) -> Result<Exchange, Reply<()>> {
        let (handler, mut running) = Handler::new();
        let mut response = self.send(Some(handler));
        tokio::select! {
            biased;
            Some(Running { session, finish }) = running.recv() => Ok(Exchange { session, finish, response }),
            reply = &mut response => Err(reply),
        }
    }

    fn send(self, handler: Option<Handler>) -> BoxFuture<'static, Reply<()>> {
        let adapter = self.node.env().adapter();
        let manager = self.node.manager().clone();
        Box::pin(async move { Reply::read(adapter.send(manager, self.http, handler).await) })
    }
}

/// A request whose handler has its session, and waits.
pub(super) struct Exchange {
    pub(super) session: Session,
    finish: oneshot::Sender<Result<(), Error>>,
    response: BoxFuture<'static, Reply<()>>,
}

impl Exchange {
    /// The handler does `work` with the session, and returns.
    pub(super) async fn run<T>(self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Reply<T> {
        let Self { session, finish, response } = self;
        let (value, result) = match work(&session) {
            Ok(value) => (Some(value), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // An adapter that waits for the handler no longer shows in its response.
        let _ = finish.send(result);
        response.await.with(value)
    }

    /// The handler returns.
    pub(super) async fn respond(self) -> Reply<()> {
        self.run(|_| Ok(())).await
    }
}

/// A response, as far as sessions are concerned.
pub(super) struct Reply<T> {
    /// What the handler returned, or why the request failed.
    pub(super) result: Result<T, Refusal>,
    /// `Set-Cookie`.
    pub(super) set_cookie: Option<String>,
    /// Whether there is `Vary: Cookie`.
    pub(super) vary: bool,
    /// Whether `Cache-Control` keeps it out of every cache: `private` and `no-store`.
    pub(super) uncached: bool,
}

impl Reply<()> {
    /// Reads a response, and checks what holds for every response.
    fn read(response: Result<HttpResponse, Failure>) -> Self {
        let response = match response {
            Ok(response) => response,
            Err(failure) => {
                return Self { result: Err(failure.into()), set_cookie: None, vary: false, uncached: false };
            }
        };
        let names = |header, name: &str| {
            let mut values = response.header(header).flat_map(|value| value.split(','));
            values.any(|value| value.trim().eq_ignore_ascii_case(name))
        };
        let vary = names("vary", "cookie");
        let uncached = names("cache-control", "private") && names("cache-control", "no-store");
        let cookies: Vec<&str> = response.header("set-cookie").collect();
        let result = match (cookies.len(), response.status) {
            (2.., _) => Err(Refusal::broken("more than one Set-Cookie")),
            (1, _) if !uncached => Err(Refusal::broken("Set-Cookie without Cache-Control: private, no-store")),
            (_, 200) => Ok(()),
            (_, status) => Err(Refusal::read(status, &response.body)),
        };
        Self { result, set_cookie: cookies.first().map(|&cookie| cookie.to_owned()), vary, uncached }
    }

    /// The same, and what the handler returned if it succeeded.
    fn with<T>(self, value: Option<T>) -> Reply<T> {
        let result = self.result.and(value.ok_or_else(not_successful));
        Reply { result, set_cookie: self.set_cookie, vary: self.vary, uncached: self.uncached }
    }
}

impl<T> Reply<T> {
    /// What the handler returned. The response must leave the cookie alone.
    pub(super) fn without_cookie(self, what: &str) -> Result<T, Failure> {
        ensure!(self.set_cookie.is_none(), "{what} changed the cookie");
        Ok(self.result?)
    }

    /// Ends the case unless the request was refused like this, and the response leaves the cookie alone.
    pub(super) fn refused(self, expected: Refusal, what: &str) -> Outcome {
        refused(self.result, expected, what)?;
        ensure!(self.set_cookie.is_none(), "{what}: the response changed the cookie");
        Ok(())
    }

    /// The cookie that the response sets, as a `Cookie` header names it.
    pub(super) fn cookie(&self) -> Option<&str> {
        self.set_cookie.as_deref()?.split(';').next()
    }
}

fn not_successful() -> Refusal {
    Refusal::broken("status 200, although the handler did not succeed")
}
