//! Several cookies of the session's name: which one counts.

use std::sync::Arc;

use super::SessionManager;
use crate::decide::verdict::{Access, LoadedSession, TokenStatus, best_of, later_login};
use crate::error::{Error, StoreErrorKind};
use crate::event::{EventKind, Termination};
use crate::model::id::SessionId;
use crate::model::record::Record;
use crate::model::token::{Kind, PresentedToken};
use crate::policy::cookie::{PresentedCookie, SetCookie};
use crate::session::Session;

/// A session that a cookie gives access to, and the cookie that its response carries.
type Candidate = (LoadedSession, Option<SetCookie>);

impl SessionManager {
    /// Opens the session that counts: see [`PresentedCookie::Several`]. One round trip for each session that is named.
    pub(super) async fn open_several(&self, cookies: &[PresentedCookie], is_complete: bool) -> Result<Session, Error> {
        self.report(EventKind::AmbiguousCookie, None, None);
        let mut live: Vec<Candidate> = Vec::new();
        let mut unreadable = None;
        let mut raced = false;
        for sealed in cookies {
            if let PresentedCookie::Sealed(text) = sealed {
                let Some(session) = self.unseal(text).await? else { continue };
                let state = |session: &LoadedSession| (session.record.summary.last_seen, session.record.version.number);
                match live.iter_mut().find(|(other, _)| other.record.id() == session.record.id()) {
                    // An older copy in the same browser.
                    Some((other, _)) if state(other) >= state(&session) => {}
                    Some((other, _)) => *other = session,
                    None => live.push((session, None)),
                }
            }
        }
        for (id, tokens) in by_session(cookies.iter().filter_map(PresentedCookie::token)) {
            match self.open_one_of(id, &tokens).await {
                Ok(session) => live.extend(session),
                Err(Error::Superseded) => raced = true,
                Err(Error::Store(error)) if error.kind() == StoreErrorKind::Corrupt => unreadable = Some(error),
                Err(error) => return Err(error),
            }
        }
        let is_of_host = self.policy().cookie().is_host_only();
        let counts = later_login(live.iter().map(|(session, _)| &session.record.summary), is_of_host);
        // Who can plant a few can plant many: the one that counts may not be among these.
        let counts = counts.filter(|_| is_complete || is_of_host);
        let chosen = counts.map(|at| live.remove(at));
        if chosen.is_none() && live.is_empty() && raced {
            return Err(Error::Superseded);
        }
        let is_open = chosen.is_some();
        let session = match chosen {
            Some((loaded, cookie)) => self.session(Some(Arc::new(loaded)), cookie),
            None => self.anonymous(),
        };
        {
            let mut state = session.state();
            state.is_cookie_unknown = !is_open && (!live.is_empty() || !is_complete);
            state.has_several = true;
            state.unreadable = if is_open { None } else { unreadable };
            state.others = live.iter().map(|(other, _)| other.replaced(Termination::Replaced)).collect();
        }
        Ok(session)
    }

    /// The session `id`, if one of `tokens` gives access to it.
    async fn open_one_of(&self, id: SessionId, tokens: &[&PresentedToken]) -> Result<Option<Candidate>, Error> {
        let best = |record: &Record| best_of(record, Kind::Cookie, tokens, self.policy(), self.now());
        let is_good = |best: &Option<(_, TokenStatus)>| best.is_some_and(|(_, status)| status == TokenStatus::Current);
        let Some((record, best)) = self.load_judged(id, best, is_good).await? else {
            self.report(EventKind::UnknownToken, Some(id), None);
            return Ok(None);
        };
        if let Some((token, status)) = best {
            self.report_replay(&record, status);
            let cookie = self.successor_cookie(&record, token, status);
            return Ok(Some((LoadedSession { record, access: Access::Token(token.copy(), status) }, cookie)));
        }
        for token in tokens {
            let _ = self.admit(&record, Kind::Cookie, token).await?;
        }
        Ok(None)
    }
}

/// The tokens, those of one session together.
pub(super) fn by_session<'t>(
    tokens: impl Iterator<Item = &'t PresentedToken>,
) -> Vec<(SessionId, Vec<&'t PresentedToken>)> {
    let mut sessions: Vec<(SessionId, Vec<&PresentedToken>)> = Vec::new();
    for token in tokens {
        match sessions.iter_mut().find(|(id, _)| *id == token.id()) {
            Some((_, tokens)) => tokens.push(token),
            None => sessions.push((token.id(), vec![token])),
        }
    }
    sessions
}
