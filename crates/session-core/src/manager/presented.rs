//! Refresh tokens as a client presents them: several cookies at once, or to be looked at only.

use super::SessionManager;
use super::refresh::VerifiedRefreshToken;
use super::several::by_session;
use crate::decide::plan::tightened;
use crate::decide::verdict::{Verdict, best_of, later_login, verdict};
use crate::error::{Error, StoreErrorKind};
use crate::event::EventKind;
use crate::model::binding::KeyThumbprint;
use crate::model::credential::TokenCheck;
use crate::model::grant::Grant;
use crate::model::id::SessionId;
use crate::model::summary::SessionSummary;
use crate::model::token::{Kind, PresentedToken};
use crate::policy::cookie::PresentedCookie;
use crate::store::contract::{DeleteOutcome, Freshness};

impl SessionManager {
    /// As [`verify_refresh_token`](Self::verify_refresh_token), of whatever a request presented. What names no live session
    /// counts for nothing; of several live ones, the later login counts. One round trip for each session that is named.
    ///
    /// `key` is the one that the client has proved to have. A session that [is bound](crate::Login::bound_to) to another, or
    /// presented without one, counts for nothing, and nothing comes of it: a token that was used up ends it only in the hands of
    /// who has the key.
    ///
    /// # Errors
    /// As `verify_refresh_token`.
    pub async fn verify_presented(
        &self,
        presented: &PresentedCookie,
        key: Option<&KeyThumbprint>,
    ) -> Result<Option<VerifiedRefreshToken>, Error> {
        match presented {
            PresentedCookie::Token(token) => return self.verify_by(token, key).await,
            PresentedCookie::Several { .. } => {}
            PresentedCookie::Malformed | PresentedCookie::Sealed(_) => {
                self.report(EventKind::MalformedToken, None, None);
                return Ok(None);
            }
            PresentedCookie::Nothing | PresentedCookie::Withheld => return Ok(None),
        }
        self.report(EventKind::AmbiguousCookie, None, None);
        let mut live = Vec::new();
        let mut failed = None;
        for (id, tokens) in by_session(presented.tokens()) {
            match self.verify_one_of(id, &tokens, key).await {
                Ok(verified) => live.extend(verified),
                // A session that cannot be read, or a token that lost a race: another one may do.
                Err(error @ Error::Superseded) => failed = Some(error),
                Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt => failed = Some(error.into()),
                Err(error) => return Err(error),
            }
        }
        match (later_login(live.iter().map(VerifiedRefreshToken::session), true), failed) {
            (Some(at), _) => Ok(Some(live.swap_remove(at))),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// The token that counts for the session `id`, all of whose tokens are `tokens`.
    async fn verify_one_of(
        &self,
        id: SessionId,
        tokens: &[&PresentedToken],
        key: Option<&KeyThumbprint>,
    ) -> Result<Option<VerifiedRefreshToken>, Error> {
        let Some(record) = self.load(id, Freshness::Latest).await? else {
            self.report(EventKind::UnknownToken, Some(id), None);
            return Ok(None);
        };
        let best = best_of(&record, Kind::Refresh, tokens, self.policy(), self.now());
        // None is good: what the first of them is decides what happens.
        match best.map(|(token, _)| token).or(tokens.first().copied()) {
            Some(token) => self.verify_loaded(record, token, key).await,
            None => Ok(None),
        }
    }

    /// Ends the session of each token that a request presented: a logout. Any tokens of the sessions will do, also those that
    /// were used up. Two round trips for each.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed. Idempotent: repeat it with all of them.
    pub async fn revoke_presented(&self, presented: &PresentedCookie) -> Result<DeleteOutcome, Error> {
        let mut outcome = DeleteOutcome::Absent;
        for token in presented.tokens() {
            if self.revoke_refresh_token(token).await? == DeleteOutcome::Deleted {
                outcome = DeleteOutcome::Deleted;
            }
        }
        Ok(outcome)
    }

    /// The session of a refresh token, which is neither used up by that nor taken for a copy: for an answer about it (RFC
    /// 7662). `None` unless it is the current token of a live session. One round trip.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed.
    pub async fn inspect_refresh_token(
        &self,
        token: &PresentedToken,
    ) -> Result<Option<(SessionSummary, Grant)>, Error> {
        let Some(record) = self.load(token.id(), Freshness::Latest).await? else { return Ok(None) };
        let is_live = verdict(&record.summary, self.policy(), self.now()) == Verdict::Live;
        let is_current = record.summary.kind == Kind::Refresh && record.check(token) == TokenCheck::Current;
        if !is_live || !is_current || record.user().is_none() {
            return Ok(None);
        }
        let grant = Grant::read(&record.data).map_err(|error| self.store_failed("load", error))?;
        Ok(Some((tightened(&record.summary, self.policy()), grant)))
    }
}
