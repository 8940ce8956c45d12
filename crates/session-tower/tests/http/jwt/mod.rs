//! Access tokens and the routes that hand them out.

mod attack;
mod backchannel;
mod bearer;
mod clients;
mod cookie;
mod cors;
mod device;
mod device_weather;
mod dpop;
mod foreign;
mod provider;
mod requirement;
mod routes;
mod second_factor;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use session_core::store::Freshness;
use session_core::{CookiePolicy, Login, OsEntropy, Policy, SameSite, SessionSummary, UserId};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, Attempt, KeyRing, Rotation, TokenPolicy,
    TokenService,
};
use session_tower::{Authenticator, Bearer, BearerLayer, LiveBearer, TokenRequirement, TokenRoutes};

use crate::common::{Answer, Site, send};

/// Wants the store's own word of the session.
struct Latest;

impl TokenRequirement for Latest {
    const FRESHNESS: Freshness = Freshness::Latest;
}

/// The accounts: which are disabled, and whether they can be asked.
#[derive(Clone, Debug, Default)]
struct Book {
    disabled: Arc<Mutex<HashSet<String>>>,
    down: Arc<Mutex<bool>>,
}

impl Book {
    fn ask(&self) -> Result<(), AccountsError> {
        if *self.down.lock().unwrap() { Err(AccountsError::new("the accounts are down")) } else { Ok(()) }
    }
}

#[async_trait]
impl Accounts for Book {
    async fn status(&self, user: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        self.ask()?;
        let is_disabled = self.disabled.lock().unwrap().contains(user.as_str());
        Ok(if is_disabled { AccountStatus::Disabled } else { AccountStatus::Active })
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
    #[serde(default)]
    remember: bool,
}

#[async_trait]
impl Authenticator for Book {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, _: &Parts) -> Result<Attempt, AccountsError> {
        self.ask()?;
        let login = Login::new(UserId::new(credentials.username).unwrap()).method("pwd");
        let login = if credentials.remember { login.remember() } else { login };
        Ok((credentials.password == "right").then_some(login).into())
    }
}

struct Service {
    site: Site,
    book: Book,
    tokens: Arc<TokenService>,
    app: Router,
}

impl Service {
    /// Refresh tokens in bodies.
    fn new(policy: Policy) -> Self {
        Self::with(policy, |routes| routes)
    }

    fn standard() -> Self {
        Self::new(Policy::standard())
    }

    /// Refresh tokens in a cookie.
    fn with_cookie() -> Self {
        let cookie = CookiePolicy::builder("__Host-refresh").same_site(SameSite::Strict).build().unwrap();
        Self::with(Policy::standard(), |routes| routes.refresh_in_cookie(cookie).unwrap())
    }

    fn with(policy: Policy, how: impl FnOnce(TokenRoutes<Book>) -> TokenRoutes<Book>) -> Self {
        let (site, book) = (Site::new(policy), Book::default());
        let names = TokenPolicy::new("https://login.example", "https://api.example").unwrap();
        let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), site.manager.now(), &OsEntropy).unwrap();
        let access = Arc::new(AccessTokens::new(names, ring).unwrap());
        let tokens = Arc::new(TokenService::new(site.manager.clone(), access, book.clone()).unwrap());
        let routes = how(TokenRoutes::new(Arc::clone(&tokens), book.clone()));
        let app = bearer_routes()
            .layer(BearerLayer::new(Arc::clone(&tokens)))
            .nest("/api", routes.router())
            .merge(routes.jwks())
            .merge(routes.metadata("https://login.example/api/", "https://login.example"))
            .merge(routes.resource_metadata());
        Self { site, book, tokens, app }
    }

    async fn login(&self) -> Pair {
        Pair::of(&self.post("/api/token", &credentials("alice")).await)
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/token/refresh", &json!({ "refresh_token": token })).await
    }

    async fn revoke(&self, token: &str) -> Answer {
        self.post("/api/token/revoke", &json!({ "token": token })).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body.to_string()).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method("POST").uri(path).header("host", "api.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&self.app, request.body(body.into()).unwrap()).await
    }

    /// A request with this access token.
    async fn get(&self, path: &str, access: &str) -> Answer {
        get_with(&self.app, path, &[format!("Bearer {access}").as_bytes()]).await
    }
}

fn bearer_routes() -> Router {
    Router::new()
        .route("/me", get(|bearer: Bearer| async move { bearer.user.as_str().to_owned() }))
        .route("/live-latest", get(|_: LiveBearer<Latest>| async { "live" }))
        .route("/live", get(|bearer: LiveBearer| async move { bearer.session().id.to_string() }))
        .route("/maybe", get(|bearer: Option<Bearer>| async move { bearer.is_some().to_string() }))
        .route("/maybe-live", get(|bearer: Option<LiveBearer>| async move { bearer.is_some().to_string() }))
}

/// A request with these `Authorization` headers.
async fn get_with(app: &Router, path: &str, authorization: &[&[u8]]) -> Answer {
    let mut request = Request::builder().uri(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    send(app, request.body(Body::empty()).unwrap()).await
}

fn credentials(user: &str) -> Value {
    json!({ "username": user, "password": "right" })
}

/// What a client that keeps its tokens itself has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

/// Asserts an error as RFC 6749 wants it, and that no cookie changes.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status.as_u16(), &body["error"]), (status, &json!(code)), "{answer:?}");
    assert!(body["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    assert_eq!(answer.all("content-type"), ["application/json"]);
    assert_eq!(answer.all("set-cookie"), [""; 0]);
    // Clients would not read the body beside it.
    assert_eq!(answer.all("www-authenticate").is_empty(), status != 401, "{answer:?}");
    assert_uncached(answer);
}

#[track_caller]
fn assert_uncached(answer: &Answer) {
    assert_eq!((answer.all("cache-control"), answer.all("pragma")), (vec!["no-store"], vec!["no-cache"]));
}

const LIFETIME: Duration = Duration::from_secs(300);
