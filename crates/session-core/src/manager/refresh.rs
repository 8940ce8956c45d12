//! Refresh tokens: sessions of clients that keep no cookie, with a token that is replaced at each use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::commit::Outcome;
use super::patience::Backoff;
use super::{Existence, SessionManager};
use crate::clock::Timestamp;
use crate::decide::intent::Login;
use crate::decide::plan::{Draft, StoreOp, new_record, rotated, tightened};
use crate::decide::replays::{Allowance, allow, replayed};
use crate::decide::verdict::{Access, LoadedSession, TokenStatus, Verdict, still_accepted, verdict};
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::event::{EventKind, Termination};
use crate::measurement::Measurement;
use crate::model::binding::KeyThumbprint;
use crate::model::credential::{Grace, TokenCheck};
use crate::model::grant::{Grant, GrantError, Scope};
use crate::model::record::Record;
use crate::model::reserved::{Credentials, Replays};
use crate::model::summary::SessionSummary;
use crate::model::token::{Kind, PresentedToken, SessionToken};
use crate::store::contract::{DeleteOutcome, Freshness, UpdateOutcome};

/// A refresh token, and the session that it belongs to.
#[must_use]
#[non_exhaustive]
pub struct IssuedRefreshToken {
    /// For the client alone.
    pub token: SessionToken,
    /// The session, as it is stored now.
    pub session: SessionSummary,
    /// What the token was granted for. It stays so.
    pub grant: Grant,
    /// The scope of the access token that comes with it: that of the grant, unless a refresh asked for
    /// [less](VerifiedRefreshToken::narrow).
    pub scope: Scope,
    /// The key that the token is bound to. It stays so.
    pub key: Option<KeyThumbprint>,
}

impl fmt::Debug for IssuedRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedRefreshToken").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A refresh token that was accepted and is not used yet: between [`SessionManager::verify_refresh_token`] and
/// [`SessionManager::rotate`] an application checks the status of the user's account.
#[must_use]
pub struct VerifiedRefreshToken {
    record: Record,
    token: PresentedToken,
    status: TokenStatus,
    session: SessionSummary,
    terms: Terms,
}

/// What a token was handed out with. A refresh changes none of it but the scope.
struct Terms {
    grant: Grant,
    /// That of the grant, or a part of it.
    scope: Scope,
    key: Option<KeyThumbprint>,
}

impl VerifiedRefreshToken {
    /// The session that the token belongs to. A user is logged in.
    #[must_use]
    pub fn session(&self) -> &SessionSummary {
        &self.session
    }

    /// What the token was granted for: what the login said.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.terms.grant
    }

    /// The key that the token [is bound to](crate::Login::bound_to): who uses it must have proved to have that key.
    #[must_use]
    pub fn key(&self) -> Option<KeyThumbprint> {
        self.terms.key
    }

    /// Whether the user's account had these credentials when the session began ([`Login::credentials`](crate::Login::credentials)).
    /// If not, they were changed since, or the login said nothing: [revoke](SessionManager::revoke) the session.
    #[must_use]
    pub fn has_credentials(&self, current: impl AsRef<[u8]>) -> bool {
        Credentials::new(current.as_ref()).are_among(&self.record.data)
    }

    /// Asks for less than was granted (RFC 6749, section 6): the access token of this refresh has this scope, as
    /// [`IssuedRefreshToken::scope`] says. The next refresh may ask for all of the grant again.
    ///
    /// # Errors
    /// [`GrantError::NotGranted`] if it is more than was granted. Nothing is changed then, and the token is not used up.
    pub fn narrow(&mut self, scope: Scope) -> Result<(), GrantError> {
        if !scope.is_subset_of(self.terms.grant.scope()) {
            return Err(GrantError::NotGranted);
        }
        self.terms.scope = scope;
        Ok(())
    }

    /// The scope of the access token that comes with it.
    pub fn scope(&self) -> &Scope {
        &self.terms.scope
    }

    /// Whether it is the current token, and the window of its predecessor is still open: it was handed out a moment ago, and
    /// other tabs of the same browser may be on their way with its predecessor, or yet to be told of it. Where the browser
    /// keeps the token, there is no need to [rotate](SessionManager::rotate) it yet: it would become the predecessor's
    /// predecessor of what those tabs present, which is reuse.
    #[must_use]
    pub fn is_settling(&self, now: Timestamp) -> bool {
        self.status == TokenStatus::Current && self.record.credential.grace(Duration::ZERO, now) == Grace::Open
    }

    fn issued(self, token: SessionToken, session: SessionSummary) -> IssuedRefreshToken {
        let Terms { grant, scope, key } = self.terms;
        IssuedRefreshToken { token, session, grant, scope, key }
    }
}

impl fmt::Debug for VerifiedRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedRefreshToken").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Sessions of refresh tokens: in the same store as those of cookies, in the same list of a user, under the same limit
/// and the same timeouts. A token of one kind never passes for one of the other.
impl SessionManager {
    /// Logs a user in, who gets a refresh token instead of a cookie. One round trip.
    ///
    /// `replaces` is the refresh token that the client has already, if any: its session ends in the same atomic step, so
    /// that a client that logs in again takes no second place under the session limit. One more round trip then. What
    /// [`Login::carry_over`] names is not carried over: such a session holds no values. What the token is for is said by
    /// [`Login::grant`].
    ///
    /// # Errors
    /// [`Error::LimitReached`] if the policy says to reject and the user has as many sessions as the limit allows;
    /// [`Error::Store`], [`Error::Entropy`]; [`Error::Conflict`] if there was no end of concurrent writers.
    pub async fn issue_refresh_token(
        &self,
        login: Login,
        replaces: Option<&PresentedToken>,
    ) -> Result<IssuedRefreshToken, Error> {
        // Client-side sessions have no refresh tokens.
        let _ = self.store("create")?;
        let (manager, replaces) = (self.clone(), replaces.map(PresentedToken::copy));
        let work = async move { manager.create_for(&login, replaces.as_ref()).await };
        self.persist(work).await?.received()
    }

    async fn create_for(&self, login: &Login, replaces: Option<&PresentedToken>) -> Result<Unreceived, Error> {
        let draft = Draft::logged_in(login, self.now(), self.policy());
        let mut replaced = self.replaced(replaces).await?;
        let is_new_device = self.is_new_device(&draft).await;
        let mut backoff = Backoff::begin(self.policy().store_timeout());
        loop {
            let now = self.now();
            let (record, token) = new_record(Kind::Refresh, &draft, self.policy(), now, &*self.inner.entropy)?;
            let next = Arc::new(LoadedSession::current(record, token.presented()));
            let limit = Some(self.policy().session_limit());
            let replaces_now = replaced.as_ref().map(|old| old.replaced(Termination::Replaced));
            let create = StoreOp::Create { next: Arc::clone(&next), replaces: replaces_now, limit };
            match self.execute(create, now).await? {
                Outcome::Done(_) => {
                    let record = &next.record;
                    self.report(EventKind::LoggedIn, Some(record.id()), record.user().cloned());
                    if is_new_device {
                        self.report(EventKind::NewDevice, Some(record.id()), record.user().cloned());
                    }
                    let session = tightened(&record.summary, self.policy());
                    let grant = Grant::clone(&login.grant);
                    let scope = grant.scope().clone();
                    let issued = IssuedRefreshToken { token, session, grant, scope, key: login.key };
                    return Ok(Unreceived { manager: self.clone(), issued: Some(issued) });
                }
                Outcome::Conflict => {
                    self.pause(&mut backoff).await?;
                    replaced = self.replaced(replaces).await?;
                }
                Outcome::ReplacedAbsent => replaced = None,
                Outcome::Unchanged | Outcome::Again | Outcome::EndedBefore | Outcome::Gone => {}
            }
            if backoff.is_over() {
                return Err(Error::Conflict);
            }
        }
    }

    /// Reads the session of a refresh token. One round trip.
    ///
    /// `None` for a token that is unknown, expired, revoked, or of another kind: a client cannot tell which. A token that
    /// was consumed before, outside the [grace window](crate::PolicyBuilder::refresh_grace) and the
    /// [clock skew](crate::PolicyBuilder::max_clock_skew), is reuse: there is a copy of it. It ends the session, durably (one
    /// more round trip), and is `None` too.
    ///
    /// One that [is bound](crate::Login::bound_to) to a key is `None`, and nothing comes of it: see
    /// [`verify_presented`](Self::verify_presented).
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not invalid. [`Error::Superseded`] if the token was consumed so
    /// lately that it may be the loser of a race, or if too many tokens of the session were
    /// [replayed](crate::PolicyBuilder::refresh_replays): it is of no use, and the session lives.
    pub async fn verify_refresh_token(&self, token: &PresentedToken) -> Result<Option<VerifiedRefreshToken>, Error> {
        self.verify_by(token, None).await
    }

    /// The same, by who has proved to have `key`.
    pub(super) async fn verify_by(
        &self,
        token: &PresentedToken,
        key: Option<&KeyThumbprint>,
    ) -> Result<Option<VerifiedRefreshToken>, Error> {
        let Some(record) = self.load(token.id(), Freshness::Latest).await? else {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(None);
        };
        self.verify_loaded(record, token, key).await
    }

    /// The same, of a session that was read.
    pub(super) async fn verify_loaded(
        &self,
        record: Record,
        token: &PresentedToken,
        key: Option<&KeyThumbprint>,
    ) -> Result<Option<VerifiedRefreshToken>, Error> {
        // A ticket, which is of no session.
        if record.user().is_none() {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(None);
        }
        let bound = KeyThumbprint::of(record.binding.as_ref()).map_err(|error| self.store_failed("load", error))?;
        // Before anything is concluded from the token: without its key it is of no use to a thief, and ends nothing.
        if bound.is_some() && bound.as_ref() != key {
            self.report(EventKind::InvalidProof, Some(record.id()), record.user().cloned());
            return Ok(None);
        }
        let Some(status) = self.admit(&record, Kind::Refresh, token).await? else { return Ok(None) };
        if status == TokenStatus::Superseded && self.allowance(&record)? == Allowance::Spent {
            return Err(self.refuse_replay(&record));
        }
        let grant = Grant::read(&record.data).map_err(|error| self.store_failed("load", error))?;
        let terms = Terms { scope: grant.scope().clone(), grant, key: bound };
        Ok(Some(self.verified(record, token.copy(), status, terms)))
    }

    /// Uses a refresh token up: hands out its successor. One round trip.
    ///
    /// Exactly one of any number of simultaneous calls replaces the token. The others, and a client that asks again because
    /// the answer got lost, get the identical successor as long as the grace window is open: until it has passed, or the
    /// successor is used. Each time is an [event](EventKind::Replayed), and as many tokens of one session can be replayed as the
    /// [policy](crate::PolicyBuilder::refresh_replays) says. The first replay of a token costs one round trip, which counts it,
    /// all others none; two more after a lost race. `None` if the session ended meanwhile.
    ///
    /// # Errors
    /// [`Error::Store`]: the token may be used up then, and repeating the call with the same token inside the grace window
    /// tells. [`Error::Superseded`] if the window has closed since the token was verified, or too many were replayed;
    /// [`Error::Entropy`]; [`Error::Conflict`] if there was no end of concurrent writers.
    pub async fn rotate(&self, verified: VerifiedRefreshToken) -> Result<Option<IssuedRefreshToken>, Error> {
        let manager = self.clone();
        self.persist(async move { manager.rotate_to_the_end(verified).await }).await
    }

    async fn rotate_to_the_end(&self, mut verified: VerifiedRefreshToken) -> Result<Option<IssuedRefreshToken>, Error> {
        let mut backoff = Backoff::begin(self.policy().store_timeout());
        loop {
            let VerifiedRefreshToken { record, token, status, session, .. } = &verified;
            let now = self.now();
            // The policy may be stricter than the timeouts that the store knows.
            if verdict(&record.summary, self.policy(), now) != Verdict::Live {
                return Ok(None);
            }
            match status {
                TokenStatus::Superseded if record.credential.grace(Duration::ZERO, now) == Grace::Open => {
                    match self.replay(record).await? {
                        Some(UpdateOutcome::Applied) => {
                            self.report_replay(record, *status);
                            let (successor, session) = (record.credential.successor(token), session.clone());
                            return Ok(successor.map(|token| verified.issued(token, session)));
                        }
                        Some(UpdateOutcome::Absent) => return Ok(None),
                        Some(UpdateOutcome::Conflict) => self.measure(Measurement::Conflict { operation: "update" }),
                        None => return Err(self.refuse_replay(record)),
                    }
                }
                // The window closed since the token was verified.
                TokenStatus::Superseded | TokenStatus::Consumed => {}
                TokenStatus::Current => {
                    let (next, successor) = rotated(record, token, self.policy(), now, &*self.inner.entropy)?;
                    let store = self.store("update")?;
                    match self.store_write("update", || store.update(&next, record.version, now)).await?.0 {
                        UpdateOutcome::Applied => {
                            self.report(EventKind::Renewed, Some(next.id()), next.user().cloned());
                            let session = tightened(&next.summary, self.policy());
                            return Ok(Some(verified.issued(successor, session)));
                        }
                        UpdateOutcome::Absent => return Ok(None),
                        UpdateOutcome::Conflict => self.measure(Measurement::Conflict { operation: "update" }),
                    }
                }
            }
            self.pause(&mut backoff).await?;
            // It was accepted when this began. What others did with its successors since then, however late this is, makes no
            // thief of its client.
            let VerifiedRefreshToken { token, terms, .. } = verified;
            let Some(record) = self.load(token.id(), Freshness::Latest).await? else { return Ok(None) };
            match still_accepted(&record, &token, self.policy(), self.now()) {
                None => return Ok(None),
                Some(TokenStatus::Consumed) => {
                    self.report(EventKind::RenewalRaced, Some(record.id()), record.user().cloned());
                    return Err(Error::Superseded);
                }
                Some(status @ (TokenStatus::Current | TokenStatus::Superseded)) => {
                    verified = self.verified(record, token, status, terms);
                }
            }
        }
    }

    /// Counts a replay, unless the token was counted before. `None` if the budget is spent.
    async fn replay(&self, record: &Record) -> Result<Option<UpdateOutcome>, Error> {
        let replays = match self.allowance(record)? {
            Allowance::Spent => return Ok(None),
            Allowance::Counted => return Ok(Some(UpdateOutcome::Applied)),
            Allowance::Count(replays) => replays,
        };
        let (next, store) = (replayed(record, replays, self.policy(), &*self.inner.entropy)?, self.store("update")?);
        let now = self.now();
        let outcome = self.store_write("update", || store.update(&next, record.version, now)).await?;
        Ok(Some(outcome.0))
    }

    fn allowance(&self, record: &Record) -> Result<Allowance, Error> {
        let before = Replays::read(&record.data).map_err(|error: StoreError| self.store_failed("load", error))?;
        Ok(allow(before, record.credential.generation(), self.policy().refresh_replays(), self.now()))
    }

    fn refuse_replay(&self, record: &Record) -> Error {
        self.report(EventKind::ReplayRefused, Some(record.id()), record.user().cloned());
        Error::Superseded
    }

    /// Ends the session of a refresh token: the logout of a client without a cookie. Any token of the session will do, also
    /// one that was used up; one that is none of its tokens changes nothing. Two round trips.
    ///
    /// A session that cannot be read stays, and is reported: [`revoke`](Self::revoke) ends it without reading it.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed. Idempotent.
    pub async fn revoke_refresh_token(&self, token: &PresentedToken) -> Result<DeleteOutcome, Error> {
        let record = match self.load(token.id(), Freshness::Latest).await {
            // Reported. Whose token it is, nobody can tell; nobody can use it either.
            Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt => return Ok(DeleteOutcome::Absent),
            record => record?,
        };
        let Some(record) = record else { return Ok(DeleteOutcome::Absent) };
        if record.summary.kind != Kind::Refresh || record.check(token) == TokenCheck::Unknown {
            self.report(EventKind::UnknownToken, Some(record.id()), None);
            return Ok(DeleteOutcome::Absent);
        }
        self.terminate(&record, Termination::Logout).await
    }

    fn verified(
        &self,
        record: Record,
        token: PresentedToken,
        status: TokenStatus,
        terms: Terms,
    ) -> VerifiedRefreshToken {
        let session = tightened(&record.summary, self.policy());
        VerifiedRefreshToken { record, token, status, session, terms }
    }

    /// The live session of the token that a client has when it logs in once more.
    async fn replaced(&self, token: Option<&PresentedToken>) -> Result<Option<LoadedSession>, Error> {
        let Some(token) = token else { return Ok(None) };
        let record = match self.load(token.id(), Freshness::Latest).await {
            // Left as it is; reported.
            Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt => return Ok(None),
            record => record?,
        };
        let Some(record) = record else {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(None);
        };
        let status = match self.admit(&record, Kind::Refresh, token).await {
            // Used up so lately that it may be the loser of a race: of no use any more, but its session is that of this client.
            Err(Error::Superseded) => Some(TokenStatus::Consumed),
            status => status?,
        };
        if let Some(status) = status {
            self.report_replay(&record, status);
        }
        Ok(status.map(|status| LoadedSession { record, access: Access::Token(token.copy(), status) }))
    }
}

/// A session that was begun for a client that may have gone: ended unless it is received.
struct Unreceived {
    manager: SessionManager,
    issued: Option<IssuedRefreshToken>,
}

impl Unreceived {
    fn received(mut self) -> Result<IssuedRefreshToken, Error> {
        self.issued.take().ok_or(Error::Gone)
    }
}

impl Drop for Unreceived {
    fn drop(&mut self) {
        if let Some(IssuedRefreshToken { session, .. }) = &self.issued {
            self.manager.end_unreceived(session.id, session.user().cloned(), Existence::Certain);
        }
    }
}

#[cfg(test)]
mod model;
