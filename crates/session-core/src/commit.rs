//! The commit: one compare-and-swap, repeated on what another request wrote.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::cookie::SetCookie;
use crate::error::Error;
use crate::event::{EventKind, Termination};
use crate::id::{SessionId, UserId};
use crate::intent::{Change, Draft, Intent};
use crate::manager::SessionManager;
use crate::plan::{CookieOp, StoreOp, plan};
use crate::policy::WriteConflict;
use crate::record::{Record, Version};
use crate::session::{CommitInput, LoadedSession, Session, TokenStatus};
use crate::store::{CreateOutcome, CreateRequest, DeleteOutcome, Replacement, TouchOutcome, UpdateOutcome};

/// How often a commit is tried. Inside a process commits of one session queue, so only other nodes cause conflicts.
pub(crate) const MAX_ATTEMPTS: u32 = 32;
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_millis(32);

/// How a try ended.
pub(crate) enum Outcome {
    /// The store is as planned; the session now stands on this.
    Done(Option<Arc<LoadedSession>>),
    /// Somebody was faster. Read again, try again.
    Conflict,
    /// Another request ended the session already.
    EndedBefore,
    /// The id of the new session was taken, or there is room now. Try again.
    Again,
    /// The session that a login replaces is gone. Log in without it.
    ReplacedAbsent,
    /// The session ended.
    Gone,
}

impl SessionManager {
    /// Writes the changes of a session: at most one round trip, unless another request changed the same session at the same
    /// time. Without changes: no round trip, or one if activity is to be recorded.
    ///
    /// Adapters call this before the response is sent. A handler may call it to learn the outcome: of a login under a
    /// limit, or the value an [`update`](Session::update) led to. Later changes are committed later.
    ///
    /// Dropping the future leaves the session as it was or as it was to become.
    ///
    /// # Errors
    /// Nothing is written in these cases, except that a store that failed may have done it: [`Error::Store`],
    /// [`Error::Gone`] if the session ended, [`Error::LimitReached`], [`Error::Conflict`], [`Error::Superseded`], and what
    /// an intent met when it was applied again. The changes are given up then; the session can be used again.
    pub async fn commit(&self, session: &Session) -> Result<(), Error> {
        if session.is_settled() {
            return Ok(());
        }
        let _one_at_a_time = session.commit_turn().await;
        let start = session.start();
        let wanted = start.intents;
        let Err(error) = self.try_commit(session, start).await else { return Ok(()) };
        // What was not written is given up: a second commit would fail in the same way, or, after a store error, might
        // apply twice what was applied already.
        let base = if matches!(error, Error::Gone) { None } else { session.state().base.clone() };
        let _ = session.rebase(base, wanted, None);
        // A request that only read: what it read was true then, and there is nothing to lose.
        if wanted == 0 && matches!(error, Error::Gone | Error::Conflict) {
            return Ok(());
        }
        Err(error)
    }

    async fn try_commit(&self, session: &Session, start: CommitInput) -> Result<(), Error> {
        let CommitInput { base: first, mut working, intents: wanted, activity } = start;
        let mut base = first.clone();
        // Needed only if somebody else was faster.
        let mut intents = None;
        let mut turn = None;
        for attempt in 0..MAX_ATTEMPTS {
            let now = self.now();
            let plan = plan(base.as_deref(), &working, activity, self.policy(), now, self.inner.entropy.as_ref())?;
            let sealed = self.seal(&plan.store, base.as_deref())?;
            let writes = matches!(plan.store, StoreOp::Update { .. } | StoreOp::Create { .. });
            let outcome = match &base {
                // Others are repeating their commit of this session: a try now would only disturb them.
                Some(base) if writes && turn.is_none() && self.inner.queue.is_contended(&base.record.id) => {
                    Outcome::Conflict
                }
                Some(_) | None => self.execute(plan.store, base.as_ref(), working.change, now).await?,
            };
            match outcome {
                Outcome::Done(next) => {
                    if let Some(event) = plan.event {
                        let record = next.as_deref().map(|next| &next.record);
                        self.report(event, record.map(|record| record.id), record.and_then(Record::user).cloned());
                    }
                    let cookie = sealed.or_else(|| self.render(plan.cookie));
                    return session.rebase(next, wanted, cookie);
                }
                // Only the request that ended a session removes its cookie: by now the client may have that of a login.
                Outcome::EndedBefore => return session.rebase(None, wanted, None),
                Outcome::Gone => return Err(Error::Gone),
                Outcome::Again => continue,
                Outcome::ReplacedAbsent => base = None,
                Outcome::Conflict => {
                    let Some(stale) = &base else { return Err(Error::Conflict) };
                    if turn.is_none() {
                        turn = Some(self.inner.queue.turn(stale.record.id).await);
                    } else {
                        self.pause(attempt).await?;
                    }
                    let fresh = self.reread(stale).await?.map(Arc::new);
                    let intents = intents.get_or_insert_with(|| session.intents(wanted));
                    base = self.accept(session, first.as_deref(), fresh, intents, working.change)?;
                }
            }
            let intents = intents.get_or_insert_with(|| session.intents(wanted));
            working = Draft::replay(base.as_deref().map(|base| &base.record), intents, self.policy())?;
        }
        Err(Error::Conflict)
    }

    /// Whether the intents may be applied to what another request wrote.
    fn accept(
        &self,
        session: &Session,
        first: Option<&LoadedSession>,
        fresh: Option<Arc<LoadedSession>>,
        intents: &[Intent],
        change: Change,
    ) -> Result<Option<Arc<LoadedSession>>, Error> {
        let Some(fresh) = fresh else {
            // What begins anew does not depend on the session before; everything else ends with it.
            return if matches!(change, Change::Login | Change::Logout) { Ok(None) } else { Err(Error::Gone) };
        };
        if let (TokenStatus::Superseded, Some(token)) = (fresh.standing, &fresh.token) {
            let cookie = self.successor_cookie(&fresh.record, token, self.now());
            session.state().cookie = cookie;
        }
        if self.policy().write_conflict() == WriteConflict::Fail
            && let Some(first) = first
        {
            let overwritten = |key: &bytes::Bytes| first.record.data.get(key) != fresh.record.data.get(key);
            if intents.iter().filter_map(Intent::blind_write).any(overwritten) {
                return Err(Error::Conflict);
            }
        }
        Ok(Some(fresh))
    }

    /// Does what was planned.
    pub(crate) async fn execute(
        &self,
        op: StoreOp,
        base: Option<&Arc<LoadedSession>>,
        change: Change,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let store = &self.inner.store;
        match op {
            StoreOp::Nothing => Ok(Outcome::Done(base.cloned())),
            StoreOp::Touch { id, user, seen } => {
                let touch = store.touch(&id, user.as_ref(), seen, now);
                Ok(Outcome::Done(match self.store_call("touch", touch).await? {
                    TouchOutcome::Applied => base.map(|base| {
                        let record = Record { last_seen: base.record.last_seen.max(seen), ..base.record.clone() };
                        Arc::new(LoadedSession { record, token: base.token_again(), standing: base.standing })
                    }),
                    // The session ended during a request that only read it: what it read was true then.
                    TouchOutcome::Absent => None,
                }))
            }
            StoreOp::Delete { id, user } => match self.store_call("delete", store.delete(&id, user.as_ref())).await? {
                DeleteOutcome::Deleted => {
                    self.report(EventKind::Terminated(Termination::Logout), Some(id), user);
                    Ok(Outcome::Done(None))
                }
                DeleteOutcome::Absent => Ok(Outcome::EndedBefore),
            },
            StoreOp::Update { next, expected } => {
                match self.store_call("update", store.update(&next.record, expected, now)).await? {
                    UpdateOutcome::Applied => Ok(Outcome::Done(Some(next))),
                    UpdateOutcome::Conflict => Ok(Outcome::Conflict),
                    UpdateOutcome::Absent => Ok(Outcome::Gone),
                }
            }
            StoreOp::Create { next, replaces, limit } => {
                let user = next.record.user();
                let admission = CreateRequest {
                    record: &next.record,
                    replaces: replaces.as_ref().map(|(id, user, version)| Replacement {
                        id: *id,
                        user: user.as_ref(),
                        version: *version,
                    }),
                    limit,
                };
                match self.store_call("create", store.create(admission, now)).await? {
                    CreateOutcome::Created { evicted } => {
                        self.report_ended(replaces, &evicted, user, change);
                        Ok(Outcome::Done(Some(next)))
                    }
                    CreateOutcome::IdTaken => Ok(Outcome::Again),
                    CreateOutcome::LimitReached if self.remove_dead(user).await? => Ok(Outcome::Again),
                    CreateOutcome::LimitReached => {
                        self.report(EventKind::LimitReached, None, user.cloned());
                        Err(Error::LimitReached)
                    }
                    CreateOutcome::ReplacedChanged => Ok(Outcome::Conflict),
                    CreateOutcome::ReplacedAbsent => Ok(Outcome::ReplacedAbsent),
                }
            }
        }
    }

    /// Deletes the sessions of a user that are dead by the policy alone, which a store does not know: the policy was
    /// tightened after they began. Returns whether there were any.
    async fn remove_dead(&self, user: Option<&UserId>) -> Result<bool, Error> {
        let Some(user) = user else { return Ok(false) };
        let now = self.now();
        let mut sessions = self.store_call("list_by_user", self.inner.store.list_by_user(user, now)).await?;
        sessions.retain(|session| !self.policy().is_alive(session, now));
        for dead in &sessions {
            let _ = self.store_call("delete", self.inner.store.delete(&dead.id, Some(user))).await?;
        }
        Ok(!sessions.is_empty())
    }

    /// Reports the sessions that a new one brought to an end.
    fn report_ended(
        &self,
        replaced: Option<(SessionId, Option<UserId>, Version)>,
        evicted: &[SessionId],
        user: Option<&UserId>,
        change: Change,
    ) {
        if let Some((id, owner, _)) = replaced {
            let reason = if change == Change::Logout { Termination::Logout } else { Termination::Replaced };
            self.report(EventKind::Terminated(reason), Some(id), owner);
        }
        for id in evicted {
            self.report(EventKind::Terminated(Termination::Evicted), Some(*id), user.cloned());
        }
    }

    /// The cookie that carries a client-side session after this.
    fn seal(&self, op: &StoreOp, base: Option<&LoadedSession>) -> Result<Option<SetCookie>, Error> {
        let Some(client_side) = &self.inner.client_side else { return Ok(None) };
        let touched;
        let record = match (op, base) {
            (StoreOp::Create { next, .. } | StoreOp::Update { next, .. }, _) => &next.record,
            (StoreOp::Touch { seen, .. }, Some(base)) => {
                touched = Record { last_seen: base.record.last_seen.max(*seen), ..base.record.clone() };
                &touched
            }
            (StoreOp::Touch { .. } | StoreOp::Nothing | StoreOp::Delete { .. }, _) => return Ok(None),
        };
        let sealed = client_side.seal.seal(record, self.now()).map_err(|error| self.store_failed("seal", error))?;
        self.policy().cookie().fits(sealed.len())?;
        let max_age = crate::plan::max_age(record, self.policy(), self.now());
        Ok(Some(self.policy().cookie().set_text(&sealed, max_age)))
    }

    fn render(&self, cookie: CookieOp) -> Option<SetCookie> {
        match cookie {
            CookieOp::Keep => None,
            CookieOp::Set { token, max_age } => Some(self.policy().cookie().set(&token.encode(), max_age)),
            CookieOp::Remove => Some(self.policy().cookie().remove()),
        }
    }

    /// Waits a random while, longer with each attempt, so that nodes do not collide in step.
    pub(crate) async fn pause(&self, attempt: u32) -> Result<(), Error> {
        let [random] = crate::entropy::random::<1>(self.inner.entropy.as_ref())?;
        let ceiling = Duration::from_millis(1 << attempt.min(5)).min(MAX_PAUSE);
        tokio::time::sleep(ceiling * u32::from(random) / 255).await;
        Ok(())
    }
}
