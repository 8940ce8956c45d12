//! Commits that are written together: while one has its turn at a contended session, it takes along what the others want
//! that wait for theirs. So many writers cost one update, and not one each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::SessionManager;
use super::queue::{Answer, Turn, Waiting};
use crate::decide::intent::Intent;
use crate::decide::plan::{Change, Circumstances, CookieOp, Draft, Plan, StoreOp, plan};
use crate::decide::verdict::{Activity, LoadedSession, TokenStatus, still_accepted};
use crate::error::Error;
use crate::model::data::Data;
use crate::model::record::Record;
use crate::policy::rules::Policy;

/// The commits that one commit takes along. Dropped without an answer, they count as interrupted.
#[derive(Default)]
#[must_use]
pub(super) struct Company {
    /// Each with the values that it led to, before those behind it.
    waiting: Vec<(Waiting, Data)>,
    /// The same of the one that takes them along.
    first: Option<Data>,
}

impl Company {
    /// All were written. Returns what the one that wrote goes on from; `before` is what it replaced.
    pub(super) fn written(self, next: Arc<LoadedSession>, before: Option<&LoadedSession>) -> Arc<LoadedSession> {
        let (Some(first), Some(before)) = (self.first, before) else { return next };
        for (waiting, data) in self.waiting {
            waiting.answer(Answer::Written(Box::new(as_alone(&next.record, &before.record, data))));
        }
        Arc::new(next.with_record(as_alone(&next.record, &before.record, first)))
    }

    /// Nothing was written.
    pub(super) fn alone(self) {
        for (waiting, _) in self.waiting {
            waiting.answer(Answer::Alone);
        }
    }

    /// If the store failed, something may have been written.
    pub(super) fn failed(self, error: &Error) {
        let Error::Store(error) = error else { return self.alone() };
        for (waiting, _) in self.waiting {
            waiting.answer(Answer::Failed(error.clone()));
        }
    }

    /// Nothing was written, and they may be taken along by the next try.
    pub(super) fn wait(self, turn: &Turn<'_>) {
        turn.give_back(self.waiting.into_iter().map(|(waiting, _)| waiting).collect());
    }
}

/// The session as a commit sees it that changed it to `data`, before those behind it did: each gets the number that its own
/// increment led to. Its version is one that is gone, so what it writes next meets a conflict, and begins from what is stored.
fn as_alone(written: &Record, before: &Record, data: Data) -> Record {
    Record { data, version: before.version, replaces: before.replaces.clone(), ..written.clone() }
}

impl SessionManager {
    /// What to write for `draft` and for those that wait, in their order. `None`: the commit is written alone.
    pub(super) fn plan_together(
        &self,
        turn: &Turn<'_>,
        loaded: &Arc<LoadedSession>,
        draft: &Draft,
        circumstances: Circumstances<'_>,
    ) -> Option<(Plan, Company)> {
        if draft.change != Change::None {
            return None;
        }
        let Circumstances { mut activity, policy, now, .. } = circumstances;
        let (mut all, mut company) = (draft.clone(), Vec::new());
        for waiting in turn.take_waiting() {
            let status = still_accepted(&loaded.record, &waiting.wants.token, policy, now);
            let accepted = (status == Some(TokenStatus::Current)).then_some(&waiting.wants.intents);
            match accepted.and_then(|intents| applied(&all, intents, policy)) {
                Some(next) => {
                    all = next;
                    if waiting.wants.activity == Activity::Active {
                        activity = Activity::Active;
                    }
                    company.push((waiting, all.data.clone()));
                }
                // It meets the reason in its own turn.
                None => waiting.answer(Answer::Alone),
            }
        }
        if company.is_empty() {
            return None;
        }
        match plan(Some(loaded), &all, Circumstances { activity, ..circumstances }) {
            Ok(plan @ Plan { store: StoreOp::Update { .. }, cookie: CookieOp::Keep, event: None }) => {
                Some((plan, Company { waiting: company, first: Some(draft.data.clone()) }))
            }
            // A new token, for one of them alone; nothing to write; no randomness.
            Ok(_) | Err(_) => {
                Company { waiting: company, first: None }.wait(turn);
                None
            }
        }
    }
}

/// `draft` with what another commit wants. `None` if that is an error or panics: it does so where it belongs, then.
fn applied(draft: &Draft, intents: &[Intent], policy: &Policy) -> Option<Draft> {
    let apply = || {
        let mut draft = draft.clone();
        intents.iter().try_for_each(|intent| draft.apply(intent, policy)).ok()?;
        Some(draft)
    };
    catch_unwind(AssertUnwindSafe(apply)).ok().flatten()
}
