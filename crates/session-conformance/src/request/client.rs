//! [`Client`]: what a browser with a cookie and an app with a refresh token have in common.

use std::time::Duration;

use session_core::{Login, PresentedToken, SessionId};

use super::node::Node;
use crate::env::Env;
use crate::outcome::{Failure, Outcome, ensure, ensure_eq};
use crate::refusal::Refusal;

/// What else a login says.
pub(super) type LoginOptions = fn(Login) -> Login;

/// A client of one node. A case that is about neither cookies nor values runs for each kind of client.
pub(super) trait Client: Sized {
    /// A request under way that changes the session.
    type Change;

    /// Without a session.
    fn new(node: &Node) -> Self;

    /// The same client, talking to another node.
    fn on(&self, node: &Node) -> Self;

    /// How exact the times are that it is told: how long before the absolute deadline of its session it can make its last request.
    fn precision(&self) -> Duration;

    /// The token it would send now; empty if it has none.
    fn token(&self) -> String;

    /// Logs in, and so replaces its session.
    async fn log_in_with(&self, user: &str, options: LoginOptions) -> Result<(), Refusal>;

    /// The user as whom it is logged in. Counts as activity.
    async fn user(&self) -> Result<Option<String>, Refusal>;

    async fn log_out(&self) -> Result<(), Refusal>;

    /// Whether it is logged in, by a request that only reads. Counts as activity, too.
    async fn read(&self) -> Result<bool, Refusal>;

    /// Begins a request that changes the session and its token. The session is loaded.
    async fn begin_change(&self) -> Result<Self::Change, Refusal>;

    /// Makes the change.
    async fn end_change(&self, change: Self::Change) -> Result<(), Refusal>;

    /// Begins an anonymous session, if this kind of client can have one.
    async fn begin_anonymous(&self) -> Result<(), Refusal>;

    /// Whether it is as [`begin_anonymous`](Self::begin_anonymous) left it.
    async fn is_still_anonymous(&self) -> Result<bool, Refusal>;

    /// A node that did nothing yet, and a client of it in which alice is logged in.
    async fn of_alice(env: &Env) -> Result<(Node, Self), Failure> {
        let node = Node::standard(env).await?;
        let client = Self::logged_in(&node, "alice").await?;
        node.calls();
        Ok((node, client))
    }

    /// One that is logged in as `user`.
    async fn logged_in(node: &Node, user: &str) -> Result<Self, Refusal> {
        let client = Self::new(node);
        client.log_in(user).await?;
        Ok(client)
    }

    async fn log_in(&self, user: &str) -> Result<(), Refusal> {
        self.log_in_with(user, |login| login).await
    }

    /// The id of its session.
    fn id(&self) -> Result<SessionId, Failure> {
        Ok(PresentedToken::parse(self.token().as_bytes()).map_err(|error| error.to_string())?.id())
    }

    async fn change(&self) -> Result<(), Refusal> {
        self.end_change(self.begin_change().await?).await
    }

    /// Whether it is logged in. Counts as activity.
    async fn is_alive(&self) -> Result<bool, Refusal> {
        Ok(self.user().await?.is_some())
    }

    /// It is logged in, or else `failure` says what is wrong.
    async fn assert_alive(&self, failure: &str) -> Outcome {
        ensure!(self.is_alive().await?, "{failure}");
        Ok(())
    }

    /// It is not logged in, or else `failure` says what is wrong.
    async fn assert_dead(&self, failure: &str) -> Outcome {
        ensure!(!self.is_alive().await?, "{failure}");
        Ok(())
    }

    /// It is logged in as `user`.
    async fn assert_user(&self, user: &str, what: &str) -> Outcome {
        ensure_eq!(self.user().await?.as_deref(), Some(user), "{what}");
        Ok(())
    }
}
