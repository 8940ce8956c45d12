//! The endpoints of a [`Node`] for clients with a refresh token; and what the seeded faults do to them.

use std::sync::PoisonError;

use session_core::store::{Freshness, Record, TokenCheck};
use session_core::{
    DeleteOutcome, Error, EventKind, IssuedRefreshToken, Kind, Login, OsEntropy, PresentedToken, SessionSummary,
    UserId, VerifiedRefreshToken,
};

use super::client::Particulars;
use super::fault::RequestFault as Fault;
use super::node::Node;

/// What a client gets, and what the node knows of it.
pub(super) struct Granted {
    pub(super) token: String,
    pub(super) session: SessionSummary,
}

impl From<IssuedRefreshToken> for Granted {
    fn from(grant: IssuedRefreshToken) -> Self {
        Self { token: grant.token.encode().expose().to_owned(), session: grant.session }
    }
}

/// A refresh under way: its token is good, and not used yet.
pub(super) struct Opening {
    node: Node,
    token: String,
    refresh: VerifiedRefreshToken,
}

impl Node {
    /// A login. `token` is what the client has, if that is well-formed.
    pub(super) async fn grant(&self, user: &UserId, with: Particulars, token: &str) -> Result<Granted, Error> {
        let replaces = presented(token);
        if self.is(Fault::LoginDeletesFirst)
            && let Some(replaces) = &replaces
        {
            let _ = self.manager().revoke_refresh_token(replaces).await?;
        }
        if self.is(Fault::EvictsBeforeLogin) {
            self.select_evictions(user).await?;
        }
        let login = with(Login::new(user.clone()));
        Ok(self.manager().issue_refresh_token(login, replaces.as_ref()).await?.into())
    }

    /// A whole refresh: the successor of `token`.
    pub(super) async fn refresh(&self, token: &str) -> Result<Option<Granted>, Error> {
        match self.verify_refresh_token(token).await? {
            Some(opening) => opening.rotate().await,
            None => Ok(None),
        }
    }

    /// The first half of a refresh.
    pub(super) async fn verify_refresh_token(&self, token: &str) -> Result<Option<Opening>, Error> {
        let token = self.alias(token);
        let Some(presented) = presented(&token) else { return Ok(None) };
        let before = self.seeded_peek(&presented).await?;
        let is_current = |it: &Record| it.credential.check(it.summary.kind, &presented) == TokenCheck::Current;
        if self.is(Fault::UsedBeforeStored) && !self.is_first_time(&token) && before.as_ref().is_some_and(is_current) {
            return Ok(None);
        }
        let events = self.inner.recorder.len();
        let refresh = match self.manager().verify_refresh_token(&presented).await {
            Err(Error::Store(_)) if self.is(Fault::StoreErrorIsAnonymous) => None,
            refresh => refresh?,
        };
        if refresh.is_none()
            && let Some(before) = &before
        {
            let about_it = |kind: EventKind| {
                let since = self.inner.recorder.since(events);
                since.iter().any(|event| event.session == Some(before.summary.id) && event.kind == kind)
            };
            if self.is(Fault::ReuseForgiven) && about_it(EventKind::TokenReuse) {
                self.revive(before).await?;
            }
            if self.is(Fault::ForgedTokenEndsSession) && about_it(EventKind::UnknownToken) {
                let _ = self.line().store().delete(&before.summary.id, before.user()).await?;
            }
            if self.is(Fault::KindIgnored) && before.credential.check(Kind::Cookie, &presented) == TokenCheck::Current {
                return self.pose(before).await;
            }
        }
        Ok(refresh.map(|refresh| Opening { node: self.clone(), token, refresh }))
    }

    /// A logout.
    pub(super) async fn revoke_refresh_token(&self, token: &str) -> Result<DeleteOutcome, Error> {
        let Some(token) = presented(token) else { return Ok(DeleteOutcome::Absent) };
        if self.is(Fault::LogoutNeedsNewest)
            && let Some(record) = self.seeded_peek(&token).await?
            && record.credential.check(record.summary.kind, &token) != TokenCheck::Current
        {
            return Ok(DeleteOutcome::Absent);
        }
        self.manager().revoke_refresh_token(&token).await
    }

    fn is(&self, fault: Fault) -> bool {
        self.inner.fault == Some(fault)
    }

    /// Seeded: whether this node sees `token` for the first time.
    fn is_first_time(&self, token: &str) -> bool {
        self.inner.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned())
    }

    /// Seeded: the record that a token names, read behind the back of the line.
    async fn seeded_peek(&self, token: &PresentedToken) -> Result<Option<Record>, Error> {
        Ok(if self.inner.fault.is_none() {
            None
        } else {
            self.line().store().load(&token.id(), Freshness::Latest).await?
        })
    }

    /// Seeded: a refresh for somebody with a token of another kind.
    async fn pose(&self, record: &Record) -> Result<Option<Opening>, Error> {
        let Some(user) = record.user() else { return Ok(None) };
        let grant = self.manager().issue_refresh_token(Login::new(user.clone()), None).await?;
        let token = Granted::from(grant).token;
        let Some(presented) = presented(&token) else { return Ok(None) };
        let refresh = self.manager().verify_refresh_token(&presented).await?;
        Ok(refresh.map(|refresh| Opening { node: self.clone(), token, refresh }))
    }
}

impl Opening {
    /// The second half of a refresh: the token is used up.
    pub(super) async fn rotate(self) -> Result<Option<Granted>, Error> {
        let Self { node, token, refresh } = self;
        if node.is(Fault::RenewalForgotten) {
            let session = refresh.session().clone();
            let (user, now) = (session.authentication.as_ref().map(|it| &it.user), node.manager().now());
            let _ = node.line().store().touch(&session.id, user, now).await?;
            return Ok(Some(Granted { token, session }));
        }
        let granted = node.manager().rotate(refresh).await?.map(Granted::from);
        let Some(granted) = granted else { return Ok(None) };
        if node.is(Fault::SuccessorSentOnce) && !node.is_first_time(&granted.token) {
            return Ok(None);
        }
        if node.is(Fault::ActivityRestartsAbsolute) {
            let (store, now) = (node.line().store(), node.manager().now());
            if let Some(record) = store.load(&granted.session.id, Freshness::Latest).await? {
                let version = record.version.next(&OsEntropy)?;
                let mut restarted = Record { version, ..record.clone() };
                restarted.summary.created_at = now;
                let _ = store.update(&restarted, record.version, now).await?;
            }
        }
        node.add_alias(token, granted.token.clone());
        Ok(Some(granted))
    }
}

/// A token as a client sends it; `None` if it is malformed.
fn presented(token: &str) -> Option<PresentedToken> {
    PresentedToken::parse(token.as_bytes()).ok()
}
