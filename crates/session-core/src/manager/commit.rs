//! The commit: one compare-and-swap, repeated on what another request wrote.

use std::mem;
use std::sync::Arc;

use tracing::Instrument as _;

use super::background::Persistent;
use super::backing::Backing;
use super::patience::{Backoff, Patience};
use super::queue::{Answer, Queued, Turn, Wants};
use super::together::Company;
use super::{Existence, Inner, SessionManager, spans};
use crate::clock::Timestamp;
use crate::decide::intent::Intent;
use crate::decide::plan::{Change, Circumstances, CookieOp, Draft, Plan, StoreOp, max_age, plan};
use crate::decide::verdict::{Access, Activity, LoadedSession, Replaced, TokenStatus};
use crate::entropy;
use crate::error::Error;
use crate::event::{EventKind, Termination};
use crate::gate::VisitorDecision;
use crate::measurement::Measurement;
use crate::model::id::{SessionId, UserId};
use crate::model::record::Record;
use crate::policy::cookie::SetCookie;
use crate::policy::rules::WriteConflict;
use crate::session::{CommitInput, Session};
use crate::store::contract::{CreateOutcome, DeleteOutcome, TouchOutcome, UpdateOutcome};

/// How many ids are tried: one that is taken is a defect of the random generator, or of the store.
const MAX_IDS: u32 = 32;

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
    /// time. Without changes: no round trip, or one if activity is to be recorded. With a superseded token one more: whether
    /// its window is still open is asked again.
    ///
    /// Adapters call this before the response is sent. A handler may call it to learn the outcome: of a login under a
    /// limit, or the value an [`update`](Session::update) led to. Later changes are committed later.
    ///
    /// Cancellation-safe: dropped once it has begun, it is finished in the background. A session that it began is ended then,
    /// unless its token is handed out after all.
    ///
    /// # Errors
    /// Nothing is written in these cases, except that a store that failed may have done it, and that
    /// [other sessions](crate::adapter::PresentedCookie::Several) of the same request have ended: [`Error::Store`],
    /// [`Error::Gone`] if the session ended, [`Error::LimitReached`], [`Error::VisitorRefused`], [`Error::Conflict`],
    /// [`Error::Superseded`], and what an intent met when it was applied again. The changes are given up then; the session
    /// can be used again.
    pub async fn commit(&self, session: &Session) -> Result<(), Error> {
        let outcome = if session.is_settled() { Ok(()) } else { self.commit_changes(session).await };
        let mut state = session.state();
        if !state.has_adapter {
            state.unreceived = None;
        }
        outcome
    }

    /// [`commit`](Self::commit), for a session that is not settled. What is created counts as not received.
    pub(crate) fn commit_changes(&self, session: &Session) -> Persistent<Result<(), Error>> {
        let (manager, session, span) = (self.clone(), session.clone(), spans::commit());
        let within = span.clone();
        let commit = async move {
            let outcome = manager.commit_to_the_end(&session).await;
            if let Err(error) = &outcome {
                spans::failed(&span, error);
            }
            outcome
        };
        self.persist(commit.instrument(within))
    }

    async fn commit_to_the_end(&self, session: &Session) -> Result<(), Error> {
        let _one_at_a_time = session.commit_turn().await;
        let input = session.state().commit_input();
        let (wanted, change) = (input.intents, input.draft.change);
        let (has_values, has_none) = (!input.draft.data.is_empty(), input.loaded.is_none());
        let begins = has_values && has_none && change != Change::Login;
        let (is_handle, is_cookie_unknown) = {
            let state = session.state();
            (state.is_handle, state.is_cookie_unknown && change != Change::Logout)
        };
        if is_handle && (begins || has_values && change == Change::Logout) {
            let _ = session.rebase(None, wanted, None);
            return Err(Error::Gone);
        }
        if begins && is_cookie_unknown {
            // What was written lives in this request.
            self.report(EventKind::NotStored, None, None);
            return Ok(());
        }
        if begins && let Err(refused) = self.admit_visitor().await {
            let _ = session.rebase(None, wanted, None);
            return Err(refused);
        }
        let is_refused = change == Change::Login && input.loaded.as_ref().is_some_and(|loaded| loaded.is_superseded());
        let others_ended = if is_refused { Ok(()) } else { self.end_others(session, change).await };
        let outcome = match others_ended {
            Ok(()) => self.try_commit(session, input).await,
            Err(error) => Err(error),
        };
        let outcome = match outcome {
            Ok((loaded, mut cookie)) => {
                let begins_anew = matches!(change, Change::Login | Change::Logout);
                let was_odd = begins_anew && {
                    let mut state = session.state();
                    state.logged_out = change == Change::Logout;
                    state.is_cookie_unknown = false;
                    state.unreadable.take().is_some() | mem::take(&mut state.has_several)
                };
                if was_odd && change == Change::Logout {
                    cookie = cookie.or_else(|| self.render(CookieOp::Remove));
                }
                session.rebase(loaded, wanted, cookie)
            }
            Err(error) => {
                // What was not written is given up: a second commit would fail in the same way, or, after a store error,
                // might apply twice what was applied already.
                let loaded = if matches!(error, Error::Gone) { None } else { session.state().loaded.clone() };
                let _ = session.rebase(loaded, wanted, None);
                // A request that only read: what it read was true then, and there is nothing to lose.
                if wanted == 0 { Ok(()) } else { Err(error) }
            }
        };
        self.check_successor(session).await;
        outcome
    }

    /// Asks the application, if it wants to be asked.
    async fn admit_visitor(&self) -> Result<(), Error> {
        let Some(gate) = &self.inner.gate else { return Ok(()) };
        match gate.admit(self.request.as_deref()).await {
            VisitorDecision::Admit => Ok(()),
            VisitorDecision::Refuse => {
                self.report(EventKind::VisitorRefused, None, None);
                Err(Error::VisitorRefused)
            }
        }
    }

    /// Ends the other sessions that came with the request, before a login or a logout: they must not count towards a limit.
    async fn end_others(&self, session: &Session, change: Change) -> Result<(), Error> {
        let reason = match change {
            Change::Login => Termination::Replaced,
            Change::Logout => Termination::Logout,
            Change::None | Change::Regenerate | Change::StepUp => return Ok(()),
        };
        loop {
            let next = session.state().others.last().map(|other| (other.id, other.user.clone(), other.dead_from));
            let Some((id, user, dead_from)) = next else { return Ok(()) };
            let _ = Box::pin(self.delete(id, user, dead_from, reason, self.now())).await?;
            session.state().others.pop();
        }
    }

    /// Takes back the successor of a superseded token if the grace window has closed while the request ran. One round trip.
    async fn check_successor(&self, session: &Session) {
        let loaded = {
            let state = session.state();
            if state.successor.is_none() {
                return;
            }
            state.loaded.clone()
        };
        let latest = match &loaded {
            Some(loaded) => Box::pin(self.load_again(loaded)).await.ok().flatten(),
            None => None,
        };
        if !latest.is_some_and(|latest| latest.status() == Some(TokenStatus::Superseded)) {
            session.state().successor = None;
        }
    }

    async fn try_commit(
        &self,
        session: &Session,
        CommitInput { loaded: first, mut draft, intents: wanted, activity }: CommitInput,
    ) -> Result<Committed, Error> {
        let mut loaded = first.clone();
        // Needed only if another request was faster.
        let mut intents = None;
        let mut repetition: Option<Repetition<'_>> = None;
        let mut ids = 0;
        let is_new_device = self.inner.reports_new_devices && Box::pin(self.is_new_device(&draft)).await;
        loop {
            let now = self.now();
            let circumstances = Circumstances { activity, policy: self.policy(), now, entropy: &*self.inner.entropy };
            self.inner.context.check_change(loaded.as_deref(), draft.change)?;
            let together = match (&repetition, &loaded) {
                (Some(Repetition { turn, .. }), Some(loaded)) => {
                    self.plan_together(turn, loaded, &draft, circumstances)
                }
                (Some(_), None) | (None, _) => None,
            };
            let (Plan { store, cookie, event }, company) = match together {
                Some(together) => together,
                None => (plan(loaded.as_ref(), &draft, circumstances)?, Company::default()),
            };
            if matches!(store, StoreOp::LoadAgain) && repetition.is_some() {
                return Err(Error::Gone);
            }
            let sealed = self.seal(loaded.as_deref(), &store, now)?;
            let writes = matches!(store, StoreOp::Update { .. } | StoreOp::Create { .. });
            let outcome = match &loaded {
                // Others are repeating their commit of this session: a try now would only disturb them.
                Some(loaded)
                    if writes && repetition.is_none() && self.inner.queue.is_contended(&loaded.record.id()) =>
                {
                    Ok(Outcome::Conflict)
                }
                Some(_) | None => self.execute(store, now).await,
            };
            let outcome = match (outcome, &mut repetition) {
                (Ok(Outcome::Done(Some(next))), Some(repetition)) => {
                    repetition.turn.leave(&next.record);
                    Outcome::Done(Some(company.written(next, loaded.as_deref())))
                }
                (Ok(Outcome::Conflict), Some(repetition)) => {
                    company.wait(&repetition.turn);
                    Outcome::Conflict
                }
                (Ok(outcome), _) => {
                    company.alone();
                    outcome
                }
                (Err(error), _) => {
                    company.failed(&error);
                    return Err(error);
                }
            };
            match outcome {
                Outcome::Done(next) => {
                    if let Some(event) = event {
                        let record = next.as_deref().map(|next| &next.record);
                        let (id, user) = (record.map(Record::id), record.and_then(Record::user).cloned());
                        // The one token that it has now is the one that is about to be handed out.
                        let is_new = matches!(
                            event,
                            EventKind::LoggedIn | EventKind::Created | EventKind::SteppedUp | EventKind::Regenerated
                        );
                        self.report(event, id, user.clone());
                        if is_new_device {
                            self.report(EventKind::NewDevice, id, user.clone());
                        }
                        if let Some(id) = id.filter(|_| is_new) {
                            session.await_receipt(id, user);
                        }
                    }
                    return Ok((next, sealed.or_else(|| self.render(cookie))));
                }
                Outcome::Unchanged => return Ok((loaded, None)),
                // Only the request that ended a session removes its cookie: by now the client may have that of a login.
                Outcome::EndedBefore => return Ok((None, None)),
                Outcome::Gone => return Err(Error::Gone),
                Outcome::Again if ids < MAX_IDS => {
                    ids += 1;
                    continue;
                }
                Outcome::Again => return Err(Error::Conflict),
                Outcome::ReplacedAbsent if draft.change != Change::Login && draft.change != Change::Logout => {
                    return Err(Error::Gone);
                }
                Outcome::ReplacedAbsent => loaded = None,
                Outcome::Conflict => {
                    let Some(stale) = &loaded else { return Err(Error::Conflict) };
                    let intents = intents.get_or_insert_with(|| session.state().intents[..wanted].to_vec());
                    let mut left = None;
                    // Boxed, as all that is rare in a commit: each would carry it along.
                    match &mut repetition {
                        Some(repetition) => Box::pin(self.pause(&mut repetition.backoff)).await?,
                        None => match Box::pin(self.repeat(stale, intents, activity)).await? {
                            Repeated::Turn(turn) => left = repetition.insert(turn).turn.take_latest(),
                            Repeated::Written(next) => return Ok((next, None)),
                        },
                    }
                    let latest = match (left, &stale.access) {
                        (Some(record), Access::Token(token, _)) => self.still_accepted(record, token, &stale.record),
                        (Some(_), Access::Seal | Access::Handle) | (None, _) => {
                            Box::pin(self.load_again(stale)).await?
                        }
                    };
                    loaded = self.accept(first.as_deref(), latest, intents, draft.change)?.map(Arc::new);
                    if let Some(LoadedSession { record, access: Access::Token(token, status) }) = loaded.as_deref()
                        && let Some(cookie) = self.successor_cookie(record, token, *status)
                    {
                        session.state().successor = Some(cookie);
                    }
                }
            }
            let intents = intents.get_or_insert_with(|| session.state().intents[..wanted].to_vec());
            draft = Draft::replay(loaded.as_deref().map(|loaded| &loaded.record), intents, self.policy())?;
        }
    }

    /// Waits for the other commits of a session in this process that met a conflict.
    async fn repeat(
        &self,
        stale: &LoadedSession,
        intents: &[Intent],
        activity: Activity,
    ) -> Result<Repeated<'_>, Error> {
        let limit = self.policy().store_timeout();
        let patience = Patience::begin(limit);
        let mut wants = Wants::of(stale, intents, activity, self.policy());
        loop {
            match self.inner.queue.turn(stale.record.id(), patience, wants.take()).await {
                Queued::Turn(turn) => {
                    return Ok(Repeated::Turn(Repetition { turn, backoff: Backoff::begin(limit) }));
                }
                Queued::Answer(Answer::Written(record)) => {
                    return Ok(Repeated::Written(match &stale.access {
                        Access::Token(token, _) => self.still_accepted(*record, token, &stale.record).map(Arc::new),
                        Access::Seal | Access::Handle => None,
                    }));
                }
                Queued::Answer(Answer::Alone) => {}
                Queued::Answer(Answer::Failed(error)) => return Err(Error::Store(error)),
                // No end of concurrent writers.
                Queued::Late => return Err(Error::Conflict),
            }
        }
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
            StoreOp::LoadAgain => Ok(Outcome::Conflict),
            StoreOp::Touch { session, now } => self.touch(session, now).await.map(Outcome::Done),
            StoreOp::Delete(Replaced { id, user, dead_from, reason, .. }) => {
                match self.delete(id, user, dead_from, reason, now).await? {
                    DeleteOutcome::Deleted => Ok(Outcome::Done(None)),
                    DeleteOutcome::Absent => Ok(Outcome::EndedBefore),
                }
            }
            StoreOp::Update { next, expected } => {
                match self.store_write("update", || backing.update(&next.record, expected, now)).await? {
                    (UpdateOutcome::Applied, _) => Ok(Outcome::Done(Some(next))),
                    (UpdateOutcome::Conflict, None) => Ok(self.met_conflict("update")),
                    // Perhaps it was applied, and another request has changed the session since: it must not be applied again.
                    (UpdateOutcome::Conflict, Some(error)) => Err(error),
                    (UpdateOutcome::Absent, _) => Ok(Outcome::Gone),
                }
            }
            StoreOp::Create { next, replaces, limit } => {
                let user = next.record.user();
                if let Some(user) = user {
                    self.inner.background.settle(user, self.policy().store_timeout()).await;
                }
                let visitors = self.policy().visitor_limit();
                let create = || backing.create(&next.record, replaces.as_ref(), limit, visitors, now);
                let outcome = self.store_write("create", create).await;
                let is_possible = match &outcome {
                    Ok((CreateOutcome::Created { .. }, _)) => false,
                    // The first attempt was not answered, and the second was refused: the first may be yet to come.
                    Ok((_, doubt)) => doubt.is_some(),
                    Err(Error::Store(error)) => error.may_be_applied(),
                    Err(_) => false,
                };
                if is_possible && matches!(backing, Backing::Store(_)) {
                    self.end_unreceived(next.record.id(), user.cloned(), Existence::Possible);
                }
                match outcome?.0 {
                    CreateOutcome::Created { evicted } => {
                        self.report_ended(replaces, &evicted, user);
                        Ok(Outcome::Done(Some(backing.created(next))))
                    }
                    CreateOutcome::IdTaken => Ok(Outcome::Again),
                    CreateOutcome::LimitReached if Box::pin(self.delete_dead(user)).await? => Ok(Outcome::Again),
                    CreateOutcome::LimitReached => {
                        self.report(EventKind::LimitReached, None, user.cloned());
                        Err(Error::LimitReached)
                    }
                    CreateOutcome::ReplacedChanged => Ok(self.met_conflict("create")),
                    CreateOutcome::ReplacedAbsent => Ok(Outcome::ReplacedAbsent),
                }
            }
        }
    }

    /// Another request was faster, the store says.
    fn met_conflict(&self, operation: &'static str) -> Outcome {
        self.measure(Measurement::Conflict { operation });
        Outcome::Conflict
    }

    /// Records activity, unless another request of this process does. `None` if the session ended meanwhile: what a request
    /// read was true then.
    async fn touch(&self, session: Arc<LoadedSession>, now: Timestamp) -> Result<Option<Arc<LoadedSession>>, Error> {
        let Inner { backing, touches, .. } = &*self.inner;
        let (id, user) = (session.record.id(), session.record.user());
        let interval = self.policy().touch_interval_of(self.policy().effective_timeouts(&session.record.summary));
        let is_stored = matches!(backing, Backing::Store(_));
        if is_stored && !touches.claim(id, now, interval) {
            return Ok(Some(session));
        }
        let outcome = self.store_call("touch", backing.touch(&id, user, now)).await;
        if outcome.is_err() {
            touches.release(&id);
        }
        Ok(match outcome? {
            TouchOutcome::Applied => Some(Arc::new(session.with_record(session.record.clone().touched(now)))),
            TouchOutcome::Absent => None,
        })
    }

    /// Reports the sessions that a new one brought to an end.
    fn report_ended(&self, replaced: Option<Replaced>, evicted: &[SessionId], user: Option<&UserId>) {
        if let Some(Replaced { id, user, reason, .. }) = replaced {
            self.report(self.inner.backing.end(reason), Some(id), user);
        }
        for id in evicted {
            // All sessions of a user are in one shard.
            let user = user.filter(|user| user.shard() == id.shard()).cloned();
            self.report(EventKind::Terminated(Termination::Evicted), Some(*id), user);
        }
    }

    /// The cookie that carries a client-side session after this.
    fn seal(&self, loaded: Option<&LoadedSession>, op: &StoreOp, now: Timestamp) -> Result<Option<SetCookie>, Error> {
        let Some(seal) = &self.inner.context.seal else { return Ok(None) };
        let seen;
        let record = match op {
            StoreOp::Create { next, .. } | StoreOp::Update { next, .. } => &next.record,
            StoreOp::Touch { session, now } => {
                seen = session.record.clone().touched(*now);
                &seen
            }
            StoreOp::Nothing | StoreOp::LoadAgain | StoreOp::Delete(_) => return Ok(None),
        };
        let sealed = seal.seal(record, now).map_err(|error| self.store_failed("seal", error))?;
        self.inner.context.check_len(loaded, record, sealed.len())?;
        let cookie = self.policy().cookie();
        Ok(Some(cookie.set_text(&sealed, max_age(&record.summary, self.policy(), now))))
    }

    fn render(&self, cookie: CookieOp) -> Option<SetCookie> {
        match cookie {
            CookieOp::Keep => None,
            CookieOp::Set { token, max_age } => Some(self.policy().cookie().set(&token.encode(), max_age)),
            CookieOp::Remove => Some(self.policy().cookie().remove()),
        }
    }

    /// Waits before the next try. [`Error::Conflict`] if there is no time for one.
    pub(super) async fn pause(&self, backoff: &mut Backoff) -> Result<(), Error> {
        if backoff.is_over() {
            return Err(Error::Conflict);
        }
        let [random] = entropy::random(&*self.inner.entropy)?;
        backoff.wait(random).await;
        Ok(())
    }
}

/// How a commit goes on that met a conflict.
enum Repeated<'q> {
    Turn(Repetition<'q>),
    /// Another commit wrote it. The session now, unless that has expired.
    Written(Option<Arc<LoadedSession>>),
}

/// A commit that met a conflict: its turn, and its tries since then.
struct Repetition<'q> {
    turn: Turn<'q>,
    backoff: Backoff,
}
