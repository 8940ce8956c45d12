//! [`App`]: a client without cookies, which keeps a refresh token; and the endpoints of a [`Node`] for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{DeleteOutcome, Error, IssuedRefreshToken, PresentedToken, VerifiedRefreshToken};

use super::app_tokens::{AppTokens, send};
use super::client::{Client, LoginOptions};
use super::node::Node;
use super::support::{MILLI, login};
use crate::adapter::TokenRequest;
use crate::refusal::Refusal;

/// An app that refreshes at each use. Clones share one token.
#[derive(Clone)]
pub(super) struct App {
    node: Node,
    token: Arc<Mutex<String>>,
}

impl App {
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// Has this token from now on.
    pub(super) fn set_token(&self, token: String) {
        *self.lock() = token;
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client for App {
    type Change = Option<VerifiedRefreshToken>;

    fn new(node: &Node) -> Self {
        Self { node: node.clone(), token: Arc::default() }
    }

    fn on(&self, node: &Node) -> Self {
        Self { node: node.clone(), token: Arc::clone(&self.token) }
    }

    fn precision(&self) -> Duration {
        // Access tokens tell times in whole seconds, and there is none for the last second of a session.
        if self.node.has_token_routes() { Duration::from_secs(1) + MILLI } else { MILLI }
    }

    fn token(&self) -> String {
        self.lock().clone()
    }

    async fn log_in_with(&self, user: &str, options: LoginOptions) -> Result<(), Refusal> {
        let (login, replaces) = (options(login(user)?), self.token());
        let request = TokenRequest::LogIn { login: login.clone(), replaces: replaces.clone() };
        let token = match send(&self.node, request).await {
            Some(answer) => answer?.ok_or(Refusal::NOT_AUTHENTICATED)?.refresh,
            None => text(&self.node.manager().issue_refresh_token(login, presented(&replaces).as_ref()).await?),
        };
        self.set_token(token);
        Ok(())
    }

    async fn user(&self) -> Result<Option<String>, Refusal> {
        let Some(tokens) = self.node.tokens(&self.token()).await? else { return Ok(None) };
        self.set_token(tokens.refresh);
        Ok(tokens.user)
    }

    async fn log_out(&self) -> Result<(), Refusal> {
        match send(&self.node, TokenRequest::Revoke { token: self.token() }).await {
            Some(answer) => drop(answer?),
            None => drop(self.node.revoke_refresh_token(&self.token()).await?),
        }
        Ok(())
    }

    async fn read(&self) -> Result<bool, Refusal> {
        self.is_alive().await
    }

    async fn begin_change(&self) -> Result<Option<VerifiedRefreshToken>, Refusal> {
        Ok(self.node.verify_refresh_token(&self.token()).await?)
    }

    async fn end_change(&self, change: Option<VerifiedRefreshToken>) -> Result<(), Refusal> {
        let token = self.node.rotate(change.ok_or(Refusal::GONE)?).await?;
        self.set_token(token.ok_or(Refusal::GONE)?);
        Ok(())
    }

    async fn begin_anonymous(&self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn is_still_anonymous(&self) -> Result<bool, Refusal> {
        Ok(self.token().is_empty())
    }
}

impl Node {
    /// The successor of `token`, if it is good.
    pub(super) async fn refresh(&self, token: &str) -> Result<Option<String>, Refusal> {
        Ok(self.tokens(token).await?.map(|tokens| tokens.refresh))
    }

    /// A refresh, through the token route of the adapter if there is one.
    async fn tokens(&self, token: &str) -> Result<Option<AppTokens>, Refusal> {
        if let Some(answer) = send(self, TokenRequest::Refresh { refresh_token: token.to_owned() }).await {
            return answer;
        }
        let Some(verified) = self.verify_refresh_token(token).await? else { return Ok(None) };
        let issued = self.manager().rotate(verified).await?;
        Ok(issued.map(|issued| {
            let user = issued.session.authentication.as_ref().map(|known| known.user.as_str().to_owned());
            AppTokens { refresh: text(&issued), user }
        }))
    }

    /// The first half of a refresh.
    pub(super) async fn verify_refresh_token(&self, token: &str) -> Result<Option<VerifiedRefreshToken>, Error> {
        match presented(token) {
            Some(token) => self.manager().verify_refresh_token(&token).await,
            None => Ok(None),
        }
    }

    /// The second half of a refresh.
    pub(super) async fn rotate(&self, verified: VerifiedRefreshToken) -> Result<Option<String>, Error> {
        Ok(self.manager().rotate(verified).await?.as_ref().map(text))
    }

    /// A logout.
    pub(super) async fn revoke_refresh_token(&self, token: &str) -> Result<DeleteOutcome, Error> {
        match presented(token) {
            Some(token) => self.manager().revoke_refresh_token(&token).await,
            None => Ok(DeleteOutcome::Absent),
        }
    }
}

/// A token as a client sends it; `None` if it is malformed.
fn presented(token: &str) -> Option<PresentedToken> {
    PresentedToken::parse(token.as_bytes()).ok()
}

fn text(issued: &IssuedRefreshToken) -> String {
    issued.token.encode().expose().to_owned()
}
