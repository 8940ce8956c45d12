//! [`Browser`]: a client that keeps its session in a cookie.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::{Error, Session};

use super::client::{Client, LoginOptions};
use super::exchange::{Exchange, Reply, Request};
use super::jar::CookieJar;
use super::node::Node;
use super::support::{NOTE, Note, login, note_of, user_of};
use crate::outcome::{Outcome, ensure_eq};
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
