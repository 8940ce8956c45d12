//! The commit: one compare-and-swap, repeated on what another request wrote.

use std::sync::Arc;
use std::time::Duration;

use super::SessionManager;
use crate::clock::Timestamp;
use crate::decide::intent::Intent;
use crate::decide::plan::{Change, Circumstances, CookieOp, Draft, StoreOp, max_age, plan};
use crate::decide::verdict::{LoadedSession, Proof, Replaced};
use crate::entropy;
use crate::error::Error;
use crate::event::{EventKind, Termination};
use crate::model::id::{SessionId, UserId};
use crate::model::record::Record;
use crate::policy::cookie::SetCookie;
use crate::policy::rules::WriteConflict;
use crate::session::{CommitInput, Session};
use crate::store::contract::{CreateOutcome, DeleteOutcome, TouchOutcome, UpdateOutcome};

/// How often a commit is tried. Inside a process commits of one session queue, so only other nodes cause conflicts.
pub(super) const MAX_ATTEMPTS: u32 = 32;
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_millis(32);

/// How a try ended.
pub(super) enum Outcome {
    /// The store is as planned; the session goes on from this.
    Done(Option<Arc<LoadedSession>>),
    /// There was nothing to do.
    Unchanged,
    /// Another request was faster. Load again, try again.
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

/// What a commit came to: the session it goes on from, and the cookie that the response must carry.
type Committed = (Option<Arc<LoadedSession>>, Option<SetCookie>);

impl SessionManager {
    /// Writes the changes of a session: at most one round trip, unless another request changed the same session at the same
    /// time. Without changes: no round trip, or one if activity is to be recorded.
    ///
    /// Adapters call this before the response is sent. A handler may call it to learn the outcome: of a login under a
    /// limit, or the value an [`update`](Session::update) led to. Later changes are committed later.
    ///
    /// Cancellation-safe: dropped, the commit takes effect entirely or not at all.
    ///
    /// # Errors
    /// Nothing is written in these cases, except that a store that failed may have done it: [`Error::Store`],
    /// [`Error::Gone`] if the session ended, [`Error::LimitReached`], [`Error::Conflict`], [`Error::Superseded`], and what
    /// an intent met when it was applied again. The changes are given up then; the session can be used again.
    pub async fn commit(&self, session: &Session) -> Result<(), Error> {
        if session.is_settled() { Ok(()) } else { self.commit_changes(session).await }
    }

    /// [`commit`](Self::commit), for a session that is not settled.
    pub(crate) async fn commit_changes(&self, session: &Session) -> Result<(), Error> {
        let _one_at_a_time = session.commit_turn().await;
        let input = session.state().commit_input();
        let wanted = input.intents;
        let mut successor = None;
        let outcome = self.try_commit(session, input, &mut successor).await;
        let mut state = session.state();
        match outcome {
            Ok((loaded, cookie)) => state.rebase(loaded, wanted, cookie.or(successor), self.policy()),
            Err(error) => {
                // What was not written is given up: a second commit would fail in the same way, or, after a store error,
                // might apply twice what was applied already.
                let loaded = if matches!(error, Error::Gone) { None } else { state.loaded.clone() };
                let _ = state.rebase(loaded, wanted, successor, self.policy());
                // A request that only read: what it read was true then, and there is nothing to lose.
                if wanted == 0 && matches!(error, Error::Gone | Error::Conflict) { Ok(()) } else { Err(error) }
            }
        }
    }

    /// `successor` is set if the presented token was superseded meanwhile: the response hands out the current one, even if
    /// the commit fails.
    async fn try_commit(
        &self,
        session: &Session,
        CommitInput { loaded: first, mut draft, intents: wanted, activity }: CommitInput,
        successor: &mut Option<SetCookie>,
    ) -> Result<Committed, Error> {
        let mut loaded = first.clone();
        // Needed only if another request was faster.
        let mut intents = None;
        let mut turn = None;
        for attempt in 0..MAX_ATTEMPTS {
            let now = self.now();
            let circumstances = Circumstances { activity, policy: self.policy(), now, entropy: &*self.inner.entropy };
            let plan = plan(loaded.as_ref(), &draft, circumstances)?;
            let sealed = self.seal(&plan.store, now)?;
            let writes = matches!(plan.store, StoreOp::Update { .. } | StoreOp::Create { .. });
            let outcome = match &loaded {
                // Others are repeating their commit of this session: a try now would only disturb them.
                Some(loaded) if writes && turn.is_none() && self.inner.queue.is_contended(&loaded.record.id()) => {
                    Outcome::Conflict
                }
                Some(_) | None => self.execute(plan.store, now).await?,
            };
            match outcome {
                Outcome::Done(next) => {
                    if let Some(event) = plan.event {
                        let record = next.as_deref().map(|next| &next.record);
                        self.report(event, record.map(Record::id), record.and_then(Record::user).cloned());
                    }
                    return Ok((next, sealed.or_else(|| self.render(plan.cookie))));
                }
                Outcome::Unchanged => return Ok((loaded, None)),
                // Only the request that ended a session removes its cookie: by now the client may have that of a login.
                Outcome::EndedBefore => return Ok((None, None)),
                Outcome::Gone => return Err(Error::Gone),
                Outcome::Again => continue,
                Outcome::ReplacedAbsent => loaded = None,
                Outcome::Conflict => {
                    let Some(stale) = &loaded else { return Err(Error::Conflict) };
                    if turn.is_none() {
                        turn = Some(self.inner.queue.turn(stale.record.id()).await);
                    } else {
                        self.pause(attempt).await?;
                    }
                    let latest = self.load_again(stale).await?;
                    let intents = intents.get_or_insert_with(|| session.state().intents[..wanted].to_vec());
                    loaded = self.accept(first.as_deref(), latest, intents, draft.change)?.map(Arc::new);
                    if let Some(LoadedSession { record, proof: Proof::Token(token, status) }) = loaded.as_deref()
                        && let Some(cookie) = self.successor_cookie(record, token, *status)
                    {
                        *successor = Some(cookie);
                    }
                }
            }
            let intents = intents.get_or_insert_with(|| session.state().intents[..wanted].to_vec());
            draft = Draft::replay(loaded.as_deref().map(|loaded| &loaded.record), intents, self.policy())?;
        }
        Err(Error::Conflict)
    }

    /// Whether the intents may be applied to what another request wrote.
    fn accept(
        &self,
        first: Option<&LoadedSession>,
        latest: Option<LoadedSession>,
        intents: &[Intent],
        change: Change,
    ) -> Result<Option<LoadedSession>, Error> {
        let Some(latest) = latest else {
            // What begins anew does not depend on the session before; everything else ends with it.
            return if matches!(change, Change::Login | Change::Logout) { Ok(None) } else { Err(Error::Gone) };
        };
        if self.policy().write_conflict() == WriteConflict::Fail
            && let Some(first) = first
        {
            let overwritten = |key: &bytes::Bytes| first.record.data.get(key) != latest.record.data.get(key);
            if intents.iter().filter_map(Intent::blind_write).any(overwritten) {
                return Err(Error::Conflict);
            }
        }
        Ok(Some(latest))
    }

    /// Does what was planned.
    pub(super) async fn execute(&self, op: StoreOp, now: Timestamp) -> Result<Outcome, Error> {
        let backing = &self.inner.backing;
        match op {
            StoreOp::Nothing => Ok(Outcome::Unchanged),
            StoreOp::Touch { session, now } => {
                let (id, user) = (session.record.id(), session.record.user());
                Ok(Outcome::Done(match self.store_call("touch", backing.touch(&id, user, now)).await? {
                    TouchOutcome::Applied => Some(Arc::new(session.with_record(session.record.clone().touched(now)))),
                    // The session ended during a request that only read it: what it read was true then.
                    TouchOutcome::Absent => None,
                }))
            }
            StoreOp::Delete { id, user } => {
                match self.store_call("delete", backing.delete(&id, user.as_ref(), now)).await? {
                    DeleteOutcome::Deleted => {
                        self.report(EventKind::Terminated(Termination::Logout), Some(id), user);
                        Ok(Outcome::Done(None))
                    }
                    DeleteOutcome::Absent => Ok(Outcome::EndedBefore),
                }
            }
            StoreOp::Update { next, expected } => {
                match self.store_call("update", backing.update(&next.record, expected, now)).await? {
                    UpdateOutcome::Applied => Ok(Outcome::Done(Some(next))),
                    UpdateOutcome::Conflict => Ok(Outcome::Conflict),
                    UpdateOutcome::Absent => Ok(Outcome::Gone),
                }
            }
            StoreOp::Create { next, replaces, limit } => {
                let user = next.record.user();
                let create = backing.create(&next.record, replaces.as_ref(), limit, now);
                match self.store_call("create", create).await? {
                    CreateOutcome::Created { evicted } => {
                        self.report_ended(replaces, &evicted, user);
                        Ok(Outcome::Done(Some(backing.created(next))))
                    }
                    CreateOutcome::IdTaken => Ok(Outcome::Again),
                    CreateOutcome::LimitReached if self.delete_dead(user).await? => Ok(Outcome::Again),
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

    /// Reports the sessions that a new one brought to an end.
    fn report_ended(&self, replaced: Option<Replaced>, evicted: &[SessionId], user: Option<&UserId>) {
        if let Some(Replaced { id, user, reason, .. }) = replaced {
            self.report(EventKind::Terminated(reason), Some(id), user);
        }
        for id in evicted {
            self.report(EventKind::Terminated(Termination::Evicted), Some(*id), user.cloned());
        }
    }

    /// The cookie that carries a client-side session after this.
    fn seal(&self, op: &StoreOp, now: Timestamp) -> Result<Option<SetCookie>, Error> {
        let Some(seal) = &self.inner.context.seal else { return Ok(None) };
        let seen;
        let record = match op {
            StoreOp::Create { next, .. } | StoreOp::Update { next, .. } => &next.record,
            StoreOp::Touch { session, now } => {
                seen = session.record.clone().touched(*now);
                &seen
            }
            StoreOp::Nothing | StoreOp::Delete { .. } => return Ok(None),
        };
        let sealed = seal.seal(record, now).map_err(|error| self.store_failed("seal", error))?;
        let cookie = self.policy().cookie();
        cookie.fits(sealed.len())?;
        Ok(Some(cookie.set_text(&sealed, max_age(&record.summary, self.policy(), now))))
    }

    fn render(&self, cookie: CookieOp) -> Option<SetCookie> {
        match cookie {
            CookieOp::Keep => None,
            CookieOp::Set { token, max_age } => Some(self.policy().cookie().set(&token.encode(), max_age)),
            CookieOp::Remove => Some(self.policy().cookie().remove()),
        }
    }

    /// Waits a random while, longer with each attempt, so that nodes do not collide in step.
    pub(super) async fn pause(&self, attempt: u32) -> Result<(), Error> {
        let [random] = entropy::random::<1>(&*self.inner.entropy)?;
        let ceiling = Duration::from_millis(1 << attempt.min(5)).min(MAX_PAUSE);
        tokio::time::sleep(ceiling * u32::from(random) / 255).await;
        Ok(())
    }
}
