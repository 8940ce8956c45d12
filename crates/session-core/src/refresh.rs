//! Refresh tokens: sessions of clients that keep no cookie, with a token that is replaced at each use.

use std::fmt;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::commit::{MAX_ATTEMPTS, Outcome};
use crate::credential::{Grace, TokenCheck};
use crate::error::Error;
use crate::event::{EventKind, Termination};
use crate::id::{SessionId, UserId};
use crate::intent::{Change, Draft, Login};
use crate::manager::SessionManager;
use crate::plan::{self, StoreOp};
use crate::policy::Policy;
use crate::record::{Kind, Record};
use crate::session::{LoadedSession, SessionInfo, TokenStatus};
use crate::store::{DeleteOutcome, UpdateOutcome};
use crate::token::{PresentedToken, SessionToken};
use crate::verdict::{Expiry, Verdict, verdict};

/// A refresh token, and the session that it belongs to.
#[must_use]
pub struct IssuedRefreshToken {
    /// For the client, and nobody else.
    pub token: SessionToken,
    /// The session, as it is stored now.
    pub session: SessionInfo,
}

impl fmt::Debug for IssuedRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A refresh token that was found good and is not used yet: between [`SessionManager::verify_refresh_token`] and
/// [`SessionManager::rotate`] an application looks whether the user's account is still in order.
#[must_use]
pub struct VerifiedRefreshToken {
    record: Record,
    token: PresentedToken,
    standing: TokenStatus,
    session: SessionInfo,
}

impl VerifiedRefreshToken {
    /// The session that the token belongs to. Somebody is logged in.
    #[must_use]
    pub fn session(&self) -> &SessionInfo {
        &self.session
    }
}

impl fmt::Debug for VerifiedRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh").field("session", &self.session).finish_non_exhaustive()
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
        let working = Draft::logged_in(&login, self.now(), self.policy());
        for attempt in 0..MAX_ATTEMPTS {
            let now = self.now();
            let (record, token) =
                plan::new_record(Kind::Refresh, &working, self.policy(), now, self.inner.entropy.as_ref())?;
            let next = Arc::new(LoadedSession { record, token: None, standing: TokenStatus::Current });
            let create = StoreOp::Create {
                next: Arc::clone(&next),
                replaces: replaced.as_ref().map(|base| base.handle()),
                limit: Some(self.policy().session_limit()),
            };
            match self.execute(create, replaced.as_ref(), Change::Login, now).await? {
                Outcome::Done(_) => {
                    let record = &next.record;
                    self.report(EventKind::LoggedIn, Some(record.id), record.user().cloned());
                    return Ok(IssuedRefreshToken { token, session: self.info(record) });
                }
                Outcome::Conflict => {
                    self.pause(attempt).await?;
                    replaced = self.replaced(replaces).await?;
                }
                Outcome::ReplacedAbsent => replaced = None,
                Outcome::Again | Outcome::EndedBefore | Outcome::Gone => {}
            }
        }
        Err(Error::Conflict)
    }

    /// Reads the session of a refresh token. One round trip.
    ///
    /// `None` for a token that is unknown, expired, revoked, or of another kind: a client cannot tell which. A token that
    /// was consumed before, outside the [grace window](crate::PolicyBuilder::refresh_grace), is reuse: somebody has a
    /// copy of it. It ends the session, durably (one more round trip), and is `None` too.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not invalid.
    pub async fn verify_refresh_token(&self, token: &PresentedToken) -> Result<Option<VerifiedRefreshToken>, Error> {
        let Some(record) = self.read(token.id()).await? else {
            self.report(EventKind::UnknownToken, Some(token.id()), None);
            return Ok(None);
        };
        self.admit_refresh(record, token).await
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
    pub async fn rotate(&self, refresh: VerifiedRefreshToken) -> Result<Option<IssuedRefreshToken>, Error> {
        let mut refresh = refresh;
        for attempt in 0..MAX_ATTEMPTS {
            let VerifiedRefreshToken { record, token, standing, session } = refresh;
            if standing == TokenStatus::Superseded {
                return Ok(record.credential.successor(&token).map(|token| IssuedRefreshToken { token, session }));
            }
            let (next, successor) =
                plan::rotated(&record, &token, self.policy(), self.now(), self.inner.entropy.as_ref())?;
            let update = self.inner.store.update(&next, record.version, self.now());
            match self.store_call("update", update).await? {
                UpdateOutcome::Applied => {
                    self.report(EventKind::Renewed, Some(next.id), next.user().cloned());
                    return Ok(Some(IssuedRefreshToken { token: successor, session: self.info(&next) }));
                }
                UpdateOutcome::Absent => return Ok(None),
                UpdateOutcome::Conflict => {}
            }
            if attempt > 0 {
                self.pause(attempt).await?;
            }
            match self.verify_refresh_token(&token).await? {
                Some(again) => refresh = again,
                None => return Ok(None),
            }
        }
        Err(Error::Conflict)
    }

    /// Ends the session of a refresh token: the logout of a client without a cookie. Any token of the session will do, also
    /// one that was used up; one that is none of its tokens changes nothing. Two round trips.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed; safe to repeat.
    pub async fn revoke_refresh_token(&self, token: &PresentedToken) -> Result<DeleteOutcome, Error> {
        let Some(record) = self.read(token.id()).await? else { return Ok(DeleteOutcome::Absent) };
        if record.kind != Kind::Refresh || record.credential.check(record.kind, token) == TokenCheck::Unknown {
            self.report(EventKind::UnknownToken, Some(record.id), None);
            return Ok(DeleteOutcome::Absent);
        }
        self.terminate(&record, Termination::Logout).await
    }

    /// The session `id` of `user`, if it is alive: for an access token whose bearer must not have been logged out a moment
    /// ago. One round trip. Does not count as activity.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not ended.
    pub async fn find_live(&self, id: &SessionId, user: &UserId) -> Result<Option<SessionInfo>, Error> {
        let Some(record) = self.read(*id).await? else { return Ok(None) };
        let alive = matches!(verdict(&record, self.policy(), self.now()), Verdict::Live { .. });
        Ok((alive && record.user() == Some(user)).then(|| self.info(&record)))
    }

    /// Does what [`judge`] says.
    async fn admit_refresh(
        &self,
        record: Record,
        token: &PresentedToken,
    ) -> Result<Option<VerifiedRefreshToken>, Error> {
        let (id, user) = (record.id, record.user().cloned());
        let standing = match judge(&record, token, self.policy(), self.now()) {
            Judgement::Good(standing) => standing,
            Judgement::Unknown => {
                self.report(EventKind::UnknownToken, Some(id), None);
                return Ok(None);
            }
            Judgement::Expired(expiry) => {
                self.report(EventKind::Expired(expiry), Some(id), user);
                return Ok(None);
            }
            Judgement::Reuse => {
                self.report(EventKind::TokenReuse, Some(id), user);
                let _ = self.terminate(&record, Termination::Reuse).await?;
                return Ok(None);
            }
        };
        let session = self.info(&record);
        Ok(Some(VerifiedRefreshToken { record, token: token.again(), standing, session }))
    }

    /// The live session of the token that a client has when it logs in once more.
    async fn replaced(&self, token: Option<&PresentedToken>) -> Result<Option<Arc<LoadedSession>>, Error> {
        let Some(token) = token else { return Ok(None) };
        let refresh = self.verify_refresh_token(token).await?;
        Ok(refresh.map(|VerifiedRefreshToken { record, token, standing, .. }| {
            Arc::new(LoadedSession { record, token: Some(token), standing })
        }))
    }

    fn info(&self, record: &Record) -> SessionInfo {
        SessionInfo::of(record, self.policy())
    }
}

/// What a refresh token gets of the record that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Its successor, which is still to be made if it is the current one.
    Good(TokenStatus),
    /// Nothing: it is none of the record's tokens.
    Unknown,
    /// Nothing: the session is past a deadline.
    Expired(Expiry),
    /// Nothing, and the session ends.
    Reuse,
}

/// Decides by the order of generations, never by that of times; time only closes the grace window.
pub(crate) fn judge(record: &Record, token: &PresentedToken, policy: &Policy, now: Timestamp) -> Judgement {
    if record.kind != Kind::Refresh {
        return Judgement::Unknown;
    }
    let check = record.credential.check(record.kind, token);
    let verdict = verdict(record, policy, now);
    match (check, verdict, record.credential.grace(policy.refresh_grace(), now)) {
        (TokenCheck::Unknown, _, _) => Judgement::Unknown,
        (_, Verdict::Expired(expiry), _) => Judgement::Expired(expiry),
        (TokenCheck::Current, Verdict::Live { .. }, _) => Judgement::Good(TokenStatus::Current),
        (TokenCheck::Superseded, Verdict::Live { .. }, Grace::Open) => Judgement::Good(TokenStatus::Superseded),
        // The successor of a refresh token is used by being replaced, which makes its predecessor stale.
        (TokenCheck::Superseded, Verdict::Live { .. }, Grace::SuccessorUsed | Grace::Closed)
        | (TokenCheck::Stale, Verdict::Live { .. }, _) => Judgement::Reuse,
    }
}

#[cfg(test)]
mod model;
