//! [`Log`]: what happened in a history, in the order in which it happened.

use std::sync::{Arc, Mutex, PoisonError};

use session_core::Timestamp;
use session_core::store::SessionStore;

use super::call::{Answer, Call, Event};
use super::linearize;
use crate::outcome::{Failure, Outcome};

/// The log of one history, shared by its tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Log {
    /// Calls `store`, and records when that begins and ends. An error fails the case: no server is disrupted here.
    pub(crate) async fn invoke(
        &self,
        task: usize,
        store: &dyn SessionStore,
        call: Call,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        self.push(Event::Begin(task, call.clone()));
        let answer = call.invoke(store, now).await?;
        self.push(Event::End(task, answer.clone()));
        Ok(answer)
    }

    fn push(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Checks that the answers are linearizable, on a thread for blocking work.
    pub(crate) async fn check(&self, seed: u64, now: Timestamp) -> Outcome {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::task::spawn_blocking(move || linearize::check(&events, seed, now)).await?
    }
}
