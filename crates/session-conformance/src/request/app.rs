//! [`App`]: a client without cookies, which keeps a refresh token; and the endpoints of a [`Node`] for it.

use std::sync::{Arc, Mutex, PoisonError};

use session_core::{
    DeleteOutcome, Error, IssuedRefreshToken, PresentedToken, SessionId, SessionSummary, VerifiedRefreshToken,
};

use super::client::{Client, LoginOptions};
use super::node::Node;
use super::support::login;
use crate::outcome::Failure;
use crate::refusal::Refusal;

/// An app that refreshes at each use. Clones share one token.
#[derive(Clone)]
pub(super) struct App {
    node: Node,
    token: Arc<Mutex<Option<String>>>,
}

impl App {
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// The refresh token it has. Empty, and so malformed, if it has none.
    pub(super) fn token(&self) -> String {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Has this token from now on.
    pub(super) fn set_token(&self, token: String) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// The session that its token names.
    pub(super) fn id(&self) -> Result<SessionId, Failure> {
        Ok(presented(&self.token()).ok_or("a malformed token")?.id())
    }

    /// Refreshes, and keeps the new token. Whether it got one.
    pub(super) async fn refresh(&self) -> Result<bool, Refusal> {
        Ok(self.refreshed().await?.is_some())
    }

    async fn refreshed(&self) -> Result<Option<SessionSummary>, Refusal> {
        Ok(self.keep(refresh(&self.node, &self.token()).await?))
    }

    fn keep(&self, issued: Option<IssuedRefreshToken>) -> Option<SessionSummary> {
        let issued = issued?;
        self.set_token(text(&issued));
        Some(issued.session)
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

    async fn log_in_with(&self, user: &str, options: LoginOptions) -> Result<SessionId, Refusal> {
        let replaces = presented(&self.token());
        let issued = self.node.manager().issue_refresh_token(options(login(user)?), replaces.as_ref()).await?;
        let id = issued.session.id;
        self.keep(Some(issued));
        Ok(id)
    }

    async fn user(&self) -> Result<Option<String>, Refusal> {
        let authentication = self.refreshed().await?.and_then(|session| session.authentication);
        Ok(authentication.map(|authentication| authentication.user.as_str().to_owned()))
    }

    async fn log_out(&self) -> Result<(), Refusal> {
        let _ = self.node.revoke_refresh_token(&self.token()).await?;
        Ok(())
    }

    async fn read(&self) -> Result<bool, Refusal> {
        self.is_alive().await
    }

    async fn begin_change(&self) -> Result<Option<VerifiedRefreshToken>, Refusal> {
        Ok(self.node.verify_refresh_token(&self.token()).await?)
    }

    async fn end_change(&self, change: Option<VerifiedRefreshToken>) -> Result<(), Refusal> {
        let issued = match change {
            Some(verified) => self.node.manager().rotate(verified).await?,
            None => None,
        };
        self.keep(issued).map(drop).ok_or(Refusal::GONE)
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
    pub(super) async fn refresh(&self, token: &str) -> Result<Option<String>, Error> {
        Ok(refresh(self, token).await?.as_ref().map(text))
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

async fn refresh(node: &Node, token: &str) -> Result<Option<IssuedRefreshToken>, Error> {
    match node.verify_refresh_token(token).await? {
        Some(verified) => node.manager().rotate(verified).await,
        None => Ok(None),
    }
}

/// A token as a client sends it; `None` if it is malformed.
fn presented(token: &str) -> Option<PresentedToken> {
    PresentedToken::parse(token.as_bytes()).ok()
}

fn text(issued: &IssuedRefreshToken) -> String {
    issued.token.encode().expose().to_owned()
}
