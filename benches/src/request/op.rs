//! [`RequestOp`]: one request to an application with sessions or to its floor, which has the same routes.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use session_core::{OsEntropy, SessionId};
use tokio::sync::OnceCell;
use tower::{Service, ServiceExt as _};

use crate::op::{Failure, Op, SESSIONS_PER_WORKER};
use crate::payload::{JSON, Payload, user};

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOpKind {
    /// Has no cookie, and its handler does not ask for a session.
    Untouched,
    /// Has no cookie, and its handler asks for a session.
    Anonymous,
    /// Reads a value.
    Read,
    /// Changes a value and answers with the new one.
    Write,
    /// Like [`Write`](Self::Write), with all workers in one session.
    Contention,
    /// Logs in: a new id and a new token replace the session before.
    Login,
    /// Logs out.
    Logout,
    /// Exchanges a refresh token for the next one and an access token.
    Refresh,
    /// Presents an access token.
    AccessToken,
}

impl RequestOpKind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 9] = [
        Self::Untouched,
        Self::Anonymous,
        Self::Read,
        Self::Write,
        Self::Contention,
        Self::Login,
        Self::Logout,
        Self::Refresh,
        Self::AccessToken,
    ];

    /// Whether it needs no session at all: its floor is axum alone.
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Self::Untouched | Self::Anonymous)
    }

    /// Whether it presents a token that is not in a cookie.
    pub(crate) fn uses_tokens(self) -> bool {
        matches!(self, Self::Refresh | Self::AccessToken)
    }

    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Untouched => "request-untouched",
            Self::Anonymous => "request-anonymous",
            Self::Read => "request-read",
            Self::Write => "request-write",
            Self::Contention => "request-contention",
            Self::Login => "request-login",
            Self::Logout => "request-logout",
            Self::Refresh => "request-refresh",
            Self::AccessToken => "request-access-token",
        }
    }

    /// How many sessions a worker needs for `count` calls.
    fn sessions(self, count: usize) -> usize {
        match self {
            Self::Read | Self::Write => SESSIONS_PER_WORKER,
            Self::Login => 1,
            Self::Logout => count,
            Self::Untouched | Self::Anonymous | Self::Contention | Self::Refresh | Self::AccessToken => 0,
        }
    }
}

/// One request, repeated.
#[derive(Debug)]
pub(crate) struct RequestOp<S> {
    app: S,
    kind: RequestOpKind,
    /// Whether a lost update is a failure; floors lose updates.
    exact: bool,
    contended: OnceCell<HeaderValue>,
    /// How many changes earlier rounds have made to the contended session.
    done: AtomicU64,
}

/// What one worker presents.
#[derive(Debug)]
pub(crate) struct Worker {
    user: String,
    /// The cookie of each session, and the value last seen in it.
    sessions: Vec<(HeaderValue, u64)>,
    next: usize,
    authorization: HeaderValue,
    refresh_token: String,
}

impl Worker {
    /// Its sessions in turn.
    fn session(&mut self) -> Result<&mut (HeaderValue, u64), Failure> {
        let at = self.next % self.sessions.len().max(1);
        self.next += 1;
        Ok(self.sessions.get_mut(at).ok_or("no session left")?)
    }
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
}

/// An application or its floor.
pub(crate) trait App:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> App for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

impl<S: App> RequestOp<S> {
    /// A request to an application with sessions.
    pub(crate) fn new(app: S, kind: RequestOpKind) -> Self {
        Self { app, kind, exact: true, contended: OnceCell::new(), done: AtomicU64::new(0) }
    }

    /// A request to a floor.
    pub(crate) fn floor(app: S, kind: RequestOpKind) -> Self {
        Self { exact: false, ..Self::new(app, kind) }
    }

    /// Sends a request with this header. Returns `Set-Cookie` and the body of the answer.
    async fn call(
        &self,
        method: Method,
        uri: Uri,
        header: Option<(HeaderName, &HeaderValue)>,
        body: Body,
    ) -> Result<(Option<HeaderValue>, Bytes), Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().extend(header.map(|(name, value)| (name, value.clone())));
        let response: Response<Body> = self.app.clone().oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status != StatusCode::OK {
            return Err(format!("{}: {} {}", self.kind.name(), parts.status, String::from_utf8_lossy(&body)).into());
        }
        Ok((parts.headers.get(SET_COOKIE).cloned(), body))
    }

    async fn get(&self, uri: &'static str, header: Option<(HeaderName, &HeaderValue)>) -> Result<Bytes, Failure> {
        Ok(self.call(Method::GET, Uri::from_static(uri), header, Body::empty()).await?.1)
    }

    async fn post(&self, uri: Uri, cookie: &HeaderValue) -> Result<(Option<HeaderValue>, Bytes), Failure> {
        self.call(Method::POST, uri, Some((COOKIE, cookie)), Body::empty()).await
    }

    async fn post_json(&self, uri: &'static str, json: String) -> Result<(Option<HeaderValue>, Bytes), Failure> {
        let content_type = HeaderValue::from_static("application/json");
        let header = Some((CONTENT_TYPE, &content_type));
        self.call(Method::POST, Uri::from_static(uri), header, Body::from(json)).await
    }

    async fn tokens(&self, uri: &'static str, json: String) -> Result<Tokens, Failure> {
        Ok(serde_json::from_slice(&self.post_json(uri, json).await?.1)?)
    }

    /// The cookie of a new session that holds the payload.
    async fn populate(&self) -> Result<HeaderValue, Failure> {
        returned_cookie(self.post_json("/populate", JSON.to_owned()).await?.0)
    }
}

/// The `Cookie` header a browser sends after this `Set-Cookie`.
fn returned_cookie(set_cookie: Option<HeaderValue>) -> Result<HeaderValue, Failure> {
    let set_cookie = set_cookie.ok_or("no cookie was set")?;
    let pair = set_cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(HeaderValue::from_str(pair)?)
}

fn expect(body: &[u8], answer: &str) -> Result<(), Failure> {
    if body == answer.as_bytes() {
        return Ok(());
    }
    Err(format!("the answer is {}, not {answer}", String::from_utf8_lossy(body)).into())
}

impl<S: App> Op for RequestOp<S> {
    type Worker = Worker;

    async fn worker(&self, number: usize, count: usize) -> Result<Worker, Failure> {
        // Unique to this round, so that the user has no sessions of an earlier one.
        let user = format!("{}-{}", user(number)?.as_str(), SessionId::generate(None, &OsEntropy)?);
        let mut sessions = Vec::new();
        let visits = Payload::new()?.visits;
        for _ in 0..self.kind.sessions(count) {
            sessions.push((self.populate().await?, visits));
        }
        if self.kind == RequestOpKind::Contention {
            let cookie = self.contended.get_or_try_init(|| self.populate()).await?;
            sessions.push((cookie.clone(), 0));
        }
        let authorization = HeaderValue::from_static("");
        let mut worker = Worker { user, sessions, next: 0, authorization, refresh_token: String::new() };
        if self.kind == RequestOpKind::Login {
            // Every measured login then replaces a session of this user.
            self.once(&mut worker).await?;
        }
        if self.kind.uses_tokens() {
            let tokens = self.tokens("/token", format!(r#"{{"username":"{}"}}"#, worker.user)).await?;
            worker.authorization = HeaderValue::from_str(&format!("Bearer {}", tokens.access_token))?;
            worker.refresh_token = tokens.refresh_token;
        }
        Ok(worker)
    }

    async fn once(&self, worker: &mut Worker) -> Result<(), Failure> {
        match self.kind {
            RequestOpKind::Untouched => expect(&self.get("/untouched", None).await?, "ok"),
            RequestOpKind::Anonymous => expect(&self.get("/anonymous", None).await?, "ok"),
            RequestOpKind::Read => {
                let (cookie, visits) = worker.session()?;
                expect(&self.get("/read", Some((COOKIE, cookie))).await?, &visits.to_string())
            }
            RequestOpKind::Write => {
                let (cookie, visits) = worker.session()?;
                *visits += 1;
                let (_, body) = self.post(Uri::from_static("/write"), cookie).await?;
                expect(&body, &visits.to_string())
            }
            RequestOpKind::Contention => {
                let (cookie, visits) = worker.session()?;
                let (_, body) = self.post(Uri::from_static("/count"), cookie).await?;
                let seen: u64 = std::str::from_utf8(&body)?.parse()?;
                // The numbers that one worker sees must grow.
                if self.exact && seen <= *visits {
                    return Err("an update was lost".into());
                }
                *visits = seen;
                Ok(())
            }
            RequestOpKind::Login => {
                let uri = format!("/login/{}", worker.user).parse()?;
                let (cookie, _) = worker.session()?;
                let next = returned_cookie(self.post(uri, cookie).await?.0)?;
                if next == *cookie {
                    return Err("the login kept the token".into());
                }
                *cookie = next;
                Ok(())
            }
            RequestOpKind::Logout => {
                let (cookie, _) = worker.session()?;
                let (removed, _) = self.post(Uri::from_static("/logout"), cookie).await?;
                if removed.is_some() { Ok(()) } else { Err("the logout left the cookie".into()) }
            }
            RequestOpKind::Refresh => {
                let body = format!(r#"{{"refresh_token":"{}"}}"#, worker.refresh_token);
                worker.refresh_token = self.tokens("/token/refresh", body).await?.refresh_token;
                Ok(())
            }
            RequestOpKind::AccessToken => {
                let header = Some((AUTHORIZATION, &worker.authorization));
                expect(&self.get("/me", header).await?, &worker.user)
            }
        }
    }

    async fn verify(&self, done: usize) -> Result<(), Failure> {
        let (RequestOpKind::Contention, true, Some(cookie)) = (self.kind, self.exact, self.contended.get()) else {
            return Ok(());
        };
        let done = u64::try_from(done)?;
        let expected = Payload::new()?.visits + done + self.done.fetch_add(done, Ordering::SeqCst);
        expect(&self.get("/read", Some((COOKIE, cookie))).await?, &expected.to_string())
    }
}
