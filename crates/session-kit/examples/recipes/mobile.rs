//! A mobile client, which keeps no cookies: an access token for each request, and a refresh token to get the next one.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::http::{header::USER_AGENT, request::Parts};
use axum::routing::{get, post};
use session_kit::axum::{Authenticator, Bearer, BearerLayer, LiveBearer, TokenRoutes};
use session_kit::jwt::{
    AccessTokens, AccountStatus, Accounts, AccountsError, Algorithm, Attempt, KeyRing, Rotation, TokenPolicy,
    TokenService,
};
use session_kit::{Device, Login, OsEntropy, SessionManager, SessionSummary, UserId};

/// Your table of users.
#[derive(Clone, Debug)]
struct Users;

#[derive(serde::Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[async_trait]
impl Authenticator for Users {
    type Credentials = Credentials;

    /// `POST /token`: a form or JSON, `grant_type=password&username=…&password=…`.
    async fn authenticate(&self, sent: Credentials, request: &Parts) -> Result<Attempt, AccountsError> {
        let user = UserId::new(sent.username).ok().filter(|_| sent.password == "correct-horse"); // as in the recipe of the login
        let agent = request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
        Ok(user.map(|user| Login::new(user).method("pwd").device(Device::new().with_user_agent(agent))).into())
    }
}

#[async_trait]
impl Accounts for Users {
    /// At each refresh, every few minutes: may this user go on?
    async fn status(&self, _user: &UserId, _session: &SessionSummary) -> Result<AccountStatus, AccountsError> {
        Ok(AccountStatus::Active)
    }
}

async fn prices(bearer: Bearer) -> String {
    format!("prices for {}", bearer.user.as_str()) // no round trip: a logout is noticed when the token expires
}

async fn order(bearer: LiveBearer) -> String {
    format!("thank you, {}", bearer.user.as_str()) // one round trip: a logout is noticed at once
}

pub(crate) fn app(sessions: SessionManager) -> Result<Router, Box<dyn Error>> {
    // A new key at each start, so tokens end with the process. In production, one ring for all nodes: `KeyRing::from_json`.
    let ring = KeyRing::generate(Algorithm::EdDsa, Rotation::default(), sessions.now(), &OsEntropy)?;
    let names = TokenPolicy::new("https://login.example.org", "https://api.example.org")?;
    let tokens = Arc::new(TokenService::new(sessions, Arc::new(AccessTokens::new(names, ring)?), Users)?);
    let routes = TokenRoutes::new(Arc::clone(&tokens), Users); // POST /token, /token/refresh, /token/revoke
    let api = Router::new().route("/prices", get(prices)).route("/orders", post(order));
    Ok(api.layer(BearerLayer::new(tokens)).merge(routes.router()))
}
