//! [`Client`]: what a browser with a cookie and an app with a refresh token have in common.

use std::sync::{Arc, Mutex, PoisonError};

use session_core::{Error, Login, Session, SessionId, UserId};

use super::browser::Browser;
use super::node::{Exchange, Node};
use super::tokens::Opening;
use super::values::{NOTE, Note};
use crate::env::Env;
use crate::outcome::Failure;

/// What else a login says.
pub(super) type Particulars = fn(Login) -> Login;

/// Whoever has a session, however it is carried. A case that is about neither cookies nor values runs for both.
pub(super) trait Client: Sized {
    /// A request under way.
    type Request;

    /// Without a session.
    fn arrive(env: &Env) -> Self;

    /// Logs in, in place of the session that it has.
    async fn try_log_in(&self, node: &Node, user: &UserId, with: Particulars) -> Result<SessionId, Error>;

    /// Who a node takes this client for. Counts as activity.
    async fn user(&self, node: &Node) -> Result<Option<UserId>, Failure>;

    async fn log_out(&self, node: &Node) -> Result<(), Error>;

    /// Whether a node finds somebody logged in who only reads. Counts as activity too.
    async fn only_reads(&self, node: &Node) -> Result<bool, Failure>;

    /// Begins a request that is to change the session and its token. The session is read.
    async fn begin_change(&self, node: &Node) -> Result<Self::Request, Failure>;

    /// Makes the change.
    async fn end_change(&self, request: Self::Request) -> Result<(), Error>;

    async fn change(&self, node: &Node) -> Result<(), Failure> {
        let request = self.begin_change(node).await?;
        Ok(self.end_change(request).await?)
    }

    /// Is a visitor before the login, as far as such a client can be one.
    async fn visit(&self, node: &Node) -> Result<(), Failure>;

    /// Whether it is a visitor as before.
    async fn still_visits(&self, node: &Node) -> Result<bool, Failure>;

    async fn log_in(&self, node: &Node, user: &UserId) -> Result<SessionId, Failure> {
        Ok(self.try_log_in(node, user, |login| login).await?)
    }

    /// Whether a node finds somebody logged in. Counts as activity.
    async fn is_alive(&self, node: &Node) -> Result<bool, Failure> {
        Ok(self.user(node).await?.is_some())
    }
}

impl Client for Browser {
    type Request = Exchange;

    fn arrive(env: &Env) -> Self {
        Self::new(env)
    }

    async fn try_log_in(&self, node: &Node, user: &UserId, with: Particulars) -> Result<SessionId, Error> {
        let login = with(Login::new(user.clone()));
        let session = self.post(node, |session| session.login(login).map(|()| session.clone())).await?;
        session.id().ok_or(Error::Gone)
    }

    async fn user(&self, node: &Node) -> Result<Option<UserId>, Failure> {
        Ok(self.post(node, |session| Ok(session.user())).await?)
    }

    async fn log_out(&self, node: &Node) -> Result<(), Error> {
        self.post(node, Session::logout).await
    }

    async fn only_reads(&self, node: &Node) -> Result<bool, Failure> {
        Ok(self.get(node, |session| Ok(session.user().is_some())).await?)
    }

    async fn begin_change(&self, node: &Node) -> Result<Exchange, Failure> {
        let request = self.begin(node);
        request.session().await?;
        Ok(request)
    }

    async fn end_change(&self, request: Exchange) -> Result<(), Error> {
        let change = |session: &Session| {
            session.insert(NOTE, &Note::Late)?;
            session.regenerate()
        };
        self.take(request.handle(change).await)
    }

    async fn visit(&self, node: &Node) -> Result<(), Failure> {
        Ok(self.post(node, |session| session.insert(NOTE, &Note::Visitor)).await?)
    }

    async fn still_visits(&self, node: &Node) -> Result<bool, Failure> {
        Ok(self.post(node, |it| it.get(NOTE)).await? == Some(Note::Visitor))
    }
}

/// A client without cookies: keeps a refresh token, and refreshes at each use.
#[derive(Clone, Default)]
pub(super) struct App {
    token: Arc<Mutex<Option<String>>>,
}

impl App {
    /// One that has this token.
    pub(super) fn with(token: &str) -> Self {
        Self { token: Arc::new(Mutex::new(Some(token.to_owned()))) }
    }

    /// The refresh token it has. Empty, and so malformed, if it has none.
    pub(super) fn token(&self) -> String {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Refreshes, and keeps the new token. Whether it got one.
    pub(super) async fn refresh(&self, node: &Node) -> Result<bool, Error> {
        Ok(self.keep(node.refresh(&self.token()).await?.map(|granted| granted.token)))
    }

    fn keep(&self, token: Option<String>) -> bool {
        let got = token.is_some();
        if got {
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        }
        got
    }
}

impl Client for App {
    type Request = Option<Opening>;

    fn arrive(_env: &Env) -> Self {
        Self::default()
    }

    async fn try_log_in(&self, node: &Node, user: &UserId, with: Particulars) -> Result<SessionId, Error> {
        let granted = node.grant(user, with, &self.token()).await?;
        let id = granted.session.id;
        self.keep(Some(granted.token));
        Ok(id)
    }

    async fn user(&self, node: &Node) -> Result<Option<UserId>, Failure> {
        let granted = node.refresh(&self.token()).await?;
        let user = granted.as_ref().and_then(|it| it.session.authentication.clone()).map(|it| it.user);
        self.keep(granted.map(|granted| granted.token));
        Ok(user)
    }

    async fn log_out(&self, node: &Node) -> Result<(), Error> {
        node.revoke_refresh_token(&self.token()).await.map(drop)
    }

    async fn only_reads(&self, node: &Node) -> Result<bool, Failure> {
        self.is_alive(node).await
    }

    async fn begin_change(&self, node: &Node) -> Result<Option<Opening>, Failure> {
        Ok(node.verify_refresh_token(&self.token()).await?)
    }

    async fn end_change(&self, request: Option<Opening>) -> Result<(), Error> {
        let granted = match request {
            Some(opening) => opening.rotate().await?,
            None => None,
        };
        if self.keep(granted.map(|granted| granted.token)) { Ok(()) } else { Err(Error::Gone) }
    }

    async fn visit(&self, _node: &Node) -> Result<(), Failure> {
        Ok(())
    }

    async fn still_visits(&self, _node: &Node) -> Result<bool, Failure> {
        Ok(self.token().is_empty())
    }
}
