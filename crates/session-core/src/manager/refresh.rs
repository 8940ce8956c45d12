//! Refresh tokens: sessions of clients that keep no cookie, with a token that is replaced at each use.

use std::fmt;
use std::sync::Arc;

use super::SessionManager;
use super::commit::{MAX_ATTEMPTS, Outcome};
use crate::decide::intent::Login;
use crate::decide::plan::{Draft, StoreOp, new_record, rotated, tightened};
use crate::decide::verdict::{LoadedSession, Proof, TokenStatus};
use crate::error::Error;
use crate::event::{EventKind, Termination};
use crate::model::credential::TokenCheck;
use crate::model::record::Record;
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
}

impl VerifiedRefreshToken {
    /// The session that the token belongs to. A user is logged in.
    #[must_use]
    pub fn session(&self) -> &SessionSummary {
        &self.session
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
    /// [`Login::carry_over`] names is not carried over: such a session holds no values.
    ///
    /// # Errors
    /// [`Error::LimitReached`] if the policy says to reject and the user has as many sessions as the limit allows;
    /// [`Error::Store`], [`Error::Entropy`].
    pub async fn issue_refresh_token(
        &self,
        login: Login,
        replaces: Option<&PresentedToken>,
    ) -> Result<IssuedRefreshToken, Error> {
        let mut replaced = self.replaced(replaces).await?;
        let draft = Draft::logged_in(&login, self.now(), self.policy());
        // Client-side sessions have no refresh tokens.
        let _ = self.store("create")?;
        for attempt in 0..MAX_ATTEMPTS {
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
                    return Ok(IssuedRefreshToken { token, session: tightened(&record.summary, self.policy()) });
                }
                Outcome::Conflict => {
                    self.pause(attempt).await?;
                    replaced = self.replaced(replaces).await?;
                }
                Outcome::ReplacedAbsent => replaced = None,
                Outcome::Unchanged | Outcome::Again | Outcome::EndedBefore | Outcome::Gone => {}
            }
        }
        Err(Error::Conflict)
    }

    /// Reads the session of a refresh token. One round trip.
    ///
    /// `None` for a token that is unknown, expired, revoked, or of another kind: a client cannot tell which. A token that
    /// was consumed before, outside the [grace window](crate::PolicyBuilder::refresh_grace), is reuse: there is a
    /// copy of it. It ends the session, durably (one more round trip), and is `None` too.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not invalid.
    pub async fn verify_refresh_token(&self, token: &PresentedToken) -> Result<Option<VerifiedRefreshToken>, Error> {
        let Some(record) = self.load(token.id(), Freshness::Latest).await? else {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(None);
        };
        let status = self.admit(&record, Kind::Refresh, token).await?;
        Ok(status.map(|status| {
            let session = tightened(&record.summary, self.policy());
            VerifiedRefreshToken { record, token: token.copy(), status, session }
        }))
    }

    /// Uses a refresh token up: hands out its successor. One round trip.
    ///
    /// Exactly one of any number of simultaneous calls replaces the token. The others, and a client that asks again because
    /// the answer got lost, get the identical successor as long as the grace window is open: until it has passed, or the
    /// successor is used. That costs no round trip, or two after a lost race. `None` if the session ended meanwhile.
    ///
    /// # Errors
    /// [`Error::Store`]: the token may be used up then, and repeating the call with the same token inside the grace window
    /// tells. [`Error::Entropy`]; [`Error::Conflict`] if there was no end of concurrent writers.
    pub async fn rotate(&self, verified: VerifiedRefreshToken) -> Result<Option<IssuedRefreshToken>, Error> {
        let mut verified = verified;
        for attempt in 0..MAX_ATTEMPTS {
            let VerifiedRefreshToken { record, token, status, session } = verified;
            if status == TokenStatus::Superseded {
                return Ok(record.credential.successor(&token).map(|token| IssuedRefreshToken { token, session }));
            }
            let now = self.now();
            let (next, successor) = rotated(&record, &token, self.policy(), now, &*self.inner.entropy)?;
            let update = self.store("update")?.update(&next, record.version, now);
            match self.store_call("update", update).await? {
                UpdateOutcome::Applied => {
                    self.report(EventKind::Renewed, Some(next.id()), next.user().cloned());
                    let session = tightened(&next.summary, self.policy());
                    return Ok(Some(IssuedRefreshToken { token: successor, session }));
                }
                UpdateOutcome::Absent => return Ok(None),
                UpdateOutcome::Conflict => {}
            }
            if attempt > 0 {
                self.pause(attempt).await?;
            }
            match self.verify_refresh_token(&token).await? {
                Some(again) => verified = again,
                None => return Ok(None),
            }
        }
        Err(Error::Conflict)
    }

    /// Ends the session of a refresh token: the logout of a client without a cookie. Any token of the session will do, also
    /// one that was used up; one that is none of its tokens changes nothing. Two round trips.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed. Idempotent.
    pub async fn revoke_refresh_token(&self, token: &PresentedToken) -> Result<DeleteOutcome, Error> {
        let Some(record) = self.load(token.id(), Freshness::Latest).await? else { return Ok(DeleteOutcome::Absent) };
        if record.summary.kind != Kind::Refresh || record.check(token) == TokenCheck::Unknown {
            self.report(EventKind::UnknownToken, Some(record.id()), None);
            return Ok(DeleteOutcome::Absent);
        }
        self.terminate(&record, Termination::Logout).await
    }

    /// The live session of the token that a client has when it logs in once more.
    async fn replaced(&self, token: Option<&PresentedToken>) -> Result<Option<LoadedSession>, Error> {
        let Some(token) = token else { return Ok(None) };
        let verified = self.verify_refresh_token(token).await?;
        Ok(verified.map(|VerifiedRefreshToken { record, token, status, .. }| LoadedSession {
            record,
            proof: Proof::Token(token, status),
        }))
    }
}

#[cfg(test)]
mod model;
