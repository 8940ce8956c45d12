//! What the seeded faults do to the steps of a request. Without a fault, nothing.

use std::sync::{MutexGuard, PoisonError};

use serde_json::Value;
use session_core::adapter::{PresentedCookie, RequestSession};
use session_core::store::{CreateRequest, Freshness, Record, SessionStore};
use session_core::{
    Error, EventKind, Key, Kind, LimitPolicy, Login, OsEntropy, Persistence, PresentedToken, Session, UserId,
};

use super::fault::RequestFault as Fault;
use super::node::{Answer, Exchange, Method, Node};

/// What a faulty node writes into the session of every visitor, and into one that it creates anew.
const VISITED: Key<bool> = Key::new("visited");

/// What a session was when it was opened.
#[derive(Default)]
pub(super) struct Opened {
    /// As stored.
    record: Option<Record>,
    /// As the handler got it, and whether there was one stored.
    session: Option<Session>,
    found: bool,
    values: Vec<(Key<Value>, Value)>,
    /// How many events there had been.
    events: usize,
}

impl Exchange {
    pub(super) async fn seeded_before_open(&self) -> Result<(), Error> {
        if self.node.inner.fault.is_none() || self.opened().is_some() {
            return Ok(());
        }
        let token = self.token.as_deref().and_then(|token| PresentedToken::parse(token.as_bytes()).ok());
        let record = match token {
            Some(token) => self.node.line().store().load(&token.id(), Freshness::Latest).await?,
            None => None,
        };
        if self.has(Fault::KindIgnored)
            && let Some(user) =
                record.as_ref().filter(|record| record.summary.kind == Kind::Refresh).and_then(Record::user)
        {
            self.start_afresh().session().await?.login(Login::new(user.clone()))?;
        }
        let events = self.node.inner.recorder.len();
        *self.opened() = Some(Opened { record, events, ..Opened::default() });
        Ok(())
    }

    pub(super) async fn seeded_after_open(&self, session: &Session) -> Result<(), Error> {
        if let Some(opened) = &mut *self.opened() {
            opened.found = session.id().is_some();
            opened.session = Some(session.clone());
        }
        if self.has(Fault::VisitorsStored) && self.token.is_none() {
            session.insert(VISITED, &true)?;
        }
        if self.has(Fault::OldDataKept) {
            let keys = session.keys().into_iter().filter_map(|name| Key::dynamic(name).ok());
            let values = keys.filter_map(|key: Key<Value>| Some((key.clone(), session.get(key).ok()??))).collect();
            if let Some(opened) = &mut *self.opened() {
                opened.values = values;
            }
        }
        if self.has(Fault::ForgedTokenEndsSession)
            && let Some(record) = self.record().filter(|_| self.happened(|kind| *kind == EventKind::UnknownToken))
        {
            let _ = self.node.line().store().delete(&record.summary.id, record.user()).await?;
        }
        if self.has(Fault::ReuseForgiven)
            && let Some(record) = self.record().filter(|_| self.happened(|kind| *kind == EventKind::TokenReuse))
        {
            self.node.revive(&record).await?;
        }
        Ok(())
    }

    /// What is wrong before the session is committed. An answer takes the place of the commit.
    pub(super) async fn seeded_before_finish(&self, error: Option<&Error>) -> Result<Option<Answer>, Error> {
        let skipped = |committed, vary| Ok(Some(Answer { committed, set_cookie: None, vary }));
        match self.node.inner.fault {
            Some(Fault::CommitOnlyOnSuccess) if error.is_some() => return skipped(Ok(()), true),
            Some(Fault::GetNotFinished) if self.method == Method::Get => return skipped(Ok(()), false),
            Some(Fault::AuditGatesCommit) if self.node.inner.recorder.is_broken() => {
                return skipped(Err(Error::Conflict), true);
            }
            Some(Fault::LoadsEagerly) if self.opened().is_none() => {
                self.request().session().await?;
            }
            Some(Fault::LoginDeletesFirst) if self.login_of().is_some() => {
                if let Some(record) = self.record() {
                    let _ = self.node.line().delete(&record.summary.id, record.user()).await?;
                }
            }
            Some(Fault::EvictsBeforeLogin) => {
                if let Some(user) = self.login_of() {
                    self.node.select_evictions(&user).await?;
                }
            }
            Some(Fault::RefusedStepUpEndsSession) if matches!(error, Some(Error::WrongUser)) => {
                self.request().session().await?.logout()?;
            }
            Some(Fault::UndecodableClearsSession) if matches!(error, Some(Error::Value(_))) => {
                self.request().session().await?.clear()?;
            }
            Some(Fault::AnonymousSessionShared) => {
                *self.node.inner.shared.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            Some(_) | None => {}
        }
        Ok(None)
    }

    /// What is wrong after the session is committed.
    pub(super) async fn seeded_after_finish(&self, error: Option<&Error>, mut answer: Answer) -> Answer {
        if self.node.inner.fault.is_none() {
            return answer;
        }
        let outcome = error.or(answer.committed.as_ref().err());
        let cookie = self.node.policy().cookie();
        let removal = || Some(cookie.remove().expose().to_owned());
        let untouched = answer.set_cookie.is_none();
        match self.node.inner.fault {
            Some(Fault::CommitErrorIgnored) => answer.committed = Ok(()),
            Some(Fault::GoneIsRecreated) if matches!(outcome, Some(Error::Gone)) => match self.anew().await {
                Ok(set_cookie) => answer = Answer { committed: Ok(()), set_cookie, vary: answer.vary },
                Err(error) => answer.committed = Err(error),
            },
            Some(Fault::StoreErrorClearsCookie) if matches!(outcome, Some(Error::Store(_))) => {
                answer.set_cookie = removal();
            }
            Some(Fault::SupersededClearsCookie) if matches!(outcome, Some(Error::Superseded)) => {
                answer.set_cookie = removal();
            }
            Some(Fault::UnknownTokenClearsCookie) if untouched && outcome.is_none() && self.found_nothing() => {
                answer.set_cookie = removal();
            }
            Some(Fault::SetCookieOnEveryResponse) if untouched && outcome.is_none() => {
                let name = cookie.name();
                let again = |token: &String| format!("{name}={token}; HttpOnly; SameSite=Lax; Secure; Path=/");
                answer.set_cookie = self.token.as_ref().map(again);
            }
            Some(Fault::BareRemovalCookie) => {
                let bare = || format!("{}=; Max-Age=0", cookie.name());
                answer.set_cookie = answer.set_cookie.map(|set| if token_of(&set).is_none() { bare() } else { set });
            }
            Some(Fault::HttpOnlyForgotten) => {
                answer.set_cookie = answer.set_cookie.map(|set| set.replace("; HttpOnly", ""));
            }
            Some(Fault::MaxAgeRestarts) => answer.set_cookie = answer.set_cookie.map(|set| self.full_max_age(set)),
            Some(Fault::VaryForgotten) => answer.vary = answer.set_cookie.is_some(),
            Some(Fault::SuccessorSentOnce) => {
                let mut sent = self.node.inner.sent.lock().unwrap_or_else(PoisonError::into_inner);
                answer.set_cookie =
                    answer.set_cookie.filter(|set| token_of(set).is_none_or(|token| sent.insert(token.to_owned())));
            }
            Some(_) | None => {}
        }
        if let Some(token) = answer.set_cookie.as_deref().and_then(token_of) {
            self.remember_alias(token);
        }
        match self.seeded_store(&answer).await {
            Ok(()) => answer,
            Err(error) => Answer { committed: Err(error), ..answer },
        }
    }

    /// What is wrong in the store after the session is committed.
    async fn seeded_store(&self, answer: &Answer) -> Result<(), Error> {
        let store = self.node.line().store();
        let now = self.node.manager().now();
        let stored = match self.session_now().and_then(|session| session.id()) {
            Some(id) => store.load(&id, Freshness::Latest).await?,
            None => None,
        };
        let begun = |kind: &EventKind| matches!(kind, EventKind::LoggedIn | EventKind::Created);
        match (self.node.inner.fault, stored) {
            (Some(Fault::OldDataKept), Some(_)) if self.happened(begun) => {
                let header = answer.set_cookie.as_deref().and_then(|set| set.split(';').next()).unwrap_or_default();
                let presented = self.node.policy().cookie().read([header.as_bytes()]);
                let request = RequestSession::new(self.node.manager().clone(), presented);
                let values = self.opened().as_ref().map(|opened| opened.values.clone()).unwrap_or_default();
                for (key, value) in values {
                    request.session().await?.insert(key, &value)?;
                }
                let _ = request.finish().await;
            }
            (Some(Fault::ActivityRestartsAbsolute), Some(record)) if answer.committed.is_ok() => {
                let version = record.version.next(&OsEntropy)?;
                let mut restarted = Record { version, ..record.clone() };
                restarted.summary.created_at = now;
                let _ = store.update(&restarted, record.version, now).await?;
            }
            (Some(Fault::TouchOnEveryRequest), Some(record)) if answer.committed.is_ok() => {
                let _ = store.touch(&record.summary.id, record.user(), now).await?;
            }
            (Some(Fault::TokenStored), Some(record)) => {
                let token = answer.set_cookie.as_deref().and_then(token_of);
                if let Some(token) = token.filter(|_| record.summary.device.user_agent().is_none()) {
                    let version = record.version.next(&OsEntropy)?;
                    let mut change = Record { version, ..record.clone() };
                    change.summary.device = record.summary.device.clone().with_user_agent(token);
                    let _ = store.update(&change, record.version, now).await?;
                }
            }
            (Some(Fault::FirstUseForgotten), Some(record)) => {
                if let Some(before) = self.record().filter(|before| before.credential.awaits_first_use())
                    && !record.credential.awaits_first_use()
                    && before.credential.generation() == record.credential.generation()
                {
                    let version = record.version.next(&OsEntropy)?;
                    let forgot = Record { version, credential: before.credential, ..record.clone() };
                    let _ = store.update(&forgot, record.version, now).await?;
                }
            }
            (Some(_) | None, _) => {}
        }
        Ok(())
    }

    /// Whether an event of this kind was reported since the session was opened, about it as it was or as it is.
    fn happened(&self, wanted: impl Fn(&EventKind) -> bool) -> bool {
        let now = self.session_now().and_then(|session| session.id());
        let opened = self.opened();
        let Some(opened) = &*opened else { return false };
        let about = [opened.record.as_ref().map(|record| record.summary.id), now];
        let since = self.node.inner.recorder.since(opened.events);
        since.iter().any(|event| event.session.is_some() && about.contains(&event.session) && wanted(&event.kind))
    }

    /// Remembers that the presented token stands for `token`, if the fault says so.
    fn remember_alias(&self, token: &str) {
        let wanted: fn(&EventKind) -> bool = match self.node.inner.fault {
            Some(Fault::OldTokenStaysValid) => {
                |kind| matches!(kind, EventKind::LoggedIn | EventKind::SteppedUp | EventKind::Regenerated)
            }
            Some(Fault::PresentedIdAdopted) if self.record().is_none() => |kind| matches!(kind, EventKind::Created),
            Some(Fault::PredecessorIsSuccessor | Fault::GraceCoversTwoGenerations) => {
                |kind| matches!(kind, EventKind::Renewed)
            }
            Some(_) | None => return,
        };
        if let Some(presented) = self.token.clone().filter(|_| self.happened(wanted)) {
            let mut aliases = self.node.inner.aliases.lock().unwrap_or_else(PoisonError::into_inner);
            aliases.insert(presented, token.to_owned());
        }
    }

    /// The user that this request logs in.
    fn login_of(&self) -> Option<UserId> {
        let before = self.record().and_then(|record| record.user().cloned());
        self.session_now()?.user().filter(|user| before.as_ref() != Some(user))
    }

    /// Stores a new session and returns its cookie.
    async fn anew(&self) -> Result<Option<String>, Error> {
        let request = RequestSession::new(self.node.manager().clone(), PresentedCookie::Nothing);
        request.session().await?.insert(VISITED, &true)?;
        let (committed, headers) = request.finish().await;
        committed.map(|()| headers.set_cookie.map(|cookie| cookie.expose().to_owned()))
    }

    fn full_max_age(&self, set_cookie: String) -> String {
        let Some((before, rest)) = set_cookie.split_once("Max-Age=") else { return set_cookie };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if token_of(&set_cookie).is_none() {
            return set_cookie;
        }
        let full = self.node.policy().timeouts(true, Persistence::Persistent).absolute.as_secs();
        format!("{before}Max-Age={full}{}", &rest[digits..])
    }

    fn found_nothing(&self) -> bool {
        self.token.is_some() && self.opened().as_ref().is_some_and(|opened| opened.session.is_some() && !opened.found)
    }

    fn record(&self) -> Option<Record> {
        self.opened().as_ref()?.record.clone()
    }

    fn session_now(&self) -> Option<Session> {
        self.opened().as_ref()?.session.clone()
    }

    fn opened(&self) -> MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Ends the oldest session of `user` if there is no room for another one.
    pub(super) async fn select_evictions(&self, user: &UserId) -> Result<(), Error> {
        let limit = self.policy().session_limit();
        let store = self.line().store();
        let mut sessions = store.list_by_user(user, self.manager().now()).await?;
        sessions.sort_by_key(|session| session.created_at);
        if limit.at_limit != LimitPolicy::Reject
            && sessions.len() >= limit.max.get() as usize
            && let Some(oldest) = sessions.first()
        {
            let _ = store.delete(&oldest.id, Some(user)).await?;
        }
        Ok(())
    }

    /// Brings a record back that was there before.
    pub(super) async fn revive(&self, record: &Record) -> Result<(), Error> {
        let admission = CreateRequest { record, replaces: None, limit: None };
        let _ = self.line().store().create(admission, self.manager().now()).await?;
        Ok(())
    }
}

/// The token that a `Set-Cookie` header hands out; `None` if it removes the cookie.
fn token_of(set_cookie: &str) -> Option<&str> {
    let (_, value) = set_cookie.split(';').next()?.split_once('=')?;
    (!value.is_empty()).then_some(value)
}
