//! [`TokenRoutes`]: login, refresh, revocation and the public keys, ready to be mounted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use session_core::adapter::SetCookie;
use session_core::{CookiePolicy, DeleteOutcome, Error, EventKind, Login, StoreErrorKind};
use session_jwt::{AccountsError, IssueError, TokenPair, TokenService, TokenServiceError};

use super::cookie::Transport;
use crate::csrf::Guard;

/// Nobody's credentials or tokens are longer.
const MAX_BODY: usize = 64 * 1024;

/// How an application checks who logs in.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// What a client sends, as JSON: a name and a password, say.
    type Credentials: DeserializeOwned + Send;

    /// The login, if the credentials are right; `None` if not. `parts` is the request, for the list of devices.
    ///
    /// # Errors
    /// If it cannot be told now.
    async fn authenticate(&self, credentials: Self::Credentials, parts: &Parts)
    -> Result<Option<Login>, AccountsError>;
}

/// The routes of the hybrid, for an axum application:
///
/// | route | request | answer |
/// |---|---|---|
/// | `POST /token` | [credentials](Authenticator::Credentials) | a pair of tokens |
/// | `POST /token/refresh` | `{"refresh_token"}` | the next pair |
/// | `POST /token/revoke` | `{"token"}`, a refresh or an access token | 200, whatever the token was (RFC 7009) |
/// | `GET /.well-known/jwks.json` ([`jwks`](Self::jwks)) | | the public keys |
///
/// A pair is `{"access_token","refresh_token","token_type":"Bearer","expires_in"}`. Errors are
/// `{"error":"<code>"}` with the codes of RFC 6749: 400 `invalid_request`, 400 `invalid_grant` (wrong credentials, or a
/// refresh token that is not valid: log in), 409 `session_limit_reached`, 503 `temporarily_unavailable` (repeat with the
/// same token). All answers but the public keys are `no-store`. A body has at most 64 KiB (413 `invalid_request`).
///
/// With [`refresh_in_cookie`](Self::refresh_in_cookie) the refresh token is in a cookie instead, and in no body: for
/// browsers, where no script shall read it. Requests that another site made a browser send are refused then (403
/// `cross_origin`). A refresh that fails leaves the cookie alone: the client may have a newer one by then. Only a
/// revocation that ended the session removes it.
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use axum::Router;
/// use http::request::Parts;
/// use session_core::{Login, UserId};
/// use session_jwt::{AccountsError, TokenService};
/// use session_tower::{Authenticator, TokenRoutes};
///
/// #[derive(Debug)]
/// struct Passwords;
///
/// #[derive(serde::Deserialize)]
/// struct Credentials { username: String, password: String }
///
/// #[async_trait]
/// impl Authenticator for Passwords {
///     type Credentials = Credentials;
///
///     async fn authenticate(&self, said: Credentials, _: &Parts) -> Result<Option<Login>, AccountsError> {
///         let right = said.password == "correct-horse"; // ask the database of your users
///         let user = UserId::new(said.username).ok().filter(|_| right);
///         Ok(user.map(|user| Login::new(user).method("pwd")))
///     }
/// }
///
/// fn app(hybrid: Arc<TokenService>) -> Router {
///     let tokens = TokenRoutes::new(hybrid, Passwords);
///     Router::new().merge(tokens.jwks()).nest("/api", tokens.router())
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct TokenRoutes<A> {
    shared: Arc<Shared<A>>,
}

struct Shared<A> {
    hybrid: Arc<TokenService>,
    authenticator: Arc<A>,
    transport: Transport,
    guard: Guard,
}

impl<A: fmt::Debug> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("authenticator", &self.authenticator).finish_non_exhaustive()
    }
}

impl<A: Authenticator> TokenRoutes<A> {
    /// Refresh tokens travel in bodies.
    pub fn new(hybrid: Arc<TokenService>, authenticator: A) -> Self {
        let (authenticator, transport) = (Arc::new(authenticator), Transport::Body);
        Self { shared: Arc::new(Shared { hybrid, authenticator, transport, guard: Guard::new() }) }
    }

    /// Refresh tokens travel in this cookie. Give it the path that the routes are mounted at and `SameSite=Strict`, so that
    /// it is sent with nothing else:
    ///
    /// ```
    /// # use session_core::{CookiePolicy, SameSite};
    /// let cookie = CookiePolicy::builder("__Secure-refresh").path("/api/token").same_site(SameSite::Strict).build()?;
    /// # Ok::<_, session_core::CookiePolicyError>(())
    /// ```
    pub fn refresh_in_cookie(self, cookie: CookiePolicy) -> Self {
        let Shared { hybrid, authenticator, guard, .. } = &*self.shared;
        let (hybrid, authenticator) = (Arc::clone(hybrid), Arc::clone(authenticator));
        let transport = Transport::Cookie(cookie);
        Self { shared: Arc::new(Shared { hybrid, authenticator, transport, guard: guard.clone() }) }
    }

    /// `/token`, `/token/refresh` and `/token/revoke`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/token", post(login::<A>))
            .route("/token/refresh", post(refresh::<A>))
            .route("/token/revoke", post(revoke::<A>))
            .method_not_allowed_fallback(|| async { Refused::METHOD })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&self.shared))
    }

    /// `/.well-known/jwks.json`, which belongs at the root of the site.
    pub fn jwks(&self) -> Router {
        Router::new().route("/.well-known/jwks.json", get(jwks)).with_state(Arc::clone(&self.shared.hybrid))
    }
}

impl<A> Shared<A> {
    /// Refuses what another site made a browser send with the cookie.
    fn check_origin(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        match self.transport {
            Transport::Cookie(_) if !self.guard.allows(method, uri, headers, true) => {
                self.hybrid.manager().report(EventKind::CrossOrigin, None, None);
                Err(Refused(StatusCode::FORBIDDEN, "cross_origin"))
            }
            Transport::Cookie(_) | Transport::Body => Ok(()),
        }
    }

    fn pair(&self, pair: &TokenPair) -> Response {
        let mut body = json!({
            "access_token": pair.access.expose(),
            "token_type": "Bearer",
            "expires_in": pair.access.expires_in().as_secs(),
        });
        let now = self.hybrid.manager().now();
        let cookie = self.transport.set(&pair.refresh, &pair.session, now);
        if cookie.is_none() {
            body["refresh_token"] = pair.refresh.expose().into();
        }
        answer(StatusCode::OK, body.to_string(), cookie)
    }
}

async fn login<A: Authenticator>(
    State(shared): State<Arc<Shared<A>>>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    shared.check_origin(&parts.method, &parts.uri, &parts.headers)?;
    let credentials = json(&content(body)?)?;
    let login = shared.authenticator.authenticate(credentials, &parts).await.map_err(|_| Refused::LATER)?;
    let login = login.ok_or(Refused::GRANT)?;
    let replaces = shared.transport.presented(&parts.headers);
    let pair = shared.hybrid.login(login, replaces.as_deref()).await?;
    Ok(shared.pair(&pair))
}

#[derive(Deserialize)]
struct RefreshBody {
    refresh_token: String,
}

async fn refresh<A: Authenticator>(
    State(shared): State<Arc<Shared<A>>>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    shared.check_origin(&parts.method, &parts.uri, &parts.headers)?;
    let token = match &shared.transport {
        Transport::Cookie(_) => shared.transport.presented(&parts.headers).ok_or(Refused::GRANT)?,
        Transport::Body => json::<RefreshBody>(&content(body)?)?.refresh_token,
    };
    let pair = shared.hybrid.refresh(&token).await?;
    Ok(shared.pair(&pair))
}

#[derive(Deserialize)]
struct RevokeBody {
    token: String,
}

async fn revoke<A: Authenticator>(
    State(shared): State<Arc<Shared<A>>>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    shared.check_origin(&parts.method, &parts.uri, &parts.headers)?;
    let body = content(body)?;
    let in_cookie = shared.transport.presented(&parts.headers).filter(|_| body.is_empty());
    let from_cookie = in_cookie.is_some();
    let token = match in_cookie {
        Some(token) => token,
        None => json::<RevokeBody>(&body)?.token,
    };
    let deleted = shared.hybrid.revoke(&token).await.map_err(TokenServiceError::from)?;
    let cookie = if from_cookie && deleted == DeleteOutcome::Deleted { shared.transport.remove() } else { None };
    Ok(answer(StatusCode::OK, "{}".to_owned(), cookie))
}

async fn jwks(State(hybrid): State<Arc<TokenService>>) -> Response {
    let (tokens, now) = (hybrid.tokens(), hybrid.manager().now());
    // A key is published this long before it signs; whoever caches the document for half of that knows it in time.
    let max_age = (tokens.ring().rotation().publish_ahead() / 2).min(Duration::from_secs(3600)).as_secs();
    let mut response = Response::new(Body::from(tokens.jwks(now).to_json()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
        headers.insert(CACHE_CONTROL, value);
    }
    response
}

/// What was sent, unless it is too long or did not arrive.
fn content(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refused> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refused::TOO_LARGE,
        _ => Refused::REQUEST,
    })
}

fn json<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|_| Refused::REQUEST)
}

fn answer(status: StatusCode, body: String, cookie: Option<SetCookie>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if let Some(Ok(mut value)) = cookie.map(|cookie| HeaderValue::from_str(cookie.expose())) {
        value.set_sensitive(true);
        headers.append(SET_COOKIE, value);
    }
    response
}

/// A status and the code in the body.
struct Refused(StatusCode, &'static str);

impl Refused {
    const REQUEST: Self = Self(StatusCode::BAD_REQUEST, "invalid_request");
    const TOO_LARGE: Self = Self(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request");
    const METHOD: Self = Self(StatusCode::METHOD_NOT_ALLOWED, "invalid_request");
    const GRANT: Self = Self(StatusCode::BAD_REQUEST, "invalid_grant");
    const LATER: Self = Self(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
    /// A mistake of the application.
    const SERVER: Self = Self(StatusCode::INTERNAL_SERVER_ERROR, "server_error");
}

impl From<TokenServiceError> for Refused {
    fn from(error: TokenServiceError) -> Self {
        match error {
            TokenServiceError::InvalidGrant | TokenServiceError::Issue(IssueError::SessionExpired) => Self::GRANT,
            TokenServiceError::Session(Error::LimitReached) => Self(StatusCode::CONFLICT, "session_limit_reached"),
            TokenServiceError::Session(Error::Conflict) => Self(StatusCode::CONFLICT, "session_conflict"),
            TokenServiceError::Session(Error::Store(error)) if error.kind() == StoreErrorKind::Unsupported => {
                Self::SERVER
            }
            TokenServiceError::Session(Error::Store(_) | Error::Entropy(_))
            | TokenServiceError::Issue(IssueError::Entropy(_))
            | TokenServiceError::Accounts(_) => Self::LATER,
            // What remains is a mistake of the application too, or comes with a later version.
            TokenServiceError::Session(_) | TokenServiceError::Issue(_) | _ => Self::SERVER,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        answer(self.0, json!({ "error": self.1 }).to_string(), None)
    }
}
