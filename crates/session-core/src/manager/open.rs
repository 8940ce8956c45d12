//! From a cookie to its session.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{SessionManager, spans};
use crate::decide::plan::{max_age, tightened};
use crate::decide::verdict::{
    Access, LoadedSession, TokenStatus, TokenVerdict, Verdict, judge, still_accepted, verdict,
};
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::event::{EventKind, Termination};
use crate::measurement::{Measurement, Opened};
use crate::model::id::{SessionId, UserId};
use crate::model::record::Record;
use crate::model::reserved::Claim;
use crate::model::summary::SessionSummary;
use crate::model::token::{Kind, PresentedToken};
use crate::policy::cookie::{PresentedCookie, SetCookie};
use crate::session::{Owner, Session};
use crate::store::contract::Freshness;

impl SessionManager {
    /// What the `Cookie` headers of a request hold; for adapters.
    pub fn read_cookie<'h>(&self, headers: impl IntoIterator<Item = &'h [u8]>) -> PresentedCookie {
        let cookie = self.policy().cookie();
        if self.inner.context.seal.is_none() {
            return cookie.read(headers);
        }
        cookie.collect(headers, |value| PresentedCookie::Sealed(value.to_vec()))
    }

    /// Opens the session of a request. No round trip without a token, else one; one more for each other session that
    /// [several cookies](PresentedCookie::Several) name.
    ///
    /// A token that is unknown, expired or forged gives an anonymous session: a client cannot tell which. An authentic
    /// token that was consumed earlier terminates its session (one more round trip).
    ///
    /// So does one whose record cannot be decoded: its client can log in again, or out, and write nothing. The record stays
    /// as it is.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not absent. [`Error::Superseded`] for the loser of a race
    /// between a renewed token and its predecessor.
    pub async fn open(&self, presented: &PresentedCookie) -> Result<Session, Error> {
        let span = spans::open();
        let opened = self.open_presented(presented).instrument(span.clone()).await;
        if span.is_disabled() && !self.inner.reporter.is_measured() {
            return opened;
        }
        let found = match &opened {
            Ok(session) => found(session),
            Err(error) => {
                spans::failed(&span, error);
                Opened::Failed
            }
        };
        spans::opened(&span, found);
        self.measure(Measurement::Opened(found));
        opened
    }

    /// As [`open`](Self::open), of a request that presents nothing: there is nothing to wait for.
    pub(crate) fn open_nothing(&self) -> Session {
        self.measure(Measurement::Opened(Opened::Nothing));
        self.anonymous()
    }

    async fn open_presented(&self, presented: &PresentedCookie) -> Result<Session, Error> {
        match presented {
            PresentedCookie::Nothing => Ok(self.anonymous()),
            PresentedCookie::Withheld => {
                let session = self.anonymous();
                session.state().is_cookie_unknown = true;
                Ok(session)
            }
            PresentedCookie::Sealed(text) => {
                let loaded = self.unseal(text).await?;
                Ok(self.session(loaded.map(Arc::new), None))
            }
            PresentedCookie::Token(_) if self.inner.context.seal.is_some() => Ok(self.anonymous()),
            PresentedCookie::Token(token) => self.open_token(token).await,
            // Rare, and large: boxed, so that every other request carries less along.
            PresentedCookie::Several { cookies, is_complete } => {
                Box::pin(self.open_several(cookies, *is_complete)).await
            }
            PresentedCookie::Malformed => {
                self.report(EventKind::MalformedToken, None, None);
                Ok(self.anonymous())
            }
        }
    }

    async fn open_token(&self, token: &PresentedToken) -> Result<Session, Error> {
        let judge = |record: &Record| judge(record, Kind::Cookie, token, self.policy(), self.now());
        let is_good = |verdict: &TokenVerdict| *verdict == TokenVerdict::Accepted(TokenStatus::Current);
        let (record, verdict) = match self.load_judged(token.id(), judge, is_good).await {
            Ok(Some(judged)) => judged,
            Ok(None) => {
                self.report(EventKind::UnknownToken, Some(token.id()), None);
                return Ok(self.anonymous());
            }
            // Reported. Nothing can be read of it, but its client can log in, and out.
            Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt => {
                let session = self.anonymous();
                session.state().unreadable = Some(error);
                return Ok(session);
            }
            Err(error) => return Err(error),
        };
        match self.obey(&record, verdict).await? {
            Some(status) => {
                self.report_replay(&record, status);
                let cookie = self.successor_cookie(&record, token, status);
                let loaded = LoadedSession { record, access: Access::Token(token.copy(), status) };
                Ok(self.session(Some(Arc::new(loaded)), cookie))
            }
            None => Ok(self.anonymous()),
        }
    }

    /// A client-side session, if it is alive. No round trip; one if there is a deny list.
    pub(super) async fn unseal(&self, text: &[u8]) -> Result<Option<LoadedSession>, Error> {
        let now = self.now();
        let opened = self.inner.context.seal.as_ref().and_then(|seal| seal.open(text, now));
        let Some(record) = opened else {
            self.report(EventKind::MalformedToken, None, None);
            return Ok(None);
        };
        if let Verdict::Expired(expiry) = verdict(&record.summary, self.policy(), now) {
            self.report(EventKind::Expired(expiry), Some(record.id()), record.user().cloned());
            return Ok(None);
        }
        if self.is_denied(&record.id()).await? {
            self.report(EventKind::UnknownToken, Some(record.id()), None);
            return Ok(None);
        }
        Ok(Some(LoadedSession { record, access: Access::Seal }))
    }

    /// Does what [`judge`] says of `token`. `None` if it gives access to nothing.
    pub(super) async fn admit(
        &self,
        record: &Record,
        kind: Kind,
        token: &PresentedToken,
    ) -> Result<Option<TokenStatus>, Error> {
        self.obey(record, judge(record, kind, token, self.policy(), self.now())).await
    }

    async fn obey(&self, record: &Record, verdict: TokenVerdict) -> Result<Option<TokenStatus>, Error> {
        let user = || record.user().cloned();
        match verdict {
            TokenVerdict::Accepted(status) => return Ok(Some(status)),
            // A token that is not the record's does not tell whose record it is.
            TokenVerdict::Unknown => self.report(EventKind::UnknownToken, Some(record.id()), None),
            TokenVerdict::Expired(expiry) => self.report(EventKind::Expired(expiry), Some(record.id()), user()),
            TokenVerdict::Raced => {
                self.report(EventKind::RenewalRaced, Some(record.id()), user());
                return Err(Error::Superseded);
            }
            TokenVerdict::Reuse => {
                self.report(EventKind::TokenReuse, Some(record.id()), user());
                let _ = Box::pin(self.terminate(record, Termination::Reuse)).await?;
            }
        }
        Ok(None)
    }

    pub(super) fn report_replay(&self, record: &Record, status: TokenStatus) {
        if status == TokenStatus::Superseded {
            self.report(EventKind::Replayed, Some(record.id()), record.user().cloned());
        }
    }

    /// Reads the session once more from the store: for a decision that must not rest on what was read earlier. One round
    /// trip, none for a session that is not stored. Keeps the intents.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed, [`Error::Gone`] if the session ended meanwhile.
    pub async fn reload(&self, session: &Session) -> Result<(), Error> {
        let _turn = session.commit_turn().await;
        let Some(loaded) = session.state().loaded.clone() else { return Ok(()) };
        let latest = self.load_again(&loaded).await?;
        let is_gone = latest.is_none();
        let dropped = if is_gone { session.state().intents.len() } else { 0 };
        session.rebase(latest.map(Arc::new), dropped, None)?;
        if is_gone { Err(Error::Gone) } else { Ok(()) }
    }

    /// The latest state of `loaded`, if its proof still gives access to it.
    pub(super) async fn load_again(&self, loaded: &LoadedSession) -> Result<Option<LoadedSession>, Error> {
        let token = match &loaded.access {
            Access::Token(token, _) => token,
            Access::Seal => return self.unseal_again(loaded).await,
            Access::Handle => {
                let record = self.load_handled(&loaded.record).await?;
                return Ok(record.map(|record| loaded.with_record(record)));
            }
        };
        let record = self.load(loaded.record.id(), Freshness::Latest).await?;
        Ok(record.and_then(|record| self.still_accepted(record, token, &loaded.record)))
    }

    /// A client-side session, unless it has ended since.
    async fn unseal_again(&self, loaded: &LoadedSession) -> Result<Option<LoadedSession>, Error> {
        let is_live = verdict(&loaded.record.summary, self.policy(), self.now()) == Verdict::Live;
        let is_live = is_live && !self.is_denied(&loaded.record.id()).await?;
        Ok(is_live.then(|| loaded.with_record(loaded.record.clone())))
    }

    /// The session of `record`, if `token` still gives access to it, with which `opened` was opened.
    pub(super) fn still_accepted(
        &self,
        record: Record,
        token: &PresentedToken,
        opened: &Record,
    ) -> Option<LoadedSession> {
        let status = still_accepted(&record, token, self.policy(), self.now())?;
        if opened.is_copy && status == TokenStatus::Consumed {
            // Whether it was accepted when its request began, only the store could have said.
            return None;
        }
        Some(LoadedSession { record, access: Access::Token(token.copy(), status) })
    }

    /// The session `id` of `user`, if it is alive: for an access token whose bearer must not have been logged out a moment
    /// ago. One round trip. Does not count as activity.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not ended.
    pub async fn find_live(&self, id: &SessionId, user: &UserId) -> Result<Option<SessionSummary>, Error> {
        self.find(id, user, Freshness::Latest).await
    }

    /// As [`find_live`](Self::find_live). With [`Freshness::Cached`], a copy will do, if the store has one: then it costs no
    /// round trip, and a session may be found alive as long after its end as the store says. A copy that is not alive is never
    /// the answer: the store is asked.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not ended.
    pub async fn find(
        &self,
        id: &SessionId,
        user: &UserId,
        freshness: Freshness,
    ) -> Result<Option<SessionSummary>, Error> {
        let is_live = |record: &Record| {
            verdict(&record.summary, self.policy(), self.now()) == Verdict::Live && record.user() == Some(user)
        };
        let record = match freshness {
            Freshness::Cached => self.load_judged(*id, is_live, |is_live| *is_live).await?.map(|(record, _)| record),
            Freshness::Latest => self.load(*id, Freshness::Latest).await?,
        };
        Ok(record.filter(is_live).map(|record| tightened(&record.summary, self.policy())))
    }

    /// Whether the session `id` is alive, whoever's it is. One round trip. Does not count as activity.
    ///
    /// # Errors
    /// [`Error::Store`] if the store failed: unavailable is not ended.
    pub async fn is_live(&self, id: &SessionId) -> Result<bool, Error> {
        let record = self.load(*id, Freshness::Latest).await?;
        Ok(record.is_some_and(|record| verdict(&record.summary, self.policy(), self.now()) == Verdict::Live))
    }

    /// The cookie that gives the holder of a superseded token its successor again.
    pub(super) fn successor_cookie(
        &self,
        record: &Record,
        token: &PresentedToken,
        status: TokenStatus,
    ) -> Option<SetCookie> {
        let successor = match status {
            TokenStatus::Current | TokenStatus::Consumed => return None,
            TokenStatus::Superseded => record.credential.successor(token)?,
        };
        let max_age = max_age(&record.summary, self.policy(), self.now());
        Some(self.policy().cookie().set(&successor.encode(), max_age))
    }

    /// The record of `id`, and what it is judged to be. A copy of it will do if that is good; of anything else, the store's own
    /// word is needed. One round trip at most, unless a copy was no good.
    pub(super) async fn load_judged<T>(
        &self,
        id: SessionId,
        judge: impl Fn(&Record) -> T,
        is_good: impl Fn(&T) -> bool,
    ) -> Result<Option<(Record, T)>, Error> {
        let Some(record) = self.load(id, Freshness::Cached).await? else { return Ok(None) };
        let judged = judge(&record);
        if !record.is_copy || is_good(&judged) {
            return Ok(Some((record, judged)));
        }
        let latest = self.load(id, Freshness::Latest).await?;
        Ok(latest.map(|record| {
            let judged = judge(&record);
            (record, judged)
        }))
    }

    pub(super) async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Option<Record>, Error> {
        let record = self.store_call("load", self.store("load")?.load(&id, freshness)).await?;
        if record.as_ref().is_some_and(|record| record.id() != id) {
            let error = StoreError::new(StoreErrorKind::Other, "the store answered with another session");
            return Err(self.store_failed("load", error));
        }
        // It was given to a node that has the moving store. This one has not, and must not take it for a session of its own.
        if record.as_ref().is_some_and(|record| Claim::is_among(&record.data)) {
            let detail = "the session is moving to another store; this node needs the MovingStore that others have";
            return Err(self.store_failed("load", StoreError::new(StoreErrorKind::Unavailable, detail)));
        }
        Ok(record)
    }

    pub(super) async fn is_denied(&self, id: &SessionId) -> Result<bool, Error> {
        if !self.inner.backing.has_deny_list() {
            return Ok(false);
        }
        Box::pin(self.store_call("load", self.inner.backing.is_denied(id, self.now()))).await
    }

    pub(super) fn anonymous(&self) -> Session {
        self.session(None, None)
    }

    pub(super) fn session(&self, loaded: Option<Arc<LoadedSession>>, successor: Option<SetCookie>) -> Session {
        Session::new(Arc::clone(&self.inner) as Arc<dyn Owner>, loaded, successor)
    }
}

fn found(session: &Session) -> Opened {
    match &session.state().loaded {
        Some(loaded) if loaded.record.user().is_some() => Opened::User,
        Some(_) => Opened::Visitor,
        None => Opened::Nothing,
    }
}
