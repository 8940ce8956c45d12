//! A site with the token routes, as an application has it.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::routing::get;
use serde::Deserialize;
use session_conformance::ReferenceStore;
use session_core::{Login, OsEntropy, SessionManager, SessionSummary, UserId};
use session_jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, Attempt, ClientSecret, ClientStatus, Clients,
    KeyRing, Rotation, TokenPolicy, TokenService,
};
use session_tower::{Authenticator, Bearer, BearerLayer, Dpop, TokenRoutes};
use tokio::net::TcpListener;

pub(crate) const AUDIENCE: &str = "https://api.example";
pub(crate) const PASSWORD: &str = "correct-horse";
/// Of the client `gateway`. Clients differ in how they spell it in HTTP Basic: some encode the hyphen.
pub(crate) const GATEWAY_SECRET: &str = "correct-gateway";
const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// A server on a free port. It ends with the runtime of the test.
pub(crate) struct Site {
    pub(crate) tokens: Arc<TokenService>,
    pub(crate) address: SocketAddr,
}

impl Site {
    /// Its access tokens are signed with ES256, which all of the others know.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| None).await
    }

    /// Its tokens are bound as `dpop` says, which is told its address. `/me` takes them.
    pub(crate) async fn start_with(dpop: impl FnOnce(&str) -> Option<Dpop>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manager = SessionManager::builder(Arc::new(ReferenceStore::new())).build();
        let policy = TokenPolicy::builder(format!("http://{address}"), AUDIENCE).client("shop").build().unwrap();
        let ring = KeyRing::generate(Algorithm::Es256, Rotation::default(), manager.now(), &OsEntropy).unwrap();
        let access = AccessTokens::new(policy, ring).unwrap();
        let tokens = Arc::new(TokenService::new(manager, Arc::new(access), Everybody).unwrap());
        let routes = TokenRoutes::new(Arc::clone(&tokens), Everybody).clients(Registered);
        let (issuer, orders) = (format!("http://{address}"), Router::new().route("/orders", get(orders)));
        let layer = BearerLayer::new(Arc::clone(&tokens));
        let (routes, layer) = match dpop(&issuer) {
            Some(dpop) => (routes.dpop(dpop.clone()), layer.dpop(dpop)),
            None => (routes, layer),
        };
        let me = Router::new().route("/me", get(async |bearer: Bearer| bearer.user.as_str().to_owned())).layer(layer);
        let app = orders.merge(me).merge(routes.router()).merge(routes.jwks()).merge(routes.metadata(&issuer, &issuer));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { tokens, address }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An access token of a new session of `user`.
    pub(crate) async fn access_token(&self, user: &str) -> String {
        let login = Login::new(UserId::new(user).unwrap()).method("pwd");
        self.tokens.login(login, None).await.unwrap().access.expose().to_owned()
    }
}

/// What stands behind a gateway: it believes what that says of the user.
async fn orders(headers: HeaderMap) -> String {
    format!("orders of {}", headers.get("x-user").map_or("nobody", |user| user.to_str().unwrap()))
}

#[derive(Debug)]
struct Everybody;

#[async_trait]
impl Accounts for Everybody {
    async fn status(&self, _: &UserId, _: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}

/// The shop is public: it is given a secret by clients that cannot do without one.
#[derive(Debug)]
struct Registered;

#[async_trait]
impl Clients for Registered {
    async fn status(&self, client: &str, secret: Option<&ClientSecret>) -> Result<ClientStatus, AccountsError> {
        Ok(match (client, secret) {
            ("shop", _) => ClientStatus::Public,
            ("gateway", Some(secret)) if secret.is(GATEWAY_SECRET.as_bytes()) => ClientStatus::Authenticated,
            _ => ClientStatus::Unknown,
        })
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[async_trait]
impl Authenticator for Everybody {
    type Credentials = Credentials;

    async fn authenticate(&self, credentials: Credentials, _: &Parts) -> Result<Attempt, AccountsError> {
        let is_right = USERS.contains(&&*credentials.username) && credentials.password == PASSWORD;
        let user = UserId::new(credentials.username).ok().filter(|_| is_right);
        Ok(user.map(|user| Login::new(user).method("pwd")).into())
    }
}
