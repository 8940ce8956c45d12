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
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use session_core::adapter::{
    OriginGuard, PresentedCookie, RejectionKind, SetCookie, TokenTransport, error_body, report_refusal, token_edits,
};
use session_core::{CookiePolicy, DeleteOutcome, Error, EventKind, Login, PresentedToken, StoreErrorKind};
use session_jwt::{AccountsError, IssueError, TokenPair, TokenService, TokenServiceError};

use crate::head::{Head, apply};
use crate::rejection::{json_response, status};

/// Longer than any credentials and tokens.
const MAX_BODY: usize = 64 * 1024;

/// How an application verifies credentials.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// What a client sends, as JSON: a name and a password, say.
    type Credentials: DeserializeOwned + Send;

    /// The login, if the credentials are right; `None` if not. `parts` is the request, for the list of devices.
    ///
    /// # Errors
    /// If the credentials cannot be verified now.
    async fn authenticate(&self, credentials: Self::Credentials, parts: &Parts)
    -> Result<Option<Login>, AccountsError>;
}

/// The routes of a [`TokenService`], for an axum application:
///
/// | route | request | answer |
/// |---|---|---|
/// | `POST /token` | [credentials](Authenticator::Credentials) | a pair of tokens |
/// | `POST /token/refresh` | `{"refresh_token"}` | the next pair |
/// | `POST /token/revoke` | `{"token"}`, a refresh or an access token | 200, whatever the token was, as in RFC 7009 |
/// | `GET /.well-known/jwks.json` ([`jwks`](Self::jwks)) | | the public keys |
///
/// A pair is `{"access_token","refresh_token","token_type":"Bearer","expires_in"}`. Errors are
/// `{"error":"<code>"}` with the codes of RFC 6749: 400 `invalid_request`, 400 `invalid_grant` (wrong credentials, or a
/// refresh token that is not valid: log in), 409 `session_limit_reached`, 503 `temporarily_unavailable` (repeat with the
/// same token). All answers but the public keys are `no-store`. A body has at most 64 KiB (413 `invalid_request`).
///
/// With [`refresh_in_cookie`](Self::refresh_in_cookie) the refresh token is in a cookie instead, and in no body: for
/// browsers, where scripts must not read it. Requests that another site made a browser send are refused then (403
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
///     async fn authenticate(&self, credentials: Credentials, _: &Parts) -> Result<Option<Login>, AccountsError> {
///         let is_right = credentials.password == "correct-horse"; // ask your database of users
///         let user = UserId::new(credentials.username).ok().filter(|_| is_right);
///         Ok(user.map(|user| Login::new(user).method("pwd")))
///     }
/// }
///
/// fn app(tokens: Arc<TokenService>) -> Router {
///     let routes = TokenRoutes::new(tokens, Passwords);
///     Router::new().merge(routes.jwks()).nest("/api", routes.router())
/// }
/// ```
#[must_use]
pub struct TokenRoutes<A> {
    shared: Arc<Shared<A>>,
}

struct Shared<A> {
    tokens: Arc<TokenService>,
    authenticator: Arc<A>,
    transport: TokenTransport,
    guard: OriginGuard,
}

impl<A: Authenticator> TokenRoutes<A> {
    /// Refresh tokens travel in bodies.
    pub fn new(tokens: Arc<TokenService>, authenticator: A) -> Self {
        let (authenticator, transport, guard) = (Arc::new(authenticator), TokenTransport::Body, OriginGuard::new());
        Self { shared: Arc::new(Shared { tokens, authenticator, transport, guard }) }
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
        self.with(TokenTransport::Cookie(cookie), self.shared.guard.clone())
    }

    /// Replaces the guard against cross-site request forgery, which watches the routes if refresh tokens travel in a cookie.
    /// Give it the guard of the [`SessionLayer`](crate::SessionLayer), so that both trust the same origins:
    ///
    /// ```
    /// # fn demo<A: session_tower::Authenticator>(routes: session_tower::TokenRoutes<A>, sessions: session_tower::SessionLayer)
    /// # -> Result<(), session_tower::OriginError> {
    /// use session_tower::OriginGuard;
    ///
    /// let guard = OriginGuard::new().trusted_origin("https://app.example.org")?;
    /// let (sessions, routes) = (sessions.origin_guard(guard.clone()), routes.origin_guard(guard));
    /// # Ok(())
    /// # }
    /// ```
    pub fn origin_guard(self, guard: OriginGuard) -> Self {
        self.with(self.shared.transport.clone(), guard)
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
        Router::new().route("/.well-known/jwks.json", get(jwks)).with_state(Arc::clone(&self.shared.tokens))
    }

    fn with(&self, transport: TokenTransport, guard: OriginGuard) -> Self {
        let Shared { tokens, authenticator, .. } = &*self.shared;
        let (tokens, authenticator) = (Arc::clone(tokens), Arc::clone(authenticator));
        Self { shared: Arc::new(Shared { tokens, authenticator, transport, guard }) }
    }
}

impl<A: fmt::Debug> fmt::Debug for TokenRoutes<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRoutes").field("authenticator", &self.shared.authenticator).finish_non_exhaustive()
    }
}

impl<A> Shared<A> {
    /// The head of a request, unless another site made a browser send it with the cookie.
    fn head<'r>(&self, parts: &'r Parts) -> Result<Head<'r>, Refused> {
        let head = Head::from(parts);
        if let TokenTransport::Cookie(_) = self.transport {
            // Each route is a `POST`, which is guarded with and without a session cookie.
            self.guard.check(self.tokens.manager(), &head, &PresentedCookie::Nothing)?;
        }
        Ok(head)
    }

    fn pair(&self, pair: &TokenPair) -> Response {
        let mut body = json!({
            "access_token": pair.access.expose(),
            "token_type": "Bearer",
            "expires_in": pair.access.expires_in().as_secs(),
        });
        let now = self.tokens.manager().now();
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
    let head = shared.head(&parts)?;
    let credentials = json(&content(body)?)?;
    let login = shared.authenticator.authenticate(credentials, &parts).await.map_err(|_| Refused::LATER)?;
    let Some(login) = login else {
        report_refusal(shared.tokens.manager(), &head, EventKind::LoginRefused);
        return Err(Refused::GRANT);
    };
    let replaces = shared.transport.presented(&head);
    let pair = shared.tokens.login(login, replaces).await?;
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
    let head = shared.head(&parts)?;
    let token = match shared.transport {
        TokenTransport::Cookie(_) => shared.transport.presented(&head).ok_or(Refused::GRANT)?.to_owned(),
        TokenTransport::Body => json::<RefreshBody>(&content(body)?)?.refresh_token,
    };
    if PresentedToken::parse(token.as_bytes()).is_err() {
        report_refusal(shared.tokens.manager(), &head, EventKind::MalformedToken);
    }
    let pair = shared.tokens.refresh(&token).await?;
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
    let head = shared.head(&parts)?;
    let body = content(body)?;
    let in_cookie = shared.transport.presented(&head).filter(|_| body.is_empty());
    let token = match in_cookie {
        Some(token) => token.to_owned(),
        None => json::<RevokeBody>(&body)?.token,
    };
    let outcome = shared.tokens.revoke(&token).await.map_err(TokenServiceError::from)?;
    let has_ended = in_cookie.is_some() && outcome == DeleteOutcome::Deleted;
    let cookie = if has_ended { shared.transport.remove() } else { None };
    Ok(answer(StatusCode::OK, "{}".to_owned(), cookie))
}

async fn jwks(State(service): State<Arc<TokenService>>) -> Response {
    let (tokens, now) = (service.tokens(), service.manager().now());
    // A key is published this long before it signs: a client that caches the document for half of that knows it in time.
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
    let mut response = json_response(status.as_u16(), body);
    match apply(token_edits(cookie.as_ref()), response.headers_mut()) {
        Ok(()) => response.map(Body::from),
        Err(_) => Refused::SERVER.into_response(),
    }
}

/// A status and the code in the body.
struct Refused(StatusCode, &'static str);

impl Refused {
    const REQUEST: Self = Self(StatusCode::BAD_REQUEST, "invalid_request");
    const TOO_LARGE: Self = Self(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request");
    const METHOD: Self = Self(StatusCode::METHOD_NOT_ALLOWED, "invalid_request");
    const GRANT: Self = Self(StatusCode::BAD_REQUEST, "invalid_grant");
    const LATER: Self = Self(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
    /// A bug in the application.
    const SERVER: Self = Self(StatusCode::INTERNAL_SERVER_ERROR, "server_error");
}

impl From<RejectionKind> for Refused {
    fn from(kind: RejectionKind) -> Self {
        Self(status(kind.status()), kind.code())
    }
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
            // What remains is a bug in the application too, or comes with a later version.
            TokenServiceError::Session(_) | TokenServiceError::Issue(_) | _ => Self::SERVER,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        answer(self.0, error_body(self.1), None)
    }
}
