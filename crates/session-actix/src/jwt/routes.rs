//! [`TokenRoutes`]: login, refresh, revocation and the public keys, ready to be mounted.

use std::fmt;
use std::sync::Arc;

use actix_web::web::{Bytes, ServiceConfig};
use actix_web::{HttpRequest, Resource};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use session_core::adapter::{OriginGuard, TokenTransport};
use session_core::{CookiePolicy, CookiePolicyError};
use session_jwt::{
    AccountsError, Answer, Attempt, Clients, Dpop, Fields, Pending, Refusal, Step, TokenEndpoint, TokenRoute,
    TokenService,
};

use super::respond::{get, post};
use crate::head::Head;

/// How an application verifies credentials. Its futures stay on their worker, as everything of actix-web.
#[async_trait(?Send)]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// What a client sends, as a form or JSON: a name and a password, say, and the `scope` that it wants, which it gets only if
    /// the application puts it into the [`Grant`](session_core::Grant) of the login. `grant_type`, `client_id` and others are
    /// among the parameters, so it must ignore what it does not know.
    type Credentials: DeserializeOwned;

    /// Whether the credentials are right: a [`Login`](session_core::Login), which may have a
    /// [`Grant`](session_core::Grant), a [`Refusal`], or a second factor that is to come. `request` is for the list of devices;
    /// its body was read.
    ///
    /// # Errors
    /// If the credentials cannot be verified now: 503.
    async fn authenticate(
        &self,
        credentials: Self::Credentials,
        request: &HttpRequest,
    ) -> Result<Attempt, AccountsError>;

    /// The second factor of a login whose first one was right: what `pending` says, and in `fields` what the client sends now.
    /// Answer [`Attempt::SecondFactor`] for a wrong one that may be tried again. Refused, unless an implementation says
    /// otherwise.
    ///
    /// # Errors
    /// If it cannot be verified now: 503. The continuation token is used up then.
    async fn second_factor(
        &self,
        pending: Pending,
        fields: &Fields,
        request: &HttpRequest,
    ) -> Result<Attempt, AccountsError> {
        let _ = (pending, fields, request);
        Ok(Refusal::credentials().into())
    }
}

/// The routes of a [`TokenService`], for an application of actix-web, as OAuth has them (RFC 6749). Each takes a form
/// (`application/x-www-form-urlencoded`) or JSON, with the same names:
///
/// | route | parameters | answer |
/// |---|---|---|
/// | `POST /token` ([`configure`](Self::configure)) | `grant_type=password` and the [credentials](Authenticator::Credentials), or as below; without it, JSON is a login | a pair of tokens |
/// | `POST /token/refresh` | `refresh_token`; `scope` for less than was granted; `grant_type=refresh_token` may be left out | the next pair |
/// | `POST /token/revoke` | `token`, a refresh or an access token | 200, whatever the token was (RFC 7009) |
/// | `POST /token/introspect`, with [`clients`](Self::clients) | `token`; the client authenticates | what the token is worth now (RFC 7662) |
/// | `GET /.well-known/jwks.json` ([`jwks`](Self::jwks)) | | the public keys |
/// | `GET /.well-known/oauth-authorization-server` ([`metadata`](Self::metadata)) | | where these routes are (RFC 8414) |
/// | `GET /.well-known/oauth-protected-resource` ([`resource_metadata`](Self::resource_metadata)) | | what they are for (RFC 9728) |
///
/// `grant_type=password` is for first-party clients, to which users may give their passwords: RFC 9700 forbids it to all
/// others. A client may name itself (`client_id`, in the body or in `Authorization: Basic`); the tokens are bound to it then.
///
/// A pair is `{"access_token","refresh_token","token_type":"Bearer","expires_in"}`, with `scope` if there is one. Errors are
/// `{"error":"<code>","error_description":"…"}` with the codes of RFC 6749: 400 `invalid_request`,
/// `unsupported_grant_type`, `invalid_scope`, `invalid_grant` (wrong credentials, or a refresh token that is not valid: log
/// in); 401 `invalid_client`; 403 `mfa_required`, with `mfa_token`, which goes with the second factor into the next request to
/// `/token`; 409 `session_limit_reached`; 429 `too_many_attempts`; 503 `temporarily_unavailable` (repeat with the same token);
/// and [what the application answers](Refusal). Only documents may be cached. A body has at most 64 KiB (413
/// `invalid_request`).
///
/// With [`refresh_in_cookie`](Self::refresh_in_cookie) the refresh token is in a cookie instead, and in no body: for
/// browsers, where scripts must not read it. Requests that another site made a browser send are refused then (403
/// `cross_origin`). A cookie that was replaced less than the [grace window](session_core::Policy::refresh_grace) ago is not
/// replaced again: any number of tabs that refresh together end with the same one. A refresh that fails leaves the cookie
/// alone: the client may have a newer one by then. A revocation ends
/// the sessions of all cookies of the name, whatever the body says.
///
/// A session is stepped up by a login in its place, with a stronger proof: by the cookie, or by the parameter `refresh_token`
/// beside the credentials.
///
/// ```
/// use std::sync::Arc;
/// use actix_web::{App, HttpRequest, web};
/// use async_trait::async_trait;
/// use session_actix::{Authenticator, TokenRoutes};
/// use session_core::{Login, UserId};
/// use session_jwt::{AccountsError, Attempt, TokenService};
///
/// #[derive(Debug)]
/// struct Passwords;
///
/// #[derive(serde::Deserialize)]
/// struct Credentials { username: String, password: String }
///
/// #[async_trait(?Send)]
/// impl Authenticator for Passwords {
///     type Credentials = Credentials;
///
///     async fn authenticate(&self, credentials: Credentials, _: &HttpRequest) -> Result<Attempt, AccountsError> {
///         let is_right = credentials.password == "correct-horse"; // ask your database of users
///         let user = UserId::new(credentials.username).ok().filter(|_| is_right);
///         Ok(user.map(|user| Login::new(user).method("pwd")).into())
///     }
/// }
///
/// # fn demo(tokens: Arc<TokenService>) {
/// // Once; clones of it in each worker.
/// let routes = TokenRoutes::new(tokens, Passwords);
/// let app = App::new()
///     .service(routes.jwks())
///     .service(routes.metadata("https://login.example/api", "https://login.example"))
///     .service(web::scope("/api").configure(routes.configure()));
/// # }
/// ```
#[must_use]
pub struct TokenRoutes<A> {
    authenticator: Arc<A>,
    endpoint: TokenEndpoint,
}

impl<A> Clone for TokenRoutes<A> {
    fn clone(&self) -> Self {
        Self { authenticator: Arc::clone(&self.authenticator), endpoint: self.endpoint.clone() }
    }
}

impl<A: Authenticator> TokenRoutes<A> {
    /// Refresh tokens travel in bodies.
    pub fn new(tokens: Arc<TokenService>, authenticator: A) -> Self {
        Self { authenticator: Arc::new(authenticator), endpoint: TokenEndpoint::new(tokens) }
    }

    /// Refresh tokens travel in this cookie:
    ///
    /// ```
    /// # use session_core::{CookiePolicy, SameSite};
    /// let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build()?;
    /// # Ok::<_, session_core::CookiePolicyError>(())
    /// ```
    ///
    /// For a single-page application on the same site. At another origin of it, say `app.example.org` beside
    /// `api.example.org`, the application needs two permissions: the [guard's](Self::origin_guard), to act, and that of CORS, to
    /// read answers: of exactly its origin, with credentials, the methods `GET` and `POST`, the headers `Authorization` and
    /// `Content-Type`, and those of the answer `Retry-After` and `WWW-Authenticate`. What does CORS belongs outside of all
    /// routes, so that it answers preflights, and the application can read errors too. The application says
    /// `credentials: "include"` with each call of the routes, or the browser neither sends the cookie nor takes one.
    ///
    /// To an application on another site the browser sends no cookie, and takes none from there: it keeps the refresh token
    /// itself, from bodies, with CORS alone.
    ///
    /// # Errors
    /// [`CookiePolicyError::Refresh`] unless its name begins with `__Host-` and it is `SameSite=Strict`.
    pub fn refresh_in_cookie(self, cookie: CookiePolicy) -> Result<Self, CookiePolicyError> {
        let transport = TokenTransport::cookie(cookie)?;
        Ok(Self { endpoint: self.endpoint.transport(transport), ..self })
    }

    /// Replaces the guard against cross-site request forgery, which watches the routes if refresh tokens travel in a cookie.
    /// Give it the guard of the [`SessionMiddleware`](crate::SessionMiddleware), so that both trust the same origins:
    ///
    /// ```
    /// # fn demo<A: session_actix::Authenticator>(routes: session_actix::TokenRoutes<A>, sessions: session_actix::SessionMiddleware)
    /// # -> Result<(), session_actix::OriginError> {
    /// use session_actix::OriginGuard;
    ///
    /// let guard = OriginGuard::new().trusted_origin("https://app.example.org")?;
    /// let (sessions, routes) = (sessions.origin_guard(guard.clone()), routes.origin_guard(guard));
    /// # Ok(())
    /// # }
    /// ```
    pub fn origin_guard(self, guard: OriginGuard) -> Self {
        Self { endpoint: self.endpoint.origin_guard(guard), ..self }
    }

    /// Which clients there are, and their secrets. A client that names itself must be one of them then, and one that has a
    /// secret must present it; those that have authenticated may introspect tokens. Without it, every client is public.
    pub fn clients(self, clients: impl Clients) -> Self {
        Self { endpoint: self.endpoint.clients(Arc::new(clients)), ..self }
    }

    /// Binds tokens to the keys of their clients (DPoP, RFC 9449): at a login with a proof, and at each refresh. The token type is
    /// `DPoP` then, and the refresh token of a public client is good with proofs of the same key alone. 400 `invalid_dpop_proof`,
    /// and `use_dpop_nonce` with `DPoP-Nonce`, if there are [nonces](crate::Dpop::nonces). The routes that take the access
    /// tokens need the same: [`BearerAuth::dpop`](crate::BearerAuth::dpop).
    pub fn dpop(self, dpop: Dpop) -> Self {
        Self { endpoint: self.endpoint.with_dpop(dpop), ..self }
    }

    /// `/token`, `/token/refresh` and `/token/revoke`; with [`clients`](Self::clients), `/token/introspect` too: for
    /// [`App::configure`](actix_web::App::configure) and [`Scope::configure`](actix_web::Scope::configure). For fewer of them, or
    /// at other paths, mount [`token`](Self::token), [`refresh`](Self::refresh), [`revoke`](Self::revoke) and
    /// [`introspect`](Self::introspect).
    pub fn configure(&self) -> impl FnOnce(&mut ServiceConfig) + use<A> {
        let routes = self.clone();
        move |config| {
            config
                .service(routes.token("/token"))
                .service(routes.refresh("/token/refresh"))
                .service(routes.revoke("/token/revoke"));
            if routes.endpoint.has_clients() {
                config.service(routes.introspect("/token/introspect"));
            }
        }
    }

    /// Login and refresh.
    pub fn token(&self, path: &str) -> Resource {
        self.issuing(path, TokenRoute::Token)
    }

    /// Refresh, and login with its `grant_type`.
    pub fn refresh(&self, path: &str) -> Resource {
        self.issuing(path, TokenRoute::Refresh)
    }

    /// Revocation (RFC 7009).
    pub fn revoke(&self, path: &str) -> Resource {
        let endpoint = self.endpoint.clone();
        post(path, async move |request, body| endpoint.revoke(&Head(request), &body).await)
    }

    /// Introspection (RFC 7662), which only [`clients`](Self::clients) that authenticate get an answer from.
    pub fn introspect(&self, path: &str) -> Resource {
        let endpoint = self.endpoint.clone();
        post(path, async move |request, body| endpoint.introspect(&Head(request), &body).await)
    }

    /// `/.well-known/jwks.json`, which belongs at the root of the site.
    pub fn jwks(&self) -> Resource {
        self.document("/.well-known/jwks.json", TokenEndpoint::jwks)
    }

    /// `/.well-known/oauth-authorization-server`, which belongs at the root of the site (RFC 8414). `routes` is the URL that
    /// [`configure`](Self::configure) is used at, `root` that of [`jwks`](Self::jwks). Clients expect the document at the
    /// [issuer](session_jwt::TokenPolicy::issuer): an https URL. It names all routes of [`configure`](Self::configure): who
    /// mounts fewer writes a document. If the issuer has a path, serve [`TokenEndpoint::metadata`] at
    /// `/.well-known/oauth-authorization-server/<path>`.
    pub fn metadata(&self, routes: impl AsRef<str>, root: impl AsRef<str>) -> Resource {
        let [routes, root] = [routes.as_ref(), root.as_ref()].map(|url| url.trim_end_matches('/').to_owned());
        let metadata = move |endpoint: &TokenEndpoint| endpoint.metadata(&routes, &root);
        self.document("/.well-known/oauth-authorization-server", metadata)
    }

    /// `/.well-known/oauth-protected-resource`, which belongs at the root of the resource server (RFC 9728), and whose URL goes
    /// into [challenges](crate::BearerAuth::challenge).
    pub fn resource_metadata(&self) -> Resource {
        self.document("/.well-known/oauth-protected-resource", TokenEndpoint::resource_metadata)
    }

    /// What is behind the routes.
    pub fn endpoint(&self) -> &TokenEndpoint {
        &self.endpoint
    }

    fn document(&self, path: &str, document: impl Fn(&TokenEndpoint) -> Answer + Clone + 'static) -> Resource {
        let endpoint = self.endpoint.clone();
        get(path, move || document(&endpoint))
    }

    fn issuing(&self, path: &str, route: TokenRoute) -> Resource {
        let routes = self.clone();
        post(path, async move |request, body| routes.answer(route, request, body).await)
    }

    async fn answer(&self, route: TokenRoute, request: &HttpRequest, body: Bytes) -> Answer {
        let (endpoint, head) = (&self.endpoint, Head(request));
        match endpoint.token(&head, &body, route).await {
            Step::Answer(answer) => answer,
            Step::Login(login) => match login.fields().read::<A::Credentials>() {
                Some(credentials) => {
                    let attempt = self.authenticator.authenticate(credentials, request).await;
                    endpoint.finish(&head, login, attempt).await
                }
                None => endpoint.incomplete(),
            },
            Step::SecondFactor(pending, login) => {
                let attempt = self.authenticator.second_factor(pending, login.fields(), request).await;
                endpoint.finish(&head, login, attempt).await
            }
        }
    }
}

impl<A: fmt::Debug> fmt::Debug for TokenRoutes<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRoutes").field("authenticator", &self.authenticator).finish_non_exhaustive()
    }
}
