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
use crate::model::record::Record;
use crate::policy::rules::Policy;

/// The commits that one commit takes along. Dropped without an answer, they count as interrupted.
#[derive(Default)]
#[must_use]
pub(super) struct Company(Vec<Waiting>);

impl Company {
    /// All were written; the session is `record` now.
    pub(super) fn written(self, record: &Record) {
        for waiting in self.0 {
            waiting.answer(Answer::Written(Box::new(record.clone())));
        }
    }

    /// Nothing was written.
    pub(super) fn alone(self) {
        for waiting in self.0 {
            waiting.answer(Answer::Alone);
        }
    }

    /// If the store failed, something may have been written.
    pub(super) fn failed(self, error: &Error) {
        let Error::Store(error) = error else { return self.alone() };
        for waiting in self.0 {
            waiting.answer(Answer::Failed(error.clone()));
        }
    }

    /// Nothing was written, and they may be taken along by the next try.
    pub(super) fn wait(self, turn: &Turn<'_>) {
        turn.give_back(self.0);
    }
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
                    company.push(waiting);
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
                Some((plan, Company(company)))
            }
            // A new token, for one of them alone; nothing to write; no randomness.
            Ok(_) | Err(_) => {
                turn.give_back(company);
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
