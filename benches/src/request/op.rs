//! [`RequestOp`]: one request, to an application with sessions or to its floor, which speak alike.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use session_core::{OsEntropy, SessionId};
use tokio::sync::OnceCell;
use tower::{Service, ServiceExt as _};

use crate::op::{Failure, Op};
use crate::payload::{JSON, Payload, user};
use crate::store::PER_WORKER;

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOpKind {
    /// One whose handler does not ask for a session, and without a cookie.
    Untouched,
    /// One whose handler asks for a session, and without a cookie.
    Anonymous,
    /// Reads a value.
    Read,
    /// Changes a value, and answers with the new one.
    Write,
    /// As [`Write`](Self::Write), all workers in one session.
    Contention,
    /// Logs in: a new id, a new token, in exchange for the session before.
    Login,
    /// Logs out.
    Logout,
    /// A refresh token for the next one, and an access token.
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

    /// Whether nobody has a session in it: its floor is axum alone.
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Self::Untouched | Self::Anonymous)
    }

    /// Whether it presents a token that is no cookie.
    pub(crate) fn is_of_tokens(self) -> bool {
        matches!(self, Self::Refresh | Self::AccessToken)
    }

    /// As the report calls it.
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
}

/// One request, again and again.
#[derive(Debug)]
pub(crate) struct RequestOp<S> {
    app: S,
    kind: RequestOpKind,
    /// Whether no update may get lost; a floor loses them.
    exact: bool,
    contended: OnceCell<HeaderValue>,
    /// How often the contended session was changed in the rounds before.
    done: AtomicU64,
}

/// What one worker presents.
#[derive(Debug)]
pub(crate) struct Worker {
    user: String,
    /// Cookies of its sessions, and what each should answer.
    sessions: Vec<(HeaderValue, u64)>,
    next: usize,
    token: HeaderValue,
    refresh: String,
}

impl Worker {
    /// Its sessions, one after the other.
    fn session(&mut self) -> Result<&mut (HeaderValue, u64), Failure> {
        let at = self.next % self.sessions.len().max(1);
        self.next += 1;
        Ok(self.sessions.get_mut(at).ok_or("no session left")?)
    }
}

#[derive(Deserialize)]
struct Pair {
    access_token: String,
    refresh_token: String,
}

/// An application, or its floor.
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
    #[must_use]
    pub(crate) fn new(app: S, kind: RequestOpKind) -> Self {
        Self { app, kind, exact: true, contended: OnceCell::new(), done: AtomicU64::new(0) }
    }

    /// A request to a floor.
    #[must_use]
    pub(crate) fn floor(app: S, kind: RequestOpKind) -> Self {
        Self { exact: false, ..Self::new(app, kind) }
    }

    async fn call(&self, request: Request<Body>) -> Result<(Option<HeaderValue>, Bytes), Failure> {
        let response: Response<Body> = self.app.clone().oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status != StatusCode::OK {
            return Err(format!("{}: {} {}", self.kind.name(), parts.status, String::from_utf8_lossy(&body)).into());
        }
        Ok((parts.headers.get(SET_COOKIE).cloned(), body))
    }

    async fn visit(
        &self,
        method: Method,
        uri: Uri,
        cookie: Option<&HeaderValue>,
    ) -> Result<(Option<HeaderValue>, Bytes), Failure> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        if let Some(cookie) = cookie {
            request.headers_mut().insert(COOKIE, cookie.clone());
        }
        self.call(request).await
    }

    async fn post(&self, uri: &'static str, json: String) -> Result<(Option<HeaderValue>, Bytes), Failure> {
        let mut request = Request::new(Body::from(json));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(uri);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.call(request).await
    }

    /// The cookie of a new session that holds the payload.
    async fn filled(&self) -> Result<HeaderValue, Failure> {
        let (cookie, _) = self.post("/fill", JSON.to_owned()).await?;
        sent_back(cookie)
    }

    async fn expect(&self, cookie: Option<&HeaderValue>, uri: &'static str, answer: &str) -> Result<(), Failure> {
        let (_, body) = self.visit(Method::GET, Uri::from_static(uri), cookie).await?;
        expect(&body, answer)
    }
}

/// What a browser sends after this `Set-Cookie`.
fn sent_back(cookie: Option<HeaderValue>) -> Result<HeaderValue, Failure> {
    let cookie = cookie.ok_or("there is no cookie")?;
    let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(HeaderValue::from_str(pair)?)
}

fn expect(body: &[u8], answer: &str) -> Result<(), Failure> {
    if body == answer.as_bytes() {
        return Ok(());
    }
    Err(format!("answered {} instead of {answer}", String::from_utf8_lossy(body)).into())
}

impl<S: App> Op for RequestOp<S> {
    type Worker = Worker;

    async fn worker(&self, number: usize, count: usize) -> Result<Worker, Failure> {
        // Of this round alone: its sessions are its own.
        let user = format!("{}-{}", user(number)?.as_str(), SessionId::generate(None, &OsEntropy)?);
        let mut sessions = Vec::new();
        let visits = Payload::new()?.visits;
        let filled = match self.kind {
            RequestOpKind::Read | RequestOpKind::Write => PER_WORKER,
            RequestOpKind::Login => 1,
            RequestOpKind::Logout => count,
            RequestOpKind::Untouched
            | RequestOpKind::Anonymous
            | RequestOpKind::Contention
            | RequestOpKind::Refresh
            | RequestOpKind::AccessToken => 0,
        };
        for _ in 0..filled {
            sessions.push((self.filled().await?, visits));
        }
        if self.kind == RequestOpKind::Contention {
            let cookie = self.contended.get_or_try_init(|| self.filled()).await?;
            sessions.push((cookie.clone(), 0));
        }
        let mut worker =
            Worker { user, sessions, next: 0, token: HeaderValue::from_static(""), refresh: String::new() };
        if self.kind == RequestOpKind::Login {
            // From now on it is the session of this user that is exchanged.
            self.once(&mut worker).await?;
        }
        if self.kind.is_of_tokens() {
            let (_, body) = self.post("/token", format!(r#"{{"username":"{}"}}"#, worker.user)).await?;
            let pair: Pair = serde_json::from_slice(&body)?;
            worker.token = HeaderValue::from_str(&format!("Bearer {}", pair.access_token))?;
            worker.refresh = pair.refresh_token;
        }
        Ok(worker)
    }

    async fn once(&self, worker: &mut Worker) -> Result<(), Failure> {
        match self.kind {
            RequestOpKind::Untouched => self.expect(None, "/untouched", "ok").await,
            RequestOpKind::Anonymous => self.expect(None, "/anonymous", "ok").await,
            RequestOpKind::Read => {
                let (cookie, visits) = worker.session()?;
                self.expect(Some(cookie), "/read", &visits.to_string()).await
            }
            RequestOpKind::Write => {
                let (cookie, visits) = worker.session()?;
                *visits += 1;
                let (_, body) = self.visit(Method::POST, Uri::from_static("/write"), Some(cookie)).await?;
                expect(&body, &visits.to_string())
            }
            RequestOpKind::Contention => {
                let (cookie, visits) = worker.session()?;
                let (_, body) = self.visit(Method::POST, Uri::from_static("/count"), Some(cookie)).await?;
                let seen: u64 = std::str::from_utf8(&body)?.parse()?;
                // Each increment leads to a number that no earlier one of this worker led to.
                if self.exact && seen <= *visits {
                    return Err("an update got lost".into());
                }
                *visits = seen;
                Ok(())
            }
            RequestOpKind::Login => {
                let uri = format!("/login/{}", worker.user).parse()?;
                let (cookie, _) = worker.session()?;
                let (set, _) = self.visit(Method::POST, uri, Some(cookie)).await?;
                let next = sent_back(set)?;
                if next == *cookie {
                    return Err("the login kept the token".into());
                }
                *cookie = next;
                Ok(())
            }
            RequestOpKind::Logout => {
                let (cookie, _) = worker.session()?;
                let (set, _) = self.visit(Method::POST, Uri::from_static("/logout"), Some(cookie)).await?;
                if set.is_some() { Ok(()) } else { Err("the logout left the cookie".into()) }
            }
            RequestOpKind::Refresh => {
                let said = format!(r#"{{"refresh_token":"{}"}}"#, worker.refresh);
                let (_, body) = self.post("/token/refresh", said).await?;
                let pair: Pair = serde_json::from_slice(&body)?;
                worker.refresh = pair.refresh_token;
                Ok(())
            }
            RequestOpKind::AccessToken => {
                let mut request = Request::new(Body::empty());
                *request.uri_mut() = Uri::from_static("/me");
                request.headers_mut().insert(AUTHORIZATION, worker.token.clone());
                let (_, body) = self.call(request).await?;
                expect(&body, &worker.user)
            }
        }
    }

    async fn verify(&self, done: usize) -> Result<(), Failure> {
        let (RequestOpKind::Contention, true, Some(cookie)) = (self.kind, self.exact, self.contended.get()) else {
            return Ok(());
        };
        let done = u64::try_from(done)?;
        let expected = Payload::new()?.visits + done + self.done.fetch_add(done, Ordering::SeqCst);
        self.expect(Some(cookie), "/read", &expected.to_string()).await
    }
}
